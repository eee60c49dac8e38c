"""`pg-agents resume` goes on with every option that `train` was given, and keeps those that it is given itself."""

import dataclasses
import inspect
import json
from pathlib import Path

import pytest
import torch

from pg_agents.cli import main, resuming
from pg_agents.cli.options import RunOptions
from pg_agents.cli.parsing import parse
from pg_agents.cli.runs import RunConfig, read_config
from pg_agents.training.loop import train

pytestmark = pytest.mark.usefixtures("folder")

TYPED = {
    "total_steps": "64",
    "seed": "3",
    "num_envs": "2",
    "env_arg": "sutton_barto_reward=True",
    "eval_env_arg": "sutton_barto_reward=False",
    "wrapper": "ClipReward:max_reward=0.5",
    "stop_return": "400",
    "eval_every": "32",
    "eval_episodes": "2",
    "step_timeout": "50",
    "checkpoint_every": "20",
    "keep_checkpoints": "2",
    "device": "cpu:0",
    "threads": "2",
    "log_every": "16",
    "asynchronous": None,
}  # options that change what a run does, each with another value than it has by default
# Where it is, what is shown, what stands for other options, how many such runs (tests/cli/test_seeds.py), who is told
# (tests/training/test_trackers.py), whose code is run, which is typed each time, and what needs several processes
# (tests/training/test_sharded_runs.py).
OTHERS = {"env", "run_dir", "quiet", "json", "tuned", "seeds", "jobs", "config", "trust_config", "track", "imports"}
OTHERS |= {"shard"}
OF_PYTHON = {
    "agent",
    "env",
    "num_envs",
    "env_args",
    "wrappers",
    "handle_signals",
    "probes",
}  # of `train`, by our caller


def typed():
    names = {"asynchronous": "async"}
    flags = [(f"--{names.get(name, name).replace('_', '-')}", value) for name, value in TYPED.items()]
    words = [word for flag in flags for word in flag if word is not None]
    return ["train", "a2c", "CartPole-v1", "--hidden", "4", "--run-dir", "r", "--quiet", *words]


@pytest.fixture
def trained(monkeypatch):
    """Return what `train` is called with, now and later; the first call is that of the options in TYPED."""
    calls, threads = [], torch.get_num_threads()

    def recorded(agent, env, **how):
        made = type(env).__name__, env.num_envs, str(env.spec)
        evaluated = str(how["eval_env"].spec), how["eval_env"].num_envs
        rest = {name: value for name, value in how.items() if name not in ("eval_env", "resume")}
        more = {"env": made, "eval_env": evaluated, "of the agent": agent.arguments, "threads": torch.get_num_threads()}
        calls.append((how, {name: str(value) for name, value in (rest | more).items()}))
        return train(agent, env, **how)

    monkeypatch.setattr(resuming, "train", recorded)
    assert main(typed()) == 0
    yield calls
    torch.set_num_threads(threads)


def test_every_option_is_known_here_and_none_has_its_default():
    assert {field.name for field in dataclasses.fields(RunOptions)} == TYPED.keys() | OTHERS
    run = parse(typed()).run
    for field in dataclasses.fields(RunOptions):
        assert field.name in OTHERS or getattr(run, field.name) != field.default, field.name


def test_a_run_goes_on_with_every_option_that_it_was_given(trained):
    assert main(["resume", "r", "--quiet"]) == 0
    (first, before), (second, after) = trained
    assert [name for name in before if before[name] != after[name]] == [] and (first["resume"], second["resume"]) == (
        False,
        True,
    )
    assert first.keys() == inspect.signature(train).parameters.keys() - OF_PYTHON
    assert {field.name for field in dataclasses.fields(RunConfig)} <= json.loads(
        Path("r/config.json").read_text()
    ).keys()


def test_what_comes_of_going_on_is_written_as_json_like_that_of_train(capsys):
    train_too = ["reinforce", "pg/TwoArmedBandit-v0", "--num-envs", "2", "--total-steps", "8", "--json"]
    assert main(["train", *train_too, "--run-dir", "one"]) == 0
    keys = json.loads(capsys.readouterr().out).keys()
    assert main(["resume", "one", "--total-steps", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == keys and found["total_steps"] >= 40 and found["run_dir"] == "one"
    assert main(["train", *train_too, "--run-dir", "two", "--seeds", "2", "--jobs", "1"]) == 0
    keys = json.loads(capsys.readouterr().out).keys()
    assert main(["resume", "two", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == keys


def config():
    return dataclasses.asdict(read_config(Path("r"), trusted=False))


def test_what_resume_is_given_is_kept_for_the_next_one(trained):
    given = {"total_steps": 96, "stop_return": 300.0, "step_timeout": 40.0, "device": "cpu"}
    before = config()
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["resume", "r", "--quiet", *words]) == 0
    assert config() == before | given
    assert main(["resume", "r", "--quiet"]) == 0
    how = trained[-1][0]
    assert how | how["config"] | given == how | how["config"]
