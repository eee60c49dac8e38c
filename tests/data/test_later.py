"""Metrics that are computed later are those that would have been computed at once."""

import copy
import json
import pickle

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents._fast.at_once import of_all, plain_of_all
from pg_agents.agents.common import advantages
from pg_agents.agents.common.advantages import _fit
from pg_agents.data.later import LARGE, Later, LazyMetrics, computed, postponed
from pg_agents.data.learners import of_each
from pg_agents.training.progress import AT_ONCE, RunProgress

CALLS = []


def mean(values, mask):
    CALLS.append(values.shape)
    return (values * mask).sum((-2, -1)) / mask.sum((-2, -1))


def arrays(seed, shape=(3, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator) < 0.7


@pytest.mark.parametrize("learners", [1, 2])
def test_many_are_computed_at_once_and_are_what_each_is(learners):
    """Also between others that are known, and beside others of another shape."""
    given = [arrays(seed) for seed in range(5)] + [arrays(9, (2, 4))]
    several = [postponed(mean, learners, *one) for one in given]
    expected = [one.now() for one in several]
    CALLS.clear()
    found = computed([*several[:2], torch.tensor(7.0), *several[2:]])
    assert len(CALLS) == 2 and float(found.pop(2)) == 7
    torch.testing.assert_close(found, expected)
    assert expected[0].shape == (() if learners == 1 else (2,))


@pytest.mark.parametrize(("learners", "steps"), [(1, 1), (1, 5), (3, 1), (3, 5)])
def test_how_many_are_computed_at_once_changes_no_bit_of_the_explained_variance(learners, steps):
    generator = torch.Generator().manual_seed(0)
    shape = 7, steps, 12
    values, targets = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator).double()
    rewards = torch.randint(2, shape, generator=generator).double()
    mask = torch.rand(shape, generator=generator) < 0.9
    several = [Later(_fit, learners, one) for one in zip(values, targets, rewards, mask, strict=True)]
    together = computed(several)
    assert len(together) == 7 and not torch.stack(together).isnan().all()
    for one, value in zip(several, together, strict=True):
        torch.testing.assert_close(value, *computed([one]), rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(value, one.now(), rtol=1e-12, atol=1e-12, equal_nan=True)


def test_large_arrays_are_not_kept():
    assert isinstance(postponed(mean, 1, *arrays(0, (1, LARGE - 1))), Later)
    assert isinstance(postponed(mean, 1, *arrays(0, (1, LARGE))), torch.Tensor)


def test_what_is_computed_later_is_of_the_arrays_as_they_were():
    values, mask = arrays(0)
    later, expected = postponed(mean, 1, values, mask), mean(values, mask)
    values += 1
    mask[:] = True
    torch.testing.assert_close(later.now(), expected)


@pytest.mark.parametrize("learners", [1, 2])
@pytest.mark.parametrize(
    ("name", "options"), [("actor-critic", {}), ("ppo", {"minibatch_size": 4}), ("ppo", {"minibatch_size": None})]
)
def test_values_that_are_parameters_explain_what_they_did_before_the_update(name, options, learners, monkeypatch):
    def explained():
        how = {"num_learners": learners} if learners > 1 else {}
        env = gym.make_vec("pg/BernoulliBandit-v0", learners, probabilities=(0.2, 0.5))  # a column each: a view
        agent = pg.AGENTS[name].for_env(env, seed=0, num_steps=8, critic_learning_rate=1.0, **options, **how)
        agent.critic.values.data.copy_(torch.arange(float(learners))[:, None])
        rollouts = pg.collect_steps(env, agent.policy, 8, seed=0)
        return [agent.update(next(rollouts))["explained_variance"] for _ in range(4)]

    found = explained()
    monkeypatch.setattr(
        advantages, "postponed", lambda function, learners, *arrays: of_each(function, learners, *arrays)
    )
    torch.testing.assert_close(found, explained(), equal_nan=True)
    assert torch.stack(found).isfinite().any()


READ = {
    "[]": lambda metrics: metrics["x"],
    "get": lambda metrics: metrics.get("x"),
    "items": lambda metrics: dict(metrics.items())["x"],
    "values": lambda metrics: next(iter(metrics.values())),
    "dict": lambda metrics: dict(metrics)["x"],
    "**": lambda metrics: {**metrics}["x"],
    "update": lambda metrics: (found := {}, found.update(metrics))[0]["x"],
    "|": lambda metrics: (metrics | {"y": 1})["x"],
    "| before": lambda metrics: ({"y": 1} | metrics)["x"],
    "copy": lambda metrics: metrics.copy()["x"],
    "copy.copy": lambda metrics: copy.copy(metrics)["x"],
    "deepcopy": lambda metrics: copy.deepcopy(metrics)["x"],
    "pickle": lambda metrics: pickle.loads(pickle.dumps(metrics))["x"],
    "pop": lambda metrics: metrics.pop("x"),
    "setdefault": lambda metrics: metrics.setdefault("x", None),
    "popitem": lambda metrics: metrics.popitem()[1],
    "json": lambda metrics: torch.tensor(json.loads(json.dumps(metrics, default=float))["x"]),
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_whoever_reads_a_metric_gets_a_number(read):
    """As of a dict, in every way to read one."""
    metrics = LazyMetrics(x=postponed(mean, 1, *arrays(0)))
    torch.testing.assert_close(read(metrics), mean(*arrays(0)))


def test_they_equal_a_dict_and_are_joined_without_being_read():
    metrics = LazyMetrics(x=postponed(mean, 1, *arrays(0)))
    joined = {"a": 1} | (metrics | {"b": 2})
    assert isinstance(dict(dict.items(joined))["x"], Later) and [*joined] == ["a", "x", "b"]
    assert metrics == {"x": mean(*arrays(0))} and metrics != {"x": torch.tensor(2.0)} and metrics.get("y", 3) == 3


def test_an_update_of_few_steps_computes_it_when_it_is_read_and_a_run_for_all_updates_since_the_last_row():
    agent = pg.ActorCritic.for_env("CartPole-v1", hidden=(4,), seed=0)
    rollouts, progress, expected = pg.collect_steps("CartPole-v1", agent.policy, 1, num_envs=8), RunProgress(), []
    for _ in range(AT_ONCE + 3):
        metrics = agent.update(next(rollouts))
        raw = dict(dict.items(metrics))
        assert isinstance(raw["explained_variance"], Later)
        progress.learned(metrics)
        expected.append(float(metrics["explained_variance"]))
    kept = progress.metrics["explained_variance"]
    assert [isinstance(value, Later) for value in kept] == [False] * AT_ONCE + [True] * 3
    torch.testing.assert_close(progress.since_row()["explained_variance"].tolist(), expected, equal_nan=True)


test_seeded_bugs = seeded(
    Bug(
        "every update has the value of the first",
        of_all,
        lambda function, several: plain_of_all(function, [several[0]] * len(several)),
        [test_many_are_computed_at_once_and_are_what_each_is],
    )
)
