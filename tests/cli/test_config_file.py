"""`train --config`: what is typed precedes the file, the file precedes tuned settings, and nothing in it is run."""

import json
import sys
from pathlib import Path

import pytest
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.cli import config_file, main
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.parsing import parse
from pg_agents.schedules import LinearSchedule
from pg_agents.training import tuned
from pg_agents.training.tuned import Tuned

pytestmark = pytest.mark.usefixtures("folder")

TOML = """
agent = "ppo"
env = "CartPole-v1"
num_envs = 4
total_steps = 640
seeds = 3
wrappers = ["ClipReward:max_reward=0.5"]

[arguments]
learning_rate = "1e-2:0"
hidden = [8, 8]
max_grad_norm = "none"
epochs = 2

[env_args]
sutton_barto_reward = true
"""
SMALL = [
    "a2c",
    "CartPole-v1",
    "--num-envs",
    "2",
    "--num-steps",
    "8",
    "--hidden",
    "8",
    "--total-steps",
    "64",
    "--log-every",
    "16",
]


def written(text, name="best.toml"):
    Path(name).write_text(text if isinstance(text, str) else json.dumps(text))
    return name


def train(*typed, agent="ppo"):
    return parse(["train", agent, *typed])


def test_a_file_fills_arguments_of_agent_environment_and_run():
    options = train("--config", written(TOML))
    run = options.run
    assert (run.env, run.num_envs, run.total_steps) == ("CartPole-v1", 4, 640) and options.seeds == [0, 1, 2]
    assert options.arguments == {
        "learning_rate": LinearSchedule(0.01, 0.0), "hidden": (8, 8), "max_grad_norm": None, "epochs": 2,
    }  # fmt: skip
    assert parse_arguments(run.env_arg) == {"sutton_barto_reward": True}
    assert run.wrapper == ("ClipReward:max_reward=0.5",)


def test_what_is_typed_takes_precedence_over_the_file_and_the_file_over_tuned_settings(monkeypatch):
    settings = Tuned(32, 5_000, {"epochs": 7, "clip": 0.1}, {"sutton_barto_reward": False, "render_mode": None})
    monkeypatch.setitem(tuned.TUNED, ("ppo", "CartPole-v1"), settings)
    file = written(TOML.replace("total_steps = 640", "").replace('wrappers = ["ClipReward:max_reward=0.5"]', ""))
    typed = ["--num-envs", "2", "--hidden", "16", "--env-arg", "more=1"]
    options = train("--config", file, "--tuned", *typed)
    assert (options.run.num_envs, options.run.total_steps) == (2, 5_000)  # typed; tuned
    assert options.arguments["hidden"] == (16,) and options.arguments["epochs"] == 2  # typed; the file's
    assert options.arguments["clip"] == 0.1 and options.arguments["max_grad_norm"] is None
    assert parse_arguments(options.run.env_arg) == {"sutton_barto_reward": True, "render_mode": None, "more": 1}
    assert train("CartPole-v1", "--tuned").arguments == settings.arguments


def test_none_is_a_word_where_a_file_has_no_other():
    text = 'env = "CartPole-v1"\n[env_args]\na = "none"\nb = "None"\nc = "nones"\n[eval_env_args]\na = "none"'
    of_toml = train("--config", written(text), "--eval-every", "9").run
    assert parse_arguments(of_toml.env_arg) == {"a": None, "b": None, "c": "nones"}
    assert parse_arguments(of_toml.eval_env_arg) == {"a": None}
    of_json = train("CartPole-v1", "--config", written({"env_args": {"a": "none", "b": None}}, "a.json")).run
    assert parse_arguments(of_json.env_arg) == {"a": "none", "b": None}


def test_typed_arguments_and_wrappers_replace_those_of_the_file():
    given = {"env_args": {"a": 1, "b": 2}, "eval_env_args": {"a": 3, "b": 4}, "eval_episodes": 7}
    file = written(given | {"wrappers": ["ClipReward:max_reward=0.5"]}, "a.json")
    typed = ["CartPole-v1", "--config", file, "--env-arg", "a=5", "--eval-env-arg", "b=6", "--wrapper", "TimeLimit"]
    run = train(*typed, "--eval-every", "9").run
    assert parse_arguments(run.env_arg) == {"a": 5, "b": 2} and run.wrapper == ("TimeLimit",)
    assert parse_arguments(run.eval_env_arg) == {"a": 3, "b": 6} and run.eval_episodes == 7
    run = train(*typed).run  # without evaluations
    assert parse_arguments(run.eval_env_arg) == {"b": 6} and run.eval_episodes != 7


def test_what_a_published_objective_stands_for_is_below_the_file():
    file = written({"agent": "grpo", "env": "CartPole-v1", "arguments": {"clip_high": 0.5}}, "a.json")
    assert train("--config", file, agent="dapo").arguments["clip_high"] == 0.5
    assert train("--config", file, "--clip-high", "0.6", agent="dapo").arguments["clip_high"] == 0.6
    assert train("CartPole-v1", agent="dapo").arguments["clip_high"] == 0.28


@pytest.mark.parametrize(
    ("of_file", "typed", "seeds"),
    [
        ({"seeds": [3, 5]}, [], [3, 5]),
        ({"seeds": [3, 5], "seed": 3}, [], [3, 5]),
        ({"seeds": 2, "seed": 7}, [], [7, 8]),
        ({"seeds": 2}, ["--seed", "4"], [4, 5]),
        ({"seeds": [3, 5]}, ["--seed", "4"], 4),
        ({"seed": 9}, ["--seeds", "2"], [0, 1]),
        ({"seed": 9}, ["--seeds", "1,2"], [1, 2]),
        ({"seeds": [3, 5], "seed": 3}, ["--seeds", "2", "--seed", "8"], [8, 9]),
        ({"seeds": [6]}, [], 6),
        ({"seed": 9}, [], 9),
    ],
)
def test_seeds_of_a_file_and_typed_ones(of_file, typed, seeds):
    options = train("CartPole-v1", "--config", written(of_file, "a.json"), *typed)
    assert (options.run.seed if options.seeds is None else options.seeds) == seeds


def test_a_runs_config_is_a_file_that_makes_the_same_run(folder):
    typed = [
        "--learning-rate",
        "1e-3:0",
        "--eval-every",
        "32",
        "--eval-episodes",
        "2",
        "--wrapper",
        "ClipReward:max_reward=0.5",
    ]
    assert main(["train", *SMALL, *typed, "--seed", "3", "--run-dir", "r", "--quiet"]) == 0
    assert main(["train", "a2c", "--config", "r/config.json", "--run-dir", "again", "--quiet"]) == 0
    first, again = (json.loads((folder / name / "config.json").read_text()) for name in ("r", "again"))
    assert first == again and first["arguments"]["learning_rate"] == "0.001:0.0"
    assert (folder / "r/agent/agent.safetensors").read_bytes() == (
        folder / "again/agent/agent.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("way", [[], ["--jobs", "1"]])
def test_the_config_of_several_seeds_makes_the_same_seeds(folder, way):
    typed = ["--seeds", "3,5", "--checkpoint-every", "40", *way]
    assert main(["train", *SMALL, *typed, "--run-dir", "r", "--quiet"]) == 0
    assert main(["train", "a2c", "--config", "r/config.json", "--run-dir", "again", "--quiet"]) == 0
    for name in ("config.json", "seed-3/config.json", "seed-5/config.json"):
        first, again = (json.loads((folder / run / name).read_text()) for run in ("r", "again"))
        assert first == again
    assert main(["train", "a2c", "--config", "r/config.json", "--seed", "5", "--run-dir", "one", "--quiet"]) == 0
    one = json.loads((folder / "one/config.json").read_text())
    assert (one["num_envs"], one["total_steps"], one["seed"], one["networks"]) == (2, 64, 5, {"hidden": [8]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"agent": "a2c"}, "agent is 'a2c', but ppo is to be trained; take a file for ppo, or train that agent"),
        ({"agent": ["ppo"]}, "agent is ['ppo'], but ppo is to be trained"),
        ({"arguments": {"learning_rat": 1}}, "learning_rat: ppo has no such argument; did you mean learning_rate?"),
        ({"arguments": {"num_learners": 2}}, "num_learners: ppo has no such argument"),
        ({"learning_rate": 1}, "learning_rate is an argument of the agent; write it below [arguments]"),
        ({"num_env": 4}, "num_env: a file of arguments has no such argument; did you mean num_envs?"),
        ({"arguments": {"learning_rate": "x"}}, "learning_rate must be a number, or a schedule start:end such as"),
        ({"arguments": {"epochs": 2.5}}, "epochs must be a whole number, 1 or above, got 2.5"),
        ({"arguments": {"discount": "none"}}, "discount must be between 0 and 1, got 'none'"),
        ({"arguments": [1]}, "arguments must be a table, got [1]"),
        ({"networks": {"encoder": "Mine"}}, "encoder is a module of one's own, 'Mine', which only Python can give"),
        ({"networks": {"num_learners": "x"}}, "num_learners must be a whole number, 1 or above, got 'x'"),
        ({"num_envs": "8"}, "num_envs must be a whole number, 1 or above, or None, got '8'"),
        ({"seeds": []}, "seeds must be a number of seeds, or a list of seeds like [3, 5, 9], or None, got ()"),
        ({"env": 3}, "env must be text, or None, got 3"),
        ({"wrappers": "ClipReward"}, "wrappers must be a list, got 'ClipReward'"),
        ({"wrappers": [3]}, "wrappers must be texts like 'FrameStackObservation:stack_size=4', or tables"),
        ({"wrappers": [{"name": "RecordVideo"}]}, "wrappers: RecordVideo cannot be used here"),
        ({"env": "mine_to_import:X-v0"}, "env names a module, 'mine_to_import', and importing it runs its code"),
    ],
)
def test_what_is_wrong_names_the_file_the_key_and_the_way_out(text, message, capsys):
    typed = [] if "env" in text else ["CartPole-v1"]
    assert main(["train", "ppo", *typed, "--config", written(text, "a.json"), "--run-dir", "r"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --config: a.json: {message}") and err.count("\n") == 1
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"", "a.yaml must be a file whose name ends in .toml or .json"),
        ("a.toml", b"=", "a.toml cannot be read as TOML"),
        ("a.toml", b"a = 2026-01-01", "a.toml cannot be read as TOML"),
        ("a.json", b"\xff" * 10**6, "a.json cannot be read as JSON"),
        ("a.json", b"[" * 10**5, "a.json cannot be read as JSON"),
        ("a.json", b"3", "a.json must hold a table of arguments by name, got 3"),
        (None, b"", "a.json cannot be read (No such file or directory)"),
    ],
)
def test_files_that_cannot_be_read_are_one_sentence(name, content, message, capsys):
    if name is not None:
        Path(name).write_bytes(content)
    assert main(["train", "ppo", "CartPole-v1", "--config", name or "a.json"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --config: {message}") and err.count("\n") == 1


def test_a_runs_folder_is_answered_with_its_config(capsys):
    Path("r").mkdir()
    written({}, "r/config.json")
    assert main(["train", "ppo", "CartPole-v1", "--config", "r"]) == 2
    assert capsys.readouterr().err.endswith("; give r/config.json\n")


def test_an_environment_that_stands_nowhere_is_missed(capsys):
    assert main(["train", "ppo", "--config", written("num_envs = 2")]) == 2
    assert capsys.readouterr().err.startswith("error: ENV: it is missing; give the id of an environment")


MODULE = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv
open("ran", "w").close()
gym.register("Brought-v0", CartPoleEnv, max_episode_steps=5)
"""


@pytest.fixture
def brought(folder, monkeypatch):
    """A file that names a module, which lies beside it."""
    (folder / "a_module_that_was_brought.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield written('env = "a_module_that_was_brought:Brought-v0"\ntotal_steps = 16\nnum_envs = 2')
    sys.modules.pop("a_module_that_was_brought", None)
    pg.spaces.environments.gym.registry.pop("Brought-v0", None)


RUN = ["--num-steps", "4", "--quiet", "--run-dir", "r"]


def test_a_module_in_a_file_is_not_imported(brought, capsys):
    main(["train", "a2c", "--config", brought, *RUN])
    assert not Path("ran").exists()
    err = capsys.readouterr().err
    assert err.endswith(f": pg-agents train a2c --config {brought} {' '.join(RUN)} --trust-config\n")
    assert main(["train", "a2c", "CartPole-v1", "--config", brought, *RUN]) == 0
    assert not Path("ran").exists()


@pytest.mark.parametrize("trust", [["--trust-config"], ["a_module_that_was_brought:Brought-v0"]])
def test_a_module_in_a_file_is_imported_if_it_is_trusted_or_typed(brought, trust):
    assert main(["train", "a2c", *trust, "--config", brought, *RUN]) == 0
    assert Path("ran").exists()


def the_file_first(self, run, typed, right=config_file.FromFile.fill):
    return right(self, run, set())


test_seeded_bugs = seeded(
    Bug(
        "a file takes precedence over what is typed",
        config_file.FromFile.fill,
        the_file_first,
        [test_what_is_typed_takes_precedence_over_the_file_and_the_file_over_tuned_settings],
    ),
    Bug(
        "a file names modules to import",
        config_file.untrusted_module,
        lambda env_id: None,
        [test_a_module_in_a_file_is_not_imported],
    ),
)
