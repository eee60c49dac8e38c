"""Programs on pages run as they stand, each in an interpreter of its own; what is typed in the shell is understood."""

import os
import re
import subprocess
import sys
import tomllib

import gymnasium as gym
import pytest
from support.names import PAGES, ROOT
from support.pages import COMPARED, RECIPES, blocks, commands

import pg_agents as pg
from pg_agents.cli.parsing import parse

PROGRAMS = [block for page in COMPARED for block in blocks(page, "python")]
TYPED = [(page, words) for page in PAGES for words in commands(page)]
PROGRESS = re.compile(r"steps [\d,]+ of [\d,]+ \(")
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e-?\d+)?")


def form(text):
    """Return what was printed without numbers, which differ between machines, and without lines of progress."""
    lines = [line for line in text.splitlines() if not PROGRESS.match(line)]
    return NUMBER.sub("#", "\n".join(lines)).split()


@pytest.fixture
def as_before(folder, monkeypatch):
    """What a program registers is forgotten."""
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(pg.agents, "AGENTS", pg.AGENTS)
    known = dict(pg.AGENTS)
    yield
    pg.AGENTS.clear()
    pg.AGENTS.update(known)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_programs_run_with_fewer_steps(program, as_before, capsys):
    text = re.sub(r"\b\d{1,3}_000\b", "1_000", program.text)
    text = re.sub(r"episodes=\d+( \* \d+)?", "episodes=8", text).replace("4096", "64")
    exec(compile(text, str(program), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_programs_print_what_is_said(program, folder):
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "envs")))}
    done = subprocess.run([sys.executable, "-c", program.text], capture_output=True, text=True, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert program.prints is None or form(done.stdout) == form(program.prints)


def test_recipes_say_when_and_what_goes_wrong():
    assert len(RECIPES) > 12
    for page in RECIPES:
        if page.name != "index.md":
            assert {"**When.**", "**What goes wrong**"} <= {
                part for part in re.findall(r"\*\*.*?\*\*", page.read_text())
            }


def test_every_recipe_is_in_the_list():
    listed = re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs/recipes/index.md").read_text())
    assert sorted(listed) == sorted(page.name for page in RECIPES if page.name != "index.md")


@pytest.mark.parametrize(
    "words", [words for _, words in TYPED if words[0] == "pg-agents" and len(words) > 1], ids=" ".join
)
def test_what_is_typed_is_understood(words, folder, monkeypatch):
    monkeypatch.setattr("pg_agents.cli.importing.import_named", lambda named: None)  # no such module is here
    if "--config" in words:
        file = folder / words[words.index("--config") + 1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('env = "CartPole-v1"\n' if file.suffix == ".toml" else '{"env": "CartPole-v1"}')
    words = words[: words.index(">")] if ">" in words else words
    try:
        assert parse(words[1:]) is not None
    except SystemExit as end:  # what is printed at once, like a completion script
        assert end.code == 0


def test_extras_exist():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page in PAGES:
        for extras in re.findall(r"(?:\.|pg-agents)\[([a-z0-9,-]+)\]", page.read_text()):
            assert set(extras.split(",")) <= known.keys(), (page, extras)
