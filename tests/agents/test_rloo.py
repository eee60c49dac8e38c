"""RLOO by hand, and its expectation against the exact gradient, also under common random numbers."""

import itertools
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from pg_envs import MDPVectorEnv
from support.bugs import Bug, seeded, with_arguments
from support.grouped_episodes import EPISODES, LOGITS, PROBLEM, TABLE, TASK, tabular
from support.hand_made import gradients, padded, prepare, rollout

from pg_agents.agents import RLOO
from pg_agents.agents.common import groups
from pg_agents.collection.collectors import collect_episodes
from pg_agents.functional import comparisons
from pg_agents.gradients.exact import exact_gradient
from pg_agents.gradients.instrument import measure


def test_advantages_and_weights_by_hand():
    """Returns 3, 7 and 1 of one group: 3 − 4, 7 − 2, 1 − 5. 2 and 10 of the other: −8 and 8. Five episodes: a fifth."""
    batch, _ = prepare(RLOO(policy=tabular(), discount=0.5), EPISODES)
    assert (batch.advantages * EPISODES.mask).tolist() == [[-1, -8, 5, 8, -4], [-1, 0, 5, 0, 0], [-1, 0, 0, 0, 0]]
    expected = EPISODES.mask.double() / 5
    torch.testing.assert_close(batch.weights, expected, rtol=0, atol=1e-15)


def test_gradient_by_hand():
    """Two one-step episodes, uniform policy, rewards 3 (action 1) and 1 (action 0): A = ±2, ½ · 2 · 2 · (−½, ½)."""
    agent = RLOO(policy=tabular(torch.zeros(1, 2, dtype=torch.float64)))
    record = rollout([(0, 1, 3, "T")], [(0, 0, 1, "T")])
    assert gradients(agent, record)["policy.logits"].flatten().tolist() == pytest.approx([1, -1], abs=1e-12)
    batch, _ = prepare(agent, record)
    assert float(agent(batch)[0].detach()) == pytest.approx(0, abs=1e-12)
    agent = RLOO(policy=tabular(torch.zeros(1, 2, dtype=torch.float64)), entropy_weight=0.1)
    assert float(agent(prepare(agent, record)[0])[0].detach()) == pytest.approx(-0.1 * np.log(2), abs=1e-12)


def test_padding_changes_nothing():
    agent = RLOO(policy=tabular(), discount=0.5, entropy_weight=0.3)
    plain, more = (gradients(agent, form)["policy.logits"] for form in (EPISODES, padded(EPISODES, 4)))
    torch.testing.assert_close(more, plain, rtol=0, atol=1e-12)
    assert plain.norm() > 0.1


def test_what_an_episode_waits_before_it_begins_is_not_discounted():
    """Gymnasium's workers may reset once more in place of a step: the column begins a row late."""
    agent = RLOO(policy=tabular(), discount=0.5)
    late = rollout([None, (0, 1, 3, "T")], [(0, 0, 1, ""), (1, 1, 4, "T")])
    batch, _ = prepare(agent, late)
    assert (batch.advantages * late.mask).tolist() == [[0, 0], [0, 0]]  # 3 and 1 + ½ · 4


def test_one_step_is_taken_a_rollout():
    policy = tabular(torch.zeros(1, 2, dtype=torch.float64))
    agent = RLOO(policy=policy, learning_rate=0.5, optimizer="sgd")
    agent.update(rollout([(0, 1, 3, "T")], [(0, 0, 1, "T")]))
    assert policy.logits.flatten().tolist() == pytest.approx([-0.5, 0.5], abs=1e-12)


# -- its expectation ---------------------------------------------------------------------------------------------------


def test_its_expectation_is_the_gradient():
    """Over all batches of two episodes, by the agent's own code; RLOO knows nothing of the problem."""
    from pg_agents.gradients.catalogue import estimators_of

    row = next(e for e in estimators_of(PROBLEM) if e.name == "return − mean of the others")
    measured = measure(row, PROBLEM, tabular(TABLE), batch_size=2)
    assert measured.enumerated and measured.unbiased
    assert measured.bias < 1e-10 and measured.exact.norm() > 0.1


NOISE = (0.1, 0.2, 0.3, 0.4)  # probabilities of what is drawn once for the whole group
NEXT = ((0, 1), (1, 0), (1, 1), (0, 0))  # the state after the first action, by noise and action
PAYS = torch.tensor(np.random.default_rng(0).normal(0, 3, (4, 2, 2)))  # by noise, first and second action


def played(noise, first, second):
    """Return the two-step episode that begins in state noise % 2."""
    pay = float(PAYS[noise, first, second])
    return [(noise % 2, first, 0, ""), (NEXT[noise][first], second, pay, "T")]


def probability(table, noise, first, second):
    return table[noise % 2, first].exp() * table[NEXT[noise][first], second].exp()


def expectation(chance_of_pair):
    """Return E[−∇ loss] over the noise, which a group of two shares, and both episodes' actions."""
    total, agent = 0, RLOO(policy=tabular(), group_size=2)
    choices = list(itertools.product(range(2), repeat=2))
    for (noise, p), one, other in itertools.product(enumerate(NOISE), choices, choices):
        weight = p * chance_of_pair(noise, one, other)
        total = total - weight * gradients(agent, rollout(played(noise, *one), played(noise, *other)))["policy.logits"]
    return total[0]


def test_common_random_numbers_leave_it_unbiased():
    """Given the noise, the other's actions are independent of an episode's own: its return is a baseline."""
    table = LOGITS.log_softmax(-1)
    logits = LOGITS.clone().requires_grad_()
    choices = itertools.product(range(4), range(2), range(2))
    objective = sum(NOISE[n] * probability(logits.log_softmax(-1), n, a, b) * PAYS[n, a, b] for n, a, b in choices)
    (exact,) = torch.autograd.grad(objective, logits)
    independent = expectation(lambda n, one, other: probability(table, n, *one) * probability(table, n, *other))
    torch.testing.assert_close(independent, exact, rtol=0, atol=1e-12)
    shared = expectation(lambda n, one, other: probability(table, n, *one) * (one == other))
    assert shared.abs().max() < 1e-12 and exact.norm() > 0.1  # common random numbers for the actions would ruin it


def test_samples_of_groups_agree_with_the_exact_gradient():
    """20,000 episodes of a stochastic process in groups of four: each component within four standard errors."""
    agent = RLOO(policy=tabular(TABLE), group_size=4, discount=0.8, max_episode_steps=2)
    env = MDPVectorEnv(num_envs=400, mdp=TASK)
    collector = collect_episodes(env, agent.policy, group_size=4, max_episode_steps=2, seed=7)
    drawn, alike = [], []
    for _ in range(50):
        record = next(collector)
        record = replace(record, rewards=record.rewards.double(), log_probs=record.log_probs.double())
        drawn.append(-gradients(agent, record)["policy.logits"].flatten())
        first = record.actions[0].reshape(-1, 4)
        returns = record.rewards[0].reshape(-1, 4)
        alike.append((returns[:, 0] == returns[:, 1])[first[:, 0] == first[:, 1]])
    drawn = torch.stack(drawn)
    errors = drawn.std(0) / len(drawn) ** 0.5
    exact = exact_gradient(PROBLEM, agent.policy).flatten()
    assert torch.cat(alike).all(), "episodes of a group that act alike meet the same noise"
    assert ((drawn.mean(0) - exact).abs() <= 4 * errors + 1e-12).all()
    assert exact.norm() > 5 * errors.norm()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group_size": 1}, "group_size must be a whole number, 2 or above, got 1"),
        ({"group_size": 2.0}, "group_size must be a whole number, 2 or above, got 2.0"),
        ({"discount": 1.5}, "discount must be between 0 and 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RLOO.for_spaces(gym.spaces.Discrete(2), gym.spaces.Discrete(2), **arguments)


test_seeded_bugs = seeded(
    Bug(
        "groups are compared with each other",
        comparisons.leave_one_out,
        with_arguments(comparisons.leave_one_out, group_ids=lambda ids: None),
        [test_advantages_and_weights_by_hand],
    ),
    Bug(
        "only the last reward counts for an episode",
        groups.returns_of_columns,
        lambda rollout, discount: (rollout.rewards * rollout.terminated).sum(0),
        [test_advantages_and_weights_by_hand],
    ),
)
