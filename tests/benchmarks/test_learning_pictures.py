"""Pictures: what is compared is of the same episodes, random is random, and what was known stays known."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

import pg_agents as pg
from benchmarks.learning import pictures, pong
from benchmarks.learning.doorkey import best_return
from benchmarks.learning.protocol import Cell
from benchmarks.suite.records import Record
from pg_agents.collection.env_adapter import environment_seeds
from pg_agents.seeding import Purpose, spawn

DOORKEY = Cell(
    "DoorKey/ppo",
    "ppo",
    "MiniGrid-DoorKey-5x5-v0",
    2,
    64,
    {"num_steps": 16, "minibatch_size": 16, "epochs": 1},
    6,
    {"max_steps": 20},
    wrappers=["FilterObservation:filter_keys=['image','direction']"],
)


def test_a_run_says_what_was_reached_and_what_could_be(monkeypatch):
    greedy, evaluate = [], pg.evaluate
    monkeypatch.setattr(pg, "evaluate", lambda *given, **how: greedy.append(how) or evaluate(*given, **how))
    arguments = {"num_steps": 9, "minibatch_size": 36, "epochs": 1}
    board = {"rows": 6, "columns": 5, "pixels": 4}
    result = pictures.run(Cell("Catch/ppo", "ppo", "pg/Catch-v0", 8, 200, arguments, 200, board), 0)
    assert result["known"]["optimal"] == 1 and -1 <= result["score"] <= 1
    assert abs(result["known"]["random"] + 0.6) < 0.25  # 2/5 − 1; standard error 0.057
    assert {"steps", "curve", "seconds"} <= result.keys()
    assert [how.get("greedy", True) for how in greedy] == [True, False]  # random actions are sampled


def test_the_optimum_is_that_of_the_evaluated_episodes():
    pytest.importorskip("minigrid")
    result = pictures.run(DOORKEY, 3)
    best = []
    for seed in environment_seeds(spawn(3, Purpose.EVALUATION), 6):
        env = gym.make("MiniGrid-DoorKey-5x5-v0", max_steps=20)
        env.reset(seed=seed)
        best.append(best_return(env))
    known = result["known"]
    assert known["optimal"] == pytest.approx(np.mean(best)) and len(set(best)) > 1
    assert 0 <= known["random"] < known["optimal"] < 1


def test_a_random_agent_takes_all_actions_alike():
    env = gym.make_vec("pg/Catch-v0", 2, "sync")
    policy = pictures.random_agent(env).policy
    seen = torch.as_tensor(env.reset(seed=0)[0])
    torch.testing.assert_close(policy(seen).log_prob(torch.tensor([0, 2])).exp(), torch.full((2,), 1 / 3))


def test_cells_whose_runs_all_failed_leave_the_others_their_steps():
    known = {"random": 0.0, "optimal": 1.0, "memoryless": None}
    results = [None, *({"score": 0.5, "known": known},) * (len(pictures.CELLS) - 1)]
    records = [
        Record("pictures", {"name": cell.name}, 10, result, None if result else "E: no")
        for cell, result in zip(pictures.CELLS, results, strict=True)
    ]
    said = pictures.table(records)
    for cell in pictures.CELLS[1:]:
        assert f"| {cell.name} | {cell.total_steps / 1000:,.0f} k |" in said
    assert f"| {pictures.CELLS[0].name} | **failed**" in said and "\\*" not in said


def test_intervals_of_few_runs_are_marked_and_the_mark_is_explained():
    known = {"random": 0.0, "optimal": 1.0, "memoryless": None}
    said = pictures.table(
        [
            Record("pictures", {"name": pictures.CELLS[0].name}, seed, {"score": 0.5, "known": known})
            for seed in (1, 2, 3)
        ]
    )
    assert "\\* | " in said and "\n\n\\* 95 % intervals of 3 runs hold the IQM" in said


@pytest.mark.parametrize(("limit", "value"), [("steps", 128), ("mean_return", 5.0)])
def test_a_game_ends_at_its_limits(limit, value):
    env = gym.make_vec("CartPole-v1", 8)
    probe = pong.Curve(pong.Game("ppo", **({"steps": 10_000, "mean_return": 1e9} | {limit: value})))
    agent = pg.AGENTS["reinforce"].for_env(env)
    summary = pg.train(agent, env, total_steps=10_000, log_every=64, probes=[probe], progress=False)
    assert summary.stopped.startswith(limit) and summary.total_steps < 10_000
    assert probe.rows[-1][:2] == [summary.total_steps, summary.mean_return_last_100]
    assert (summary.episodes >= 100) == (limit == "mean_return")


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
