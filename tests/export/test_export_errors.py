"""What cannot be exported is said."""

import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from support.tiny_llama import llama, token_env

import pg_agents as pg
from pg_agents.export import onnx_file
from pg_agents.llm.huggingface import HuggingFacePolicy

BOX = Box(-1, 1, (3,))


def refused(agent, **how):
    with pytest.raises(pg.UserError) as error:
        agent.export("never.onnx", **how)
    assert not Path("never.onnx").exists()
    return str(error.value)


def test_a_language_model_has_no_such_file(folder):
    agent = pg.GRPO(policy=HuggingFacePolicy(llama()))
    agent.spaces = token_env().single_observation_space, token_env().single_action_space
    assert "agent.save_pretrained(PATH)" in refused(agent)


def test_several_learners_are_exported_one_by_one(folder):
    assert "agent.learner(0).export" in refused(pg.PPO.for_spaces(BOX, Discrete(2), num_learners=3))


def test_unknown_spaces_are_to_be_given(folder):
    agent = pg.PPO.for_spaces(BOX, Discrete(2))
    agent.spaces = None
    assert "set agent.spaces = " in refused(agent)


def test_a_mask_needs_actions_that_can_be_forbidden(folder):
    assert refused(pg.PPO.for_spaces(BOX, BOX), action_mask=True).startswith("action_mask: Box")


def test_two_arrays_of_one_name_are_refused(folder):
    twice = Dict({"a": Dict(b=BOX), "a.b": BOX})
    with pytest.raises(pg.UnsupportedSpaceError, match=r"'observation.a.b'; rename one"):
        pg.PPO.for_spaces(twice, Discrete(2)).export("never.onnx")


@pytest.mark.parametrize("package", onnx_file.PACKAGES)
def test_a_missing_package_is_named_with_its_installation(folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # as if not installed, whether a test before imported it or not
    assert f"export needs {package}, which is not installed: pip install" in refused(
        pg.PPO.for_spaces(BOX, Discrete(2))
    )


def test_a_file_that_computes_something_else_is_not_written():
    found = np.array([[0.1, -np.inf]])
    onnx_file._check_close(found, found + 1e-5, "Net")
    for other in (found + 1e-3, found * -1, found[:, :1], found * float("nan")):
        with pytest.raises(pg.UserError, match="something else than this Net, so no file was written"):
            onnx_file._check_close(other, found, "Net")
