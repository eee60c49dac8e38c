"""Several learners, measured: their costs, and their returns against those of single runs."""

import json
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded
from support.pool import Here

import pg_agents as pg
from benchmarks.experiments import Run
from benchmarks.learners import alike, command, costs, pictures
from pg_agents.data.learners import of_each
from pg_agents.generators import Generators
from pg_agents.training.loop import make_collector

QUICK = Run("a2c", "pg/CartPole-v1", 2, 100, {"num_steps": 8, "hidden": [8]})


def test_two_samples_are_compared_by_hand():
    same = alike.compared([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])
    assert same["difference_of_means"] == 0 and same["ks"] == same["mean"] == same["spread"] == pytest.approx(1.0)
    found = alike.compared([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert found["difference_of_means"] == -10.0
    assert found["standard_error"] == pytest.approx((2 * 5 / 3 / 4) ** 0.5)
    assert found["ks"] == pytest.approx(2 / 70)  # of the 70 ways to share eight numbers out, two are as far apart
    assert found["mean"] < 1e-3 and found["spread"] == pytest.approx(1.0)
    assert alike.compared([1.0] * 9, list(np.linspace(-2, 4, 9)))["spread"] < 0.01
    assert alike.compared([1.0, 1.0], [1.0, 1.0]) == {"difference_of_means": 0, "standard_error": 0, "ks": 1}


def test_a_batch_and_single_runs_say_the_same_of_the_same_seeds():
    together = alike.learn(QUICK, [3, 4])
    assert together["seeds"] == [3, 4] and together["commit"]
    for i, seed in enumerate((3, 4)):
        alone = alike.learn(QUICK, [seed])
        assert alone["returns"] == pytest.approx([together["returns"][i]]) and alone["seeds"] == [seed]
        assert alone["episodes"] == [together["episodes"][i]]


def test_what_was_run_is_not_run_again(monkeypatch, tmp_path):
    asked = []

    def learn(cell, seeds):
        asked.append(tuple(seeds))
        return {
            "seeds": list(seeds),
            "commit": "0123456789",
            "returns": [float(s) for s in seeds],
            "episodes": [*seeds],
        }

    monkeypatch.setattr(alike, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(alike, "learn", learn)
    how = {"learners": 3, "folder": tmp_path, "say": lambda line: None}
    found = alike.run_alike([QUICK], **how)
    assert asked == [(0, 1, 2), (3,), (4,), (5,)]
    assert found["results"][0]["differences"]["returns"]["difference_of_means"] == -3.0
    assert json.loads((tmp_path / "learners-alike.json").read_text()) == found
    assert alike.run_alike([QUICK], **how) == found and len(asked) == 4
    other = Run("a2c", "pg/CartPole-v1", 2, 200)
    alike.run_alike([QUICK, other], **how)
    assert asked[4:] == asked[:4]
    pictures.plot_alike(tmp_path)
    assert (tmp_path / "learners-alike.png").stat().st_size > 1000


def test_costs_are_seconds_of_a_million_steps():
    runs = [{"steps": 1000, "seconds": s, "cpu_seconds": s / 2} for s in (0.1, 0.3, 0.2)]
    row = costs.row_of("ppo", 4, "ours", runs)
    assert row["seconds"] == pytest.approx(200.0) and row["processor_seconds"] == pytest.approx(100.0)
    assert row["each"] == pytest.approx([100.0, 300.0, 200.0]) and row["steps_per_second"] == pytest.approx(5000.0)
    assert [costs.steps_of(count, 1.0) for count in (1, 4, 64)] == [65_536, 16_384, 12_288]


def test_costs_are_measured_in_turns_and_drawn(monkeypatch, tmp_path):
    order = []

    def run(workload, side, learners, seed, scale):
        order.append((workload.settings["learners"], side, learners, seed))
        return {"steps": 1000 * learners, "seconds": 1.0, "cpu_seconds": 1.0}

    monkeypatch.setattr(costs, "run", run)
    assert command.main(["cost", "--rounds", "2", "--out", str(tmp_path)]) == 0
    assert order[:3] == [(16, "ours", 1, 0), (16, "floor", 1, 0), (16, "ours", 2, 0)]
    assert [(*one[:3], 1 - one[3]) for one in order[28:]] == order[:28][::-1]  # every second round backwards
    stored = json.loads((tmp_path / "learners-cost.json").read_text())
    assert stored["command"] == "python -m benchmarks learners cost --rounds 2" and stored["machine"]["cores"]
    assert len(stored["rows"]) == 2 * 7 * 2 and stored["rows"][-1]["seconds"] == pytest.approx(1e6 / 64_000)
    assert (tmp_path / "learners-cost.png").stat().st_size > 1000


@pytest.mark.parametrize("agent", costs.WORKLOADS)
@pytest.mark.parametrize("side", costs.SIDES)
def test_each_side_counts_the_steps_of_all_learners(agent, side):
    threads = torch.get_num_threads()
    done = costs.run(costs.WORKLOADS[agent], side, 3, 0, 1024 / costs.steps_of(3, 1.0))
    torch.set_num_threads(threads)
    assert done["steps"] == 3 * 1024 and done["seconds"] > 0


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
    found = alike.compared(preferences(range(16)), alone())
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
