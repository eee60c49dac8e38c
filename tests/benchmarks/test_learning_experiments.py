"""The experiments of learning: their smallest cells run, what they report is right, and suites hold what they name."""

import dataclasses
import itertools
import json
from fnmatch import fnmatchcase
from types import SimpleNamespace

import numpy as np
import pg_envs
import pytest
import torch
from pg_envs import addition_pairs

from benchmarks.learning import (
    abilities,
    bandits,
    classic,
    continuing,
    lecture_note,
    mdps,
    memory,
    mujoco,
    pictures,
    smoke,
    tokens,
)
from benchmarks.learning.protocol import MOST_STEPS, make_agent, training_env
from benchmarks.suite.finding import find, named
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record
from benchmarks.suites import SUITES
from pg_agents import AGENTS

TEN = (abilities, bandits, classic, continuing, mdps, memory, mujoco, pictures, tokens)


def smaller(cell, steps=300, episodes=4):
    """Return a cell that takes less than a second."""
    small, names = {"num_steps": 8, "minibatch_size": 16}, AGENTS[cell.agent].argument_names()
    arguments = cell.arguments | {name: value for name, value in small.items() if name in names}
    return dataclasses.replace(
        cell, num_envs=4, total_steps=steps, episodes=min(episodes, cell.episodes), arguments=arguments
    )


def record(cell, seed, result):
    """Return the record of a run."""
    content = json.loads(json.dumps(dataclasses.asdict(cell)))
    return Record(
        "mine", content, seed, None if result is None else json.loads(json.dumps(result)), None if result else "E: no"
    )


@pytest.mark.parametrize("experiment", [bandits, classic, continuing, mdps, memory, abilities])
def test_the_smallest_cell_runs_and_is_shown(experiment):
    whole = next(cell for cell in experiment.CELLS if cell.agent in ("a2c", "average-reward", "ppo"))
    results = {seed: experiment.run(smaller(whole), seed) for seed in (0, 1)}
    records = [record(whole, seed, result) for seed, result in results.items()]
    shown = experiment.table([*records, record(whole, 2, None)])
    text = shown if isinstance(shown, str) else shown["scores"]
    assert "missing" in text and "failed" in text
    figure = experiment.plot(records)
    assert figure is not None and not unclear(figure)
    assert experiment.plot([]) is None


def test_regret_is_what_pulls_lose_against_the_best_arm():
    cell = bandits.cell("BernoulliBandit", "reinforce")
    env = bandits.Regret(bandits.training_env(cell, 2), 2)  # p = 0.1, 0.3, …, 0.9
    env.reset(seed=0)
    for arm in (0, 4, 4, 2, 2):
        env.step(np.full(16, arm))
    lost, chance = np.stack(env.lost)[:, 0, 0], np.stack(env.lost)[:, 1, 0]
    pulls = np.array([0.8, 0.0, 0.0, 0.4, 0.4]) * 8
    pulled = np.array([1, 0, 1, 0, 1]) if env.resets else np.ones(5)
    np.testing.assert_allclose(lost, pulls * pulled, atol=1e-12)
    np.testing.assert_allclose(chance, 0.4 * 8 * pulled, atol=1e-12)
    env.reset(seed=0)
    env.over[:] = False
    env.step(np.repeat([0, 4], 8))  # of the one learner, and of the other
    np.testing.assert_allclose(env.lost[-1], [[6.4, 0], [3.2, 3.2]], atol=1e-12)
    found = bandits.regret_of(np.array([[1.0, 2.0]] * 9 + [[0.0, 2.0]]), 80)
    assert found["regret"] == 9 and found["score"] == pytest.approx(0.55) and found["last"] == 1
    assert found["curve"][-1] == [80.0, 9.0]


def test_regrets_of_seeds_as_one_batch_are_those_of_each():
    cell = dataclasses.replace(bandits.cell("BernoulliBandit", "reinforce"), total_steps=400)
    found = bandits.run_seeds(cell, [5, 3])
    assert found[5]["learners"] == 2 and found[5]["regret"] != found[3]["regret"]
    for seed in (5, 3):
        assert bandits.run(cell, seed)["regret"] == pytest.approx(found[seed]["regret"])


def test_in_a_bandit_that_drifts_as_many_pulls_are_learned_from_at_once():
    beside, drifts = bandits.cell("GaussianBandit", "ppo"), bandits.cell("NonStationaryBandit", "ppo")
    assert drifts.num_envs == 1
    assert drifts.arguments["num_steps"] == beside.arguments["num_steps"] * beside.num_envs


def test_the_gain_of_a_policy_is_that_of_the_model_and_the_estimate_a_mean_of_the_last_tenth(monkeypatch):
    cell = dataclasses.replace(continuing.CELLS[0], num_envs=4, total_steps=300)
    mdp, curve = continuing.training_env(cell).unwrapped.mdp, []
    known = pg_envs.known_returns(continuing.training_env(cell))
    states, actions = mdp.transitions.shape[:2]
    choices = torch.eye(actions)[torch.tensor(list(itertools.product(range(actions), repeat=states)))]
    for each in (torch.full((states, actions), 1 / actions), *choices):
        policy = SimpleNamespace(probabilities=lambda each=each: each[None])
        continuing.gains(mdp, curve)(SimpleNamespace(agent=SimpleNamespace(policy=policy, gain=[0.25]), steps=7))
    assert curve[0] == [7, pytest.approx(known.random), 0.25]
    assert max(gain for _, gain, _ in curve) == pytest.approx(known.optimal)

    def told(mdp, curve):
        curve.extend([[10, 0.1, 5.0], [280, 0.2, 1.0], [300, 0.3, 3.0]])
        return lambda run: None

    monkeypatch.setattr(continuing, "gains", told)
    result = continuing.run(cell, 0)
    assert (result["score"], result["estimate"]) == (0.3, 2.0)


def test_statistics_of_learners():
    found = lecture_note.statistics(np.array([0.05, 0.5, 0.95, 0.96]))
    assert found["mean"] == pytest.approx(0.615) and found["median"] == pytest.approx(0.725)
    assert (found["above_0.9"], found["below_0.1"]) == (0.5, 0.25)
    assert found["standard_error"] == pytest.approx(np.std([0.05, 0.5, 0.95, 0.96]) / 2)


def test_learners_of_the_figures_learn():
    cell = dataclasses.replace(lecture_note.CELLS[0], learners=20, pulls=1_000)
    result = lecture_note.run(cell, 0)
    assert result["statistics"]["1000"]["mean"] > 0.8 and len(result["quantiles"][0]) == 21
    assert result["statistics"]["1000"]["median"] == pytest.approx(result["quantiles"][2][-1], abs=1e-4)
    table = lecture_note.table([record(lecture_note.CELLS[0], 0, result)])
    assert "| 1,000 | 0.9" in table and "missing" in table
    assert not unclear(lecture_note.plot([record(lecture_note.CELLS[0], 0, result)]))


def test_transformers_are_asked_sums_that_were_not_learned_from(monkeypatch):
    asked = []
    evaluate = tokens.pg.evaluate

    def watched(agent, env, **options):
        asked.append(env.unwrapped.task)
        return evaluate(agent, env, **options)

    monkeypatch.setattr(tokens.pg, "evaluate", watched)
    (cell,) = [cell for cell in tokens.CELLS if cell.name == "Addition-v0/rloo"]
    result = tokens.run(dataclasses.replace(cell, num_envs=16, total_steps=200, episodes=60), 0)
    held_out = {f"{a}+{b}=" for a, b in addition_pairs(2, "held_out")}
    generator = np.random.default_rng(0)
    assert len(asked) == 3
    assert all(task.text(task.draw(generator, 7)) in held_out for task in asked for _ in range(50))
    assert 0 <= result["exact"] <= result["score"] <= 1
    table = tokens.table([record(cell, 0, result)])
    assert "Addition-v0/rloo" in table and table.count("missing") == len(tokens.CELLS) - 1


def test_texts_are_told_greedy_and_sampled(monkeypatch):
    said = iter([(False, [0.0, 0.0]), (True, [1.0, 1.0, 0.75, 1.0]), (False, [1.0, 0.0, 0.5, 0.5])])

    def evaluate(agent, cell, seed, *, greedy=True):
        asked, returns = next(said)
        assert asked == greedy
        return SimpleNamespace(mean_return=float(np.mean(returns)), returns=returns)

    monkeypatch.setattr(tokens, "evaluate", evaluate)
    result = tokens.run(dataclasses.replace(tokens.CELLS[0], num_envs=16, total_steps=100), 0)
    assert [result[name] for name in ("untrained", "score", "exact")] == [0.0, 0.9375, 0.75]
    assert [result[name] for name in ("sampled", "sampled_exact")] == [0.5, 0.25]


def test_an_ability_is_a_share_of_what_there_is_to_gain():
    known = {"random": 0.5, "optimal": 1.0, "memoryless": None}
    assert abilities.share({"score": 0.75, "known": known}) == 0.5
    assert abilities.share({"score": 0.2, "known": known}) == 0 and abilities.share({"score": 1.2, "known": known}) == 1
    cells = abilities.cells_of("ppo", "noise")
    assert all(cell.eval_args == {"reward_std": 0.0} != cell.env_args for cell in cells)  # noise is for learning
    good = {"score": 1.0, "known": known}
    records = [record(cell, 3, good) for cell in cells[1:]] + [record(cells[0], 3, None)]
    assert abilities.score_of("ppo", "noise", records) == [1 - 1 / len(cells)]
    assert abilities.score_of("ppo", "noise", records[1:]) == []


def test_what_is_not_learned_is_an_error():
    assert smoke.checked(smoke.CELLS[0], {"score": 0.6}) == {"score": 0.6, "asked": 0.57}
    with pytest.raises(ArithmeticError, match=r"returns 0\.569, less than 0\.57"):
        smoke.checked(smoke.CELLS[0], {"score": 0.569})


def test_the_smoke_suite_says_how_long_it_takes():
    content, result = {"name": smoke.CELLS[0].name}, {"untrained": 0.5, "score": 0.6, "asked": 0.57}
    records = [Record("smoke", content, seed, result, seconds=took) for seed, took in ((0, 9.0), (0, 1.5), (1, 2.5))]
    assert "all of them take 4 s" in smoke.table(records) and "take" not in smoke.table([])


def test_suites_name_cells_that_exist_in_the_order_in_which_they_are_asked_for():
    for parts in SUITES.values():
        for part in parts:
            cells = named(part.experiment).cells
            for pattern in part.cells:
                assert any(fnmatchcase(cell.name, pattern) for cell in cells), (part.experiment, pattern)
    first = [cell.name for part in SUITES["learning"][:2] for cell in part.of(named(part.experiment).cells)]
    environments = list(dict.fromkeys(name.split("/")[0] for name in first))
    asked = ["CartPole-v1", "Acrobot-v1", "Pendulum-v1", "LunarLander-v3", "HalfCheetah-v5", "Hopper-v5"]
    assert environments == asked
    assert {"smoke", "bandits", "mdps", "tokens", "classic", "mujoco", "memory", "abilities", "peers"} <= SUITES.keys()
    assert {name for name, group in find().items() if group == "learning"} >= {"pong", "lecture_note"}


def test_no_cell_is_longer_than_a_million_steps_and_each_has_ten_seeds():
    for experiment in (*TEN, smoke):
        assert all(cell.total_steps <= MOST_STEPS for cell in experiment.CELLS), experiment.__name__
    assert all(len(experiment.SEEDS) >= 10 for experiment in TEN)
    learned = {cell.agent for cell in classic.CELLS if cell.env == "CartPole-v1" and cell.library == "pg_agents"}
    assert learned == AGENTS.keys() - {"average-reward"}  # whose tasks never end


@pytest.mark.slow
def test_every_agent_can_be_made_with_the_arguments_of_its_cell():
    for experiment in (abilities, bandits, mdps, memory, smoke):
        for cell in experiment.CELLS:
            env = training_env(cell)
            assert make_agent(cell, env, [0]).policy.num_learners == 1, cell.name
            env.close()


@pytest.mark.slow  # 40 s
@pytest.mark.parametrize("cell", smoke.CELLS, ids=lambda cell: cell.name)
def test_small_cells_are_learned(cell):
    assert smoke.run(cell, 100)["score"] >= cell.at_least
