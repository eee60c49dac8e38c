"""The command line, end to end: what it prints, writes and returns."""

import json
import os
import re
import signal
import subprocess
import time

import gymnasium as gym
import pytest
import torch

from pg_agents import AGENTS, Reinforce, load, train
from pg_agents.cli import main
from pg_agents.spaces.environments import make_env

pytestmark = pytest.mark.usefixtures("folder")

TRAIN = ["train", "reinforce-baseline", "pg/GridWorld-v0", "--quiet"]


# -- list --------------------------------------------------------------------------------------------------------------
def test_list_shows_every_agent_and_every_environment(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in AGENTS:
        assert re.search(rf"^{name} +[A-Z]", out, re.MULTILINE)
    ours = [env_id for env_id in gym.registry if env_id.startswith("pg/")]
    assert len(ours) >= 18
    for env_id in ours:
        assert out.count(f"{env_id} ") == 1
    assert re.search(r"^pg/TwoArmedBandit-v0 +Discrete\(1\) +Discrete\(2\) +0.5 +0.6 +ep\.$", out, re.MULTILINE)
    assert re.search(r"^pg/TwoStateMDP-v0 .* 0.5 +0.9 +step$", out, re.MULTILINE)
    assert re.search(r"^pg/Reverse-v0 +≤ 14 tokens +Discrete\(8\) +0.07754 +1 +ep\.$", out, re.MULTILINE)
    assert re.search(r"^pg/CartPole-v1 +Box\(4\) +Discrete\(2\) +– +500 +ep\.$", out, re.MULTILINE)
    assert re.search(r"^pg/NonStationaryBandit-v0 .* 0 +– +ep\.$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80


def test_list_as_json(capsys):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [agent["name"] for agent in listed["agents"]] == list(AGENTS)
    assert all(agent["description"].endswith(".") for agent in listed["agents"])
    assert "discount" in listed["agents"][0]["arguments"] and "policy" not in listed["agents"][0]["arguments"]
    by_id = {env["id"]: env for env in listed["environments"]}
    bandit = by_id["pg/TwoArmedBandit-v0"]
    assert (bandit["random"], bandit["optimal"], bandit["per"]) == (0.5, 0.6, "episode")
    assert bandit["action"] == "Discrete(2)" and by_id["pg/NonStationaryBandit-v0"]["optimal"] is None


# -- train and evaluate ------------------------------------------------------------------------------------------------
def test_a_run_from_training_to_evaluation(capsys, folder):
    typed = ["--total-steps", "3000", "--seed", "7", "--num-envs", "4", "--run-dir", "a run", "--learning-rate", "0.05"]
    assert main(["train", "actor-critic", "pg/GridWorld-v0", "--env-arg", "slip=0.0", *typed, "--discount", "0.9"]) == 0
    out = capsys.readouterr().out
    assert {path.name.split(".")[0] for path in (folder / "a run").iterdir()} == {
        "config", "metrics", "summary", "agent", "events", "checkpoints",
    }  # fmt: skip
    config = json.loads((folder / "a run" / "config.json").read_text())
    assert (config["agent"], config["env"], config["env_args"]) == ("actor-critic", "pg/GridWorld-v0", {"slip": 0.0})
    assert (config["total_steps"], config["seed"], config["num_envs"]) == (3000, 7, 4)
    assert (config["arguments"]["learning_rate"], config["arguments"]["discount"]) == (0.05, 0.9)
    summary = json.loads((folder / "a run" / "summary.json").read_text())
    assert summary["total_steps"] == 3000
    count = summary["recent_episodes"]
    assert 100 <= count <= 103  # of four environments, whose steps count whole
    assert f"{summary['mean_return_last_100']:.4g} (mean of the last {count} episodes; random " in out
    assert f"{summary['steps_per_second']:,.0f} steps per second, 3,000 steps" in out
    assert "pg-agents evaluate 'a run' --episodes 100" in out and "tensorboard --logdir 'a run'" in out

    assert main(["evaluate", "a run", "--episodes", "10", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    # Nothing slips: the greedy policy's episodes are all alike, 5 steps at −0.04 (its last worth 1 instead) at best.
    assert set(result) == {"mean_return", "std_return", "episodes"}
    assert result["episodes"] == 10 and result["std_return"] == pytest.approx(0, abs=1e-9)
    assert main(["evaluate", "a run", "--episodes", "10", "--stochastic"]) == 0
    out = capsys.readouterr().out
    assert "actor-critic on pg/GridWorld-v0, sampled actions, 10 episodes" in out and "random" in out


def test_a_run_that_is_stopped_says_why(capsys, folder):
    typed = ["--env-arg", "probabilities=(1.0,1.0)", "--num-envs", "10", "--stop-return", "1", "--run-dir", "r"]
    assert main(["train", "reinforce", "pg/BernoulliBandit-v0", *typed]) == 0
    said = "stop_return=1: the newest 100 episodes return 1"
    assert f"stopped  {said}\n" in capsys.readouterr().out
    assert json.loads((folder / "r" / "summary.json").read_text())["stopped"] == said


def test_a_run_that_python_trained_in_an_id_is_evaluated_by_its_folder(capsys):
    agent = Reinforce.for_env(gym.make("pg/GridWorld-v0"))
    train(agent, "pg/GridWorld-v0", total_steps=100, env_args={"slip": 0.0}, run_dir="r", progress=False)
    assert main(["evaluate", "r", "--episodes", "5"]) == 0
    assert "reinforce on pg/GridWorld-v0, greedy actions, 5 episodes" in capsys.readouterr().out


def test_the_best_agent_of_a_run_is_evaluated_by_its_folder(capsys, folder):
    typed = ["--total-steps", "400", "--run-dir", "r", "--eval-every", "200", "--eval-episodes", "3", "--quiet"]
    assert main(["train", "actor-critic", "pg/GridWorld-v0", *typed]) == 0
    for path in ("r/agent", "r/best"):
        assert main(["evaluate", path, "--episodes", "3", "--json"]) == 0
    (folder / "r" / "best" / "agent.json").unlink()
    assert main(["evaluate", "r", "--episodes", "3", "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "r/best", "--episodes", "3", "--json"]) == 2
    assert "r/best" in capsys.readouterr().err


def test_only_what_was_typed_replaces_an_agents_own_defaults():
    assert main([*TRAIN, "--total-steps", "10", "--run-dir", "own", "--env-arg", "slip=0.1"]) == 0
    assert main([*TRAIN, "--total-steps", "10", "--run-dir", "typed", "--learning-rate", "3e-3"]) == 0
    own, typed = load("own/agent"), load("typed/agent")
    assert own.learning_rate == AGENTS["reinforce-baseline"].for_env(gym.make("pg/GridWorld-v0")).learning_rate
    assert typed.learning_rate == 0.003 != own.learning_rate
    assert {**own.arguments, "learning_rate": 0} == {**typed.arguments, "learning_rate": 0}


def test_flags_come_from_the_constructor(capsys):
    for name, agent in AGENTS.items():
        assert main(["train", name, "--help"]) == 0
        out = capsys.readouterr().out
        for argument in agent.argument_names():
            typed = argument.replace("_", "-")
            assert f"--{typed}" in out or f"--no-{typed}" in out  # the latter for what is on unless typed
        assert "--policy {None}|STR" in out and "--critic " not in out and "ε of Adam" in out  # the help text
    typed = ["--signal", "whole-return", "--normalize-advantages", "--max-grad-norm", "0.5", "--max-episode-steps", "9"]
    assert (
        main(["train", "reinforce", "pg/GridWorld-v0", "--quiet", "--total-steps", "9", "--run-dir", "r", *typed]) == 0
    )
    agent = load("r/agent")
    assert (agent.signal, agent.normalize_advantages, agent.max_grad_norm) == ("whole-return", True, 0.5)
    assert agent.max_episode_steps == 9


def test_hidden_layers_and_threads(capsys):
    typed = ["--hidden", "5", "3", "--total-steps", "8", "--run-dir", "r", "--quiet", "--threads", "2"]
    try:
        assert main(["train", "actor-critic", "CartPole-v1", *typed]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    shapes = [tuple(weight.shape) for weight in load("r/agent").policy.parameters() if weight.ndim == 2]
    assert shapes == [(5, 4), (3, 5), (2, 3)]
    assert capsys.readouterr().out == ""  # quiet


def test_without_a_run_dir_every_run_gets_a_fresh_folder(folder):
    for _ in range(2):
        assert main([*TRAIN, "--total-steps", "8"]) == 0
    runs = sorted((folder / "runs").iterdir())
    assert len(runs) == 2 and all(run.name.startswith("reinforce-baseline-pg-GridWorld-v0-2") for run in runs)
    assert all((run / "summary.json").exists() for run in runs)


def test_log_every_sets_the_rows(folder):
    typed = ["--total-steps", "40", "--num-envs", "2", "--log-every", "10", "--num-steps", "5", "--run-dir", "r"]
    assert main(["train", "actor-critic", "pg/Chain-v0", "--quiet", *typed]) == 0
    rows = [json.loads(line) for line in (folder / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40]


def test_environments_of_a_module_and_their_native_vector_form(folder):
    typed = ["--total-steps", "24", "--num-envs", "3", "--quiet"]
    assert main(["train", "actor-critic", "support.broken_envs:Broken-v0", *typed, "--run-dir", "sync"]) == 0
    assert main(["evaluate", "sync", "--episodes", "3", "--json"]) == 0
    env = make_env("CartPole-v1", 2, {})
    assert isinstance(env.unwrapped, gym.envs.classic_control.cartpole.CartPoleVectorEnv)
    assert isinstance(make_env("FrozenLake-v1", 2, {}).unwrapped, gym.vector.SyncVectorEnv)


def test_continuing_tasks_are_evaluated_with_the_cut_they_were_trained_with(capsys):
    typed = ["--total-steps", "50", "--max-episode-steps", "5", "--run-dir", "r", "--quiet"]
    assert main(["train", "reinforce", "pg/TwoStateMDP-v0", *typed]) == 0
    assert main(["evaluate", "r", "--episodes", "3"]) == 0
    assert "length   5.0 steps" in capsys.readouterr().out
    assert main(["evaluate", "r", "--episodes", "3", "--max-episode-steps", "7"]) == 0
    assert "length   7.0 steps" in capsys.readouterr().out


def test_videos(capsys, folder):
    assert main(["train", "reinforce", "CartPole-v1", "--total-steps", "8", "--run-dir", "r", "--quiet"]) == 0
    assert main(["evaluate", "r", "--episodes", "2", "--video"]) == 0
    assert "videos   r/videos" in capsys.readouterr().out
    films = sorted((folder / "r" / "videos").glob("*.mp4"))
    assert [film.stem for film in films] == ["rl-video-episode-0", "rl-video-episode-1"]
    assert all(film.stat().st_size > 500 for film in films)


# -- as a process ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_ctrl_c_saves_the_agent_and_exits_with_130(folder, start):
    argv = ["train", "reinforce", "pg/TwoArmedBandit-v0", "--total-steps", "1000000000", "--quiet", "--run-dir", "r"]
    process = start(*argv, "--log-every", "1000", stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    metrics, deadline = folder / "r" / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    first, second = err.splitlines()
    assert out == "" and first.startswith("interrupted: at step ") and "; the agent is saved in r/agent; " in first
    assert second == "next     pg-agents resume r"
    summary = json.loads((folder / "r" / "summary.json").read_text())
    assert summary["total_steps"] >= 1000 and (summary["stopped"], summary["cut_off"]) == (None, "SIGINT")
    assert main(["evaluate", "r", "--episodes", "5", "--json"]) == 0


def test_published_objectives_are_agents_of_the_command_line(folder, capsys):
    typed = ["--total-steps", "200", "--num-envs", "8", "--quiet", "--run-dir"]
    assert main(["train", "dapo", "pg/Copy-v0", *typed, "plain"]) == 0
    assert main(["train", "dapo", "pg/Copy-v0", "--clip-high", "0.4", *typed, "other"]) == 0
    plain, other = load("plain/agent"), load("other/agent")
    assert plain.name == "grpo" and plain.config.aggregation == "token-mean"
    assert (plain.config.clip, plain.config.clip_high) == (0.2, 0.28) and other.config.clip_high == 0.4
    assert main(["train", "rlhf-ppo", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Ouyang et al. (2022)" in out and "(default: 0.02)" in out
