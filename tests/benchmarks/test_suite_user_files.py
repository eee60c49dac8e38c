"""A user's agent and environment take part by a TOML file."""

import sys

import gymnasium as gym
import pytest

from benchmarks.__main__ import main
from benchmarks.suite import user_files
from benchmarks.suite.finding import load
from benchmarks.suite.records import read
from benchmarks.suite.tasks import measure
from pg_agents.errors import UserError

OWN = """import gymnasium as gym

from pg_agents.agents import Reinforce


class Mine(Reinforce):
    name = "mine"


class Coin(gym.Env):
    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, float(action), True, False, {}


gym.register("Coin-v0", Coin)
"""
MINE = """question = "Does mine learn what a coin is worth?"
seeds = 2

[defaults]
env = "own_coin:Coin-v0"
num_envs = 4
total_steps = 400
episodes = 20

[cells.mine]
agent = "own_coin:Mine"
arguments = { learning_rate = 0.05 }

[cells.ppo]
agent = "ppo"
env = "pg/TwoArmedBandit-v0"
arguments = { num_steps = 16 }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Measure in this process, in a folder with a user's files, which no other test's are taken for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_coin", raising=False)
    load.cache_clear()

    def carry_out(tasks, jobs, each):
        for task in tasks:
            each(measure(task))

    monkeypatch.setattr("benchmarks.suite.on_this_machine.carry_out", carry_out)
    (tmp_path / "own_coin.py").write_text(OWN)
    (tmp_path / "mine.toml").write_text(MINE)
    yield tmp_path
    sys.modules.pop("own_coin", None)
    gym.registry.pop("Coin-v0", None)


def test_own_agents_and_environments_are_measured_and_reported(folder, capsys):
    assert main(["run", "mine.toml", "--out", "out"]) == 0
    found = read(folder / "out" / "mine.jsonl")
    assert sorted((r.cell["name"], r.seed) for r in found) == [("mine", 0), ("mine", 1), ("ppo", 0), ("ppo", 1)]
    mine = next(r for r in found if r.cell["name"] == "mine")
    assert mine.cell["env"] == "own_coin:Coin-v0" and mine.cell["arguments"] == {"learning_rate": 0.05}
    assert mine.result["score"] > mine.result["untrained"] and mine.result["steps"] >= 400
    capsys.readouterr()
    assert main(["list", "mine.toml", "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "mine: Does mine learn what a coin is worth?" in said and "ppo: out 2 done" in said
    assert main(["report", "mine.toml", "--out", "out"]) == 0
    page = (folder / "out" / "mine.md").read_text()
    assert "Does mine learn what a coin is worth?" in page and "own_coin" in page
    assert (folder / "out" / "mine.png").exists()


def test_cells_of_another_library_are_learned_there(folder, monkeypatch):
    theirs = MINE.replace('agent = "ppo"', 'agent = "PPO"\nlibrary = "stable-baselines3"')
    (folder / "mine.toml").write_text(theirs)
    experiment = load(str(folder / "mine.toml"))
    monkeypatch.setattr(user_files, "PEERS", folder / "peers")
    with pytest.raises(UserError, match=r"no Python in .*peers: make it with `python -m benchmarks peers install`"):
        experiment.check(experiment.cells[1])
    (folder / "peers" / "bin").mkdir(parents=True)
    (folder / "peers" / "bin" / "python").touch()
    for cell in experiment.cells:
        experiment.check(cell)
    assert not experiment.together(experiment.cells[1])


def test_tables_have_the_entries_of_the_defaults_too(folder):
    shared = MINE.replace("episodes = 20", "episodes = 20\narguments = { discount = 0.9, learning_rate = 0.1 }")
    (folder / "mine.toml").write_text(shared)
    mine, ppo = load(str(folder / "mine.toml")).cells
    assert mine.arguments == {"discount": 0.9, "learning_rate": 0.05}
    assert ppo.arguments == {"discount": 0.9, "learning_rate": 0.1, "num_steps": 16}


def test_changed_code_of_ones_own_is_measured_again(folder, capsys):
    assert main(["run", "mine.toml", "--only", "mine", "--out", "out"]) == 0
    (first, _) = read(folder / "out" / "mine.jsonl")
    assert main(["run", "mine.toml", "--only", "mine", "--out", "out"]) == 0
    assert len(read(folder / "out" / "mine.jsonl")) == 2
    (folder / "own_coin.py").write_text(OWN + "\n# another coin\n")
    load.cache_clear()
    assert main(["run", "mine.toml", "--only", "mine", "--out", "out"]) == 0
    found = read(folder / "out" / "mine.jsonl")
    assert len(found) == 4 and first.code and found[-1].code != first.code


def test_seeds_may_be_a_list(folder):
    (folder / "mine.toml").write_text(MINE.replace("seeds = 2", "seeds = [5, 3]"))
    assert load(str(folder / "mine.toml")).seeds == (5, 3)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("seeds = 2", "seeds = ", "this is no TOML: Invalid value"),
        ("seeds = 2", "seed = 2", "seed is unknown; write seeds, or leave it out"),
        ("seeds = 2", "seeds = 0", "seeds must be a number above 0 or a list of different ones, got 0"),
        ("seeds = 2", "seeds = [1, 1]", "seeds must be a number above 0 or a list of different ones, got [1, 1]"),
        ("seeds = 2", "seeds = true", "seeds must be a number above 0 or a list of different ones, got True"),
        ("[defaults]", "[default]", "default is unknown; write defaults, or leave it out"),
        ("num_envs = 4", "num_env = 4", "defaults.num_env is unknown; write num_envs, or leave it out"),
        ("num_envs = 4", "", "cells.mine.num_envs is missing; write it there or in [defaults]"),
        ("num_envs = 4", "num_envs = 0", "defaults.num_envs must be a whole number above 0, got 0"),
        ("num_envs = 4", 'num_envs = "4"', "defaults.num_envs must be a whole number above 0, got '4'"),
        ('agent = "ppo"', "agent = 3", "cells.ppo.agent must be a text, got 3"),
        ('agent = "ppo"', 'agent = "pppo"', "cells.ppo: agent: there is no 'pppo'; give one of "),
        ('"own_coin:Mine"', '"own_coin:Yours"', "cells.mine: agent: own_coin has no Yours"),
        ('"own_coin:Mine"', '"no_coin:Mine"', "cells.mine: ModuleNotFoundError: No module named 'no_coin'"),
        ("TwoArmedBandit", "TwoArmedBandid", "cells.ppo: env"),
        ("num_steps", "nums_steps", "cells.ppo: "),
        ("learning_rate = 0.05", "learning_rate = -1.0", "cells.mine: learning_rate must be "),
        ("num_steps = 16", "seed = 16", "cells.ppo: arguments: seed is not theirs; leave it out"),
        ("seeds = 2", "seeds = [1, -1]", "seeds must be a number above 0 or a list of different ones, got [1, -1]"),
        ("num_steps = 16 }", "num_steps = 16 }\neval_args = { no = 1 }", "cells.ppo: eval_args: pg/TwoArmedBandit-v0"),
        (
            'agent = "ppo"',
            'agent = "ppo"\nlibrary = "sb3"',
            "library: there is no 'sb3'; give one of pg_agents, stable-",
        ),
        (
            'agent = "ppo"',
            'agent = "PPO"\nlibrary = "stable-baselines3"\nwrappers = ["A"]',
            "cells.ppo: wrappers: stable-",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_before_anything_is_measured(folder, capsys, right, wrong, said):
    assert MINE.count(right) == 1
    (folder / "mine.toml").write_text(MINE.replace(right, wrong))
    assert main(["run", "mine.toml", "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "mine.toml: " in error and said in error
    assert len(error.strip().splitlines()) == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cells: there are none"),
        ("cells = 3", "cells must be a table"),
        ("[cells]\na = 1", "cells.a must be a table"),
    ],
)
def test_a_file_without_cells_is_refused(folder, capsys, text, said):
    (folder / "mine.toml").write_text(text)
    assert main(["run", "mine.toml"]) == 2
    assert said in capsys.readouterr().err
