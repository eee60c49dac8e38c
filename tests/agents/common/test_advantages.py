"""Values along a rollout, by hand."""

from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded
from support.hand_made import prepare, rollout

import pg_agents as pg
from pg_agents.agents.common import advantages
from pg_agents.agents.common.advantages import generalized_advantages, state_values
from pg_agents.functional.returns import explained_variance
from pg_agents.policies import TabularCritic


def test_state_values_by_hand():
    """States 0, 1, 2 are worth 10, 20, 30; the row after is worth what its state is, wherever the episode goes on."""
    record = rollout([(0, 0, 1, ""), (1, 0, 1, ""), (2, 0, 1, "T")])
    critic = TabularCritic(3)
    with torch.no_grad():
        critic.values.copy_(torch.tensor([[10.0, 20.0, 30.0]]))
        values, next_values = state_values(critic, record)
    assert values.squeeze(1).tolist() == [10, 20, 30]
    assert next_values.squeeze(1).tolist()[:2] == [20, 30]


@pytest.mark.parametrize("form", [pg.PPO, pg.A2C, pg.ActorCritic])
def test_targets_that_are_made_of_the_critic_alone_explain_nothing(form):
    """Rewards of 0: what V's targets vary by is V's own noise, of which it would explain −3 or −300."""
    env = gym.make_vec("Pendulum-v1", 4)
    agent = form.for_env(env, num_steps=16, **({"minibatch_size": 32} if form is pg.PPO else {}))
    record = next(pg.collect_steps(env, agent.policy, 16))
    for scale, drawn in ((0.0, False), (1.0, True)):
        _, metrics = prepare(agent, replace(record, rewards=scale * record.rewards))
        assert bool(metrics["explained_variance"].isfinite()) is drawn


@pytest.mark.parametrize("at_once", [True, False])
def test_rounding_of_values_is_no_advantage(at_once):
    """Rewards of 1000, V = 1000 but for the last of 32 bits: nothing to standardise; beside 999 there is."""
    record = rollout(*[[(i % 2, 0, 1000.0, "T")] for i in range(8)])
    critic = TabularCritic(2)
    for values, found in (([1000.0, 1000.00006], False), ([1000.0, 999.0], True)):
        with torch.no_grad():
            critic.values.copy_(torch.tensor([values]))
            advantages, _, _ = generalized_advantages(critic, record, 0.9, 0.9, normalize=True, at_once=at_once)
        assert len(critic.values.unique()) == 2 and bool(advantages.any()) is found


def of_the_same_state(critic, rollout, right=state_values):
    values, _ = right(critic, rollout)
    return values, values


test_seeded_bugs = seeded(
    Bug("the next value is that of the same state", state_values, of_the_same_state, [test_state_values_by_hand]),
    Bug(
        "a critic is said to explain its own noise",
        advantages._fit,
        lambda values, targets, rewards, mask: explained_variance(values, targets, mask),
        [test_targets_that_are_made_of_the_critic_alone_explain_nothing],
    ),
)
