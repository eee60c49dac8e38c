"""docs/take_a_model_away.md: its blocks run one after the other, in Python and in the shell."""

import re
import shlex
import sys
from pathlib import Path

import gymnasium as gym
import peft
import pytest
import torch

from pg_agents.cli import main

TEXT = (Path(__file__).parents[2] / "docs/take_a_model_away.md").read_text()
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", TEXT, re.S)


@pytest.mark.slow
def test_every_block_runs(folder, capsys):
    names, path = {}, list(sys.path)
    try:
        for language, block in BLOCKS:
            if block.startswith("# mine.py"):
                Path("mine.py").write_text(block)
            elif language == "python":
                exec(block, names)
                if "taken" in block:
                    same_logits(names["agent"], names["model"])
            for line in block.splitlines() if language == "bash" else ():
                assert main(shlex.split(line)[1:]) == 0, f"{line}: {capsys.readouterr().err}"
    finally:
        sys.path[:] = path
        sys.modules.pop("mine", None)
        gym.registry.pop("Capitals-v0", None)
    same_logits(names["agent"], names["model"])
    assert isinstance(names["model"], peft.PeftModel)
    assert len(names["answers"]) == 2 and len(names["several"]) == 4
    assert len([block for language, block in BLOCKS if language == "python"]) == 6


def same_logits(agent, model):
    tokens = torch.arange(3, 30)[None]
    with torch.no_grad():
        mine, theirs = (one(tokens).logits for one in (agent.policy.model, model))
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-5)


def test_the_table_stands_between_markers():
    assert "<!-- benchmarks: pretrained -->" in TEXT
