"""Pictures: what is compared is of the same episodes, random is random, and what was known stays known."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

import pg_agents as pg
from benchmarks import pixels, plots, pong
from benchmarks.doorkey import best_return
from benchmarks.experiments import Run
from pg_agents.collection.env_adapter import environment_seeds
from pg_agents.seeding import Purpose, spawn

DOORKEY = Run(
    "ppo",
    "MiniGrid-DoorKey-5x5-v0",
    2,
    64,
    {"num_steps": 16, "minibatch_size": 16, "epochs": 1},
    6,
    {"max_steps": 20},
    ["FilterObservation:filter_keys=['image','direction']"],
)


def test_every_cell_has_tuned_settings_and_a_colour():
    assert len(pixels.cells()) == 4
    assert {cell.agent for cell in pixels.cells()} <= plots.COLOURS.keys()
    assert all(cell.episodes == 200 for cell in pixels.cells())


def test_a_run_says_what_was_reached_and_what_could_be():
    arguments = {"num_steps": 9, "minibatch_size": 36, "epochs": 1}
    result = pixels.run(Run("ppo", "pg/Catch-v0", 8, 200, arguments, 200, {"rows": 6, "columns": 5, "pixels": 4}), 0)
    assert result["optimal"] == 1 and result["share_of_optimum"] == result["after"]
    assert abs(result["random"] + 0.6) < 0.25  # 2/5 − 1; standard error 0.057
    assert {"seed", "total_steps", "curve", "commit", "wall_seconds"} <= result.keys()


def test_the_optimum_is_that_of_the_evaluated_episodes():
    pytest.importorskip("minigrid")
    result = pixels.run(DOORKEY, 3)
    best = []
    for seed in environment_seeds(spawn(3, Purpose.EVALUATION), 6):
        env = gym.make("MiniGrid-DoorKey-5x5-v0", max_steps=20)
        env.reset(seed=seed)
        best.append(best_return(env))
    assert result["optimal"] == pytest.approx(np.mean(best)) and len(set(best)) > 1
    assert 0 <= result["random"] < result["optimal"] < 1
    assert result["share_of_optimum"] == pytest.approx(result["after"] / np.mean(best))


def test_a_random_agent_takes_all_actions_alike():
    env = gym.make_vec("pg/Catch-v0", 2, "sync")
    policy = pixels.random_agent(env).policy
    seen = torch.as_tensor(env.reset(seed=0)[0])
    torch.testing.assert_close(policy(seen).log_prob(torch.tensor([0, 2])).exp(), torch.full((2,), 1 / 3))


UNTIL = {"seconds": 1e9, "steps": 1e9, "mean_return": 1e9}


@pytest.mark.parametrize(("limit", "value"), [("seconds", 0.0), ("steps", 128), ("mean_return", 5.0), ("steps", 1e9)])
def test_a_curve_is_written_as_it_comes_and_ends_at_its_limits(limit, value, tmp_path):
    env = gym.make_vec("CartPole-v1", 8)
    agent = pg.AGENTS["reinforce"].for_env(env)
    file = tmp_path / "pong.jsonl"
    file.write_text('{"side": "ours"}\n')
    probe = pong.Curve(file, tmp_path / "agent", UNTIL | {limit: value})
    summary = pg.train(agent, env, total_steps=10_000, log_every=64, probes=[probe], progress=False)
    curve = pong.read_curve(file)
    assert curve["side"] == "ours" and curve["rows"][-1]["steps"] == summary.total_steps
    assert curve["rows"][-1]["mean_return"] == pytest.approx(summary.mean_return_last_100)
    if value == 1e9:
        assert summary.stopped is None and not (tmp_path / "agent").exists()
        return
    assert summary.stopped.startswith(limit) and summary.total_steps < 10_000
    assert pg.load(tmp_path / "agent").name == "reinforce"
    assert (summary.episodes >= 100) == (limit == "mean_return")


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    file = tmp_path / "pong.jsonl"
    file.write_text('{"side": "sb3"}\n{"steps": 8}\n{"ste')
    assert pong.read_curve(file) == {"side": "sb3", "rows": [{"steps": 8}]}


def test_a_run_of_pong_that_is_there_is_not_overwritten(tmp_path, capsys):
    file = tmp_path / "pong-ours-0.jsonl"
    file.write_text("{}\n")
    assert pong.main(["ours", "--out", str(tmp_path)]) == 2 and "move it away" in capsys.readouterr().err
    assert file.read_text() == "{}\n"


def test_both_sides_of_pong_learn_alike():
    """Stable-Baselines3's names for what our tuned settings say; the schedules fall over the same steps."""
    tuned = pong.TUNED["ppo", pong.ENV]
    theirs, falling = pong.THEIRS["arguments"], pong.THEIRS["falling"]
    names = {"num_steps": "n_steps", "epochs": "n_epochs", "minibatch_size": "batch_size", "entropy_weight": "ent_coef"}
    assert {theirs[name] for name in names.values()} == {tuned.arguments[name] for name in names}
    assert all(tuned.arguments[ours] == theirs[name] for ours, name in names.items())
    assert tuned.arguments["learning_rate"] == f"{falling['learning_rate']:g}:0".replace("0.00025", "2.5e-4")
    assert tuned.arguments["clip"] == f"{falling['clip_range']}:0" and tuned.num_envs == 8
    assert json.dumps(pong.THEIRS)
