"""An update of several learners is the updates of each from its own columns, whatever the others have there."""

from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded
from support.hand_made import columns

import pg_agents as pg
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.functional import losses
from pg_agents.generators import Generators
from pg_agents.training.loop import make_collector

SEEDS, B = (3, 5, 9), 4
PPO = {"num_steps": 16, "minibatch_size": 16, "epochs": 2, "hidden": (8,)}
CASES = {
    "reinforce": ("reinforce", {"hidden": (8,), "normalize_advantages": True}),
    "reinforce, whole returns": ("reinforce", {"hidden": (8,), "signal": "whole-return", "normalize_rewards": True}),
    "value": ("reinforce-baseline", {"hidden": (8,), "normalize_advantages": True}),
    "running average": ("reinforce-baseline", {"hidden": (8,), "baseline": "running-average"}),
    "batch mean": ("reinforce-baseline", {"hidden": (8,), "baseline": "batch-mean"}),
    "actor-critic": ("actor-critic", {"num_steps": 5, "hidden": (8,), "normalize_advantages": True}),
    "sgd": ("ppo", PPO | {"optimizer": "sgd", "learning_rate": 0.1, "target_kl": 1e-4, "max_grad_norm": None}),
    "rmsprop": ("ppo", PPO | {"optimizer": "rmsprop", "learning_rate": 0.01, "target_kl": 1e-4}),
    "adam": ("ppo", PPO | {"learning_rate": "0.02:0", "target_kl": 1e-3, "normalize_over": "minibatch"}),
    "scales": ("ppo", PPO | {"normalize_observations": True, "normalize_rewards": True}),
    "memory": ("ppo", PPO | {"hidden": None, "recurrent": 6, "minibatch_size": 32}),
}


def made(case, **seeds):
    name, options = CASES[case]
    count = len(seeds.get("seeds", (0,)))
    env = gym.make_vec("CartPole-v1", B * count, vectorization_mode="sync")
    return pg.AGENTS[name].for_env(env, **seeds, **options).double(), env


def of_learner(rollout, i):
    return columns(rollout, B * i, B * (i + 1))


def hidden(rollout, i, share):
    """Return a rollout in which learner i has decided nothing in that share of its last rows, which hold garbage."""
    first, chosen = int(len(rollout.mask) * (1 - share)), slice(B * i, B * (i + 1))
    mask, observations, rewards = rollout.mask.clone(), rollout.observations.clone(), rollout.rewards.clone()
    mask[first:, chosen], observations[first:, chosen], rewards[first:, chosen] = False, 1e3, 0.0
    kept = (rollout.final_rows[:, 0] < first) | (rollout.final_rows[:, 1] // B != i)
    final = {"final_rows": rollout.final_rows[kept], "final_observations": rollout.final_observations[kept]}
    return replace(rollout, mask=mask, observations=observations, rewards=rewards, **final)


def assert_equal(together, alone):
    """Assert that each learner has what its single agent has: parameters, statistics, generators."""
    state = together.state_dict()
    for i, agent in enumerate(alone):
        assert torch.equal(together.generator[i].get_state(), agent.generator.get_state())
        for key, value in agent.state_dict().items():
            its = state[key] if state[key].shape == value.shape else state[key][i].reshape(value.shape)
            torch.testing.assert_close(its, value, rtol=0, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("share", [0, 0.6])
@pytest.mark.parametrize("case", CASES)
def test_each_learner_learns_from_its_own_columns(case, share):
    together, env = made(case, seeds=SEEDS)
    alone = [made(case, seed=seed)[0] for seed in SEEDS]
    collector = make_collector(together, env, 0)
    for update in range(6):
        rollout = next(collector)
        rollout = hidden(rollout, update % 3, share) if share and not together.policy.recurrent else rollout
        for agent in (together, *alone):
            agent.progress = update / 6
        metrics = together.update(rollout)
        for i, agent in enumerate(alone):
            found = agent.update(of_learner(rollout, i))
            for key, value in found.items():
                torch.testing.assert_close(
                    metrics[key][i].double(), value.double(), rtol=1e-5, atol=1e-6, equal_nan=True
                )
    assert_equal(together, alone)


@pytest.mark.parametrize("case", ["adam", "scales", "memory", "running average"])
def test_a_learner_that_leaves_goes_on_in_the_middle_of_everything(case):
    """Of its schedule, of running returns, of moments, with what is frozen; fed what it would have seen."""
    together, env = made(case, seeds=SEEDS)
    for agent in (together,):
        next(agent.policy.parameters()).requires_grad_(False)
    collector = make_collector(together, env, 0)
    for update in range(3):
        together.progress = update / 6
        together.update(next(collector))
    one = together.learner(1)
    frozen = [p.requires_grad for p in one.parameters()]
    assert one.progress == together.progress == 1 / 3 and frozen == [p.requires_grad for p in together.parameters()]
    for _ in range(3):
        rollout = next(collector)
        together.update(rollout)
        one.update(of_learner(rollout, 1))
    state = together.state_dict()
    for key, value in one.state_dict().items():
        its = state[key] if state[key].shape == value.shape else state[key][1].reshape(value.shape)
        torch.testing.assert_close(its, value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", ["adam", "rmsprop", "sgd"])
def test_what_one_learner_lacks_changes_no_bit_of_the_others(case, precision):
    """Also not where it takes fewer steps, since it lacks minibatches or has moved as far as it may."""
    (one, env), (other, _) = made(case, seeds=SEEDS), made(case, seeds=SEEDS)
    one.to(precision), other.to(precision)
    collector = make_collector(one, env, 0)
    for _ in range(8):
        rollout = next(collector)
        one.update(rollout)
        other.update(hidden(rollout, 1, 0.8))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[2], b[2]) and not torch.equal(a[1], b[1])


def test_generators_are_of_the_learners_only_where_rows_have_seeds_of_their_own():
    """With one generator for all rows of the environment, learners cannot be their single runs anyway."""
    native = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    for env, kind in ((native, torch.Generator), (gym.make_vec("pg/CartPole-v1", 4), Generators)):
        agent = pg.A2C.for_env(env, num_learners=2, hidden=(4,))
        assert type(make_collector(agent, env, 0).actor.generator) is kind


def test_rows_that_begin_anew_after_a_run_was_resumed_have_their_learners_seeds():
    env = gym.make_vec("pg/CartPole-v1", 8)
    collector = make_collector(pg.A2C.for_env(env, seeds=SEEDS[:2], hidden=(4,)), env, 0)
    alone = gym.make_vec("pg/CartPole-v1", 4)
    one = make_collector(pg.A2C.for_env(alone, seed=SEEDS[1], hidden=(4,)), alone, SEEDS[1])
    collector.restart([7, 8])
    one.restart(8)
    assert (collector.adapter.observation[4:] == one.adapter.observation).all()
    assert torch.equal(collector.actor.generator[1].get_state(), one.actor.generator.get_state())


test_seeded_bugs = seeded(
    Bug(
        "learners with fewer minibatches take steps in the others' last ones",
        FlatOptimizer._take,
        lambda self, steps: self.optimizer.step(),
        [(test_each_learner_learns_from_its_own_columns, "adam-0.6")],
    ),
    Bug(
        "the returns of all learners' episodes are averaged together",
        losses._sum_of_learner,
        lambda counts, learners: counts.sum().clamp(min=1).expand(len(counts)),
        [(test_each_learner_learns_from_its_own_columns, "reinforce-0")],
    ),
)
