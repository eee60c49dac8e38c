"""The returns of learners of one batch against those of single runs."""

from dataclasses import asdict
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from benchmarks.correctness import _alike
from benchmarks.correctness import learners_alike as alike
from benchmarks.suite.records import Record
from pg_agents.data.learners import of_each
from pg_agents.generators import Generators
from pg_agents.training.loop import make_collector

QUICK = _alike.samples(alike.COLOURS, "a2c", "pg/CartPole-v1", 2, 100, {"num_steps": 8, "hidden": [8]})


def test_two_samples_are_compared_by_hand():
    same = _alike.compared([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])
    assert same["difference_of_means"] == 0 and same["ks"] == same["mean"] == same["spread"] == pytest.approx(1.0)
    found = _alike.compared([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert found["difference_of_means"] == -10.0
    assert found["standard_error"] == pytest.approx((2 * 5 / 3 / 4) ** 0.5)
    assert found["ks"] == pytest.approx(2 / 70)  # of the 70 ways to share eight numbers out, two are as far apart
    assert found["mean"] < 1e-3 and found["spread"] == pytest.approx(1.0)
    assert _alike.compared([1.0] * 9, list(np.linspace(-2, 4, 9)))["spread"] < 0.01
    assert _alike.compared([1.0, 1.0], [1.0, 1.0]) == {"difference_of_means": 0, "standard_error": 0, "ks": 1}


def test_a_batch_and_single_runs_say_the_same_of_the_same_seeds():
    for seed, together in zip((3, 4), alike.learn(QUICK[0], [3, 4]), strict=True):
        (alone,) = alike.learn(QUICK[0], [seed])
        assert alone == pytest.approx(together)


def test_samples_have_seeds_of_their_own(monkeypatch):
    asked = []
    monkeypatch.setattr(alike, "learn", lambda cell, seeds: asked.append([*seeds]) or [{"return": s} for s in seeds])
    batch, alone = (alike.run_seeds(cell, (2, 5)) for cell in QUICK)
    assert asked == [[2, 5], [alike.ALONE + 2], [alike.ALONE + 5]]
    assert batch == {2: {"return": 2}, 5: {"return": 5}}
    assert alone == {seed: {"return": alike.ALONE + seed} for seed in (2, 5)}
    assert alike.run(QUICK[0], 7) == {"return": 7} and len(alike.SEEDS) <= alike.ALONE


def test_the_table_compares_two_samples_and_says_what_is_missing():
    batch, alone, other = alike.CELLS[:3]
    found = [(batch, seed, {"return": float(seed), "episodes": 10}, None) for seed in range(3)]
    found += [(alone, seed, {"return": 2.0 + seed, "episodes": 10}, None) for seed in range(3)]
    found += [(other, 0, None, "ValueError: no")]
    text = alike.table([Record("learners_alike", asdict(cell), *rest) for cell, *rest in found])
    lines = text.splitlines()
    start = f"| {batch.problem} | return (3, 3 runs) | 1 | 3 | −2 ± 0.82 | "
    assert lines[2].startswith(start) and lines[3].endswith("| 0 ± 0 | 1.00 | – | – |")
    assert "**failed** (1 of 1): ValueError: no | missing" in lines[4]


def preferences(seeds, updates=40):
    """Return the probability of the better arm, of learners of a bandit without noise, after some updates."""
    env = gym.make_vec("pg/TwoArmedBandit-v0", 2 * len(seeds), probabilities=(1.0, 0.0))
    which = {"seed": seeds[0]} if len(seeds) == 1 else {"seeds": list(seeds)}
    how = {"normalize_advantages": True, "learning_rate": 0.05, "optimizer": "sgd"}
    agent = pg.ActorCritic.for_env(env, **which, **how)
    collector = make_collector(agent, env, seeds[0])
    for _ in range(updates):
        agent.update(next(collector))
    return agent.policy.probabilities()[..., 0].flatten().tolist()


@cache
def alone():
    return sum((preferences([seed]) for seed in range(16, 32)), [])


@pytest.mark.slow
def test_learners_of_one_batch_cannot_be_told_from_single_runs():
    found = _alike.compared(preferences(range(16)), alone())
    assert min(found[name] for name in ("ks", "mean", "spread")) > 0.01


def one_generator(self, seeds, device="cpu"):
    first = next(iter(seeds := list(seeds)))
    self.each, self.ahead = [torch.Generator(device).manual_seed(first) for _ in seeds], None


test_seeded_bugs = seeded(
    Bug(
        "learners share one generator",
        Generators.__init__,
        one_generator,
        [test_learners_of_one_batch_cannot_be_told_from_single_runs],
    ),
    Bug(
        "advantages are standardised over all learners",
        of_each,
        lambda function, num_learners, *arrays, **named: function(*arrays, **named),
        [test_learners_of_one_batch_cannot_be_told_from_single_runs],
    ),
)
