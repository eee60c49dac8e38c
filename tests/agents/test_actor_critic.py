"""Bootstrapped targets against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from pg_envs import RowsVectorEnv
from support.bugs import Bug, seeded, with_arguments, with_result
from support.hand_made import gradients, padded, prepare, rollout

from pg_agents.agents import ActorCritic
from pg_agents.agents.common import advantages
from pg_agents.collection.collectors import collect_episodes, collect_steps
from pg_agents.functional import losses, returns
from pg_agents.policies import TabularCritic, TabularPolicy

MODES = list(AutoresetMode)


def agent_with(values, **arguments):
    policy, critic = TabularPolicy(len(values), 2).double(), TabularCritic(len(values)).double()
    critic.values.data[0] = torch.tensor(values)
    return ActorCritic(policy=policy, critic=critic, **{"discount": 0.5, **arguments})


VALUES = [10.0, 20.0, 30.0, 40.0]
RECORD = rollout(
    [(0, 0, 1, ""), (1, 0, 2, "T"), (2, 0, 3, ""), (3, 0, 4, "")],
    [(0, 0, 1, ""), (1, 0, 2, "X"), None, (0, 0, 4, "")],
    [(0, 0, 1, ""), (1, 0, 2, ""), (2, 0, 3, ""), (3, 0, 4, "TX")],
    final={(1, 1): 3, (3, 0): 1, (3, 1): 2},
)


def test_targets_by_hand():
    """γ = ½, V = (10, 20, 30, 40).

    Column 0 terminates at row 1: 2, and 1 + ½·2 = 2 before. It is cut at row 3 before state 1: 4 + ½·20 = 14, and
    3 + ½·14 = 10 before. Column 1 is truncated at row 1 before state 3: 2 + ½·40 = 22, and 1 + ½·22 = 12 before; row 2
    is the reset; row 3 is cut before state 2: 4 + ½·30 = 19. Column 2 ends with both flags, so it terminates: 4; then
    3 + ½·4 = 5, 2 + ½·5 = 4.5, 1 + ½·4.5 = 3.25.
    """
    batch, _ = prepare(agent_with(VALUES), RECORD)
    expected = [[2, 12, 3.25], [2, 22, 4.5], [10, 0, 5], [14, 19, 4]]
    assert (batch.targets * RECORD.mask).tolist() == expected
    values = torch.tensor([[10, 10, 10], [20, 20, 20], [30, 0, 30], [40, 10, 40]])
    assert (batch.advantages * RECORD.mask).tolist() == (torch.tensor(expected) - values).tolist()
    assert torch.allclose(batch.weights, RECORD.mask.double() / 11)


def test_one_step_targets_by_hand():
    """One row: terminated, truncated before state 3, cut before state 2: 1, 1 + ½·40 and 1 + ½·30."""
    record = rollout([(0, 0, 1, "T")], [(1, 0, 1, "X")], [(3, 0, 1, "")], final={(0, 1): 3, (0, 2): 2})
    batch, _ = prepare(agent_with(VALUES), record)
    assert batch.targets.tolist() == [[1, 21, 16]] and batch.advantages.tolist() == [[-9, 1, -24]]


def test_discounted_time_weighs_by_the_time_in_the_episode():
    batch, _ = prepare(agent_with(VALUES, discounted_time=True), RECORD)
    plain, _ = prepare(agent_with(VALUES), RECORD)
    weights = [[1, 1, 1], [0.5, 0.5, 0.5], [1, 1, 0.25], [0.5, 1, 0.125]]
    mask = RECORD.mask
    assert (batch.advantages * mask).tolist() == (plain.advantages * torch.tensor(weights) * mask).tolist()
    assert torch.equal(batch.targets, plain.targets)


def test_gradients_by_hand():
    """δ = (12 − 10, 21 − 20, 16 − 40) in states 0, 1, 3; uniform policy, scores (±½, ∓½); three rows."""
    record = rollout([(0, 0, 12, "T")], [(1, 0, 1, "X")], [(3, 1, 1, "")], final={(0, 1): 3, (0, 2): 2})
    grads = gradients(agent_with(VALUES), record)
    expected = [[-2 / 6, 2 / 6], [-1 / 6, 1 / 6], [0, 0], [-24 / 6, 24 / 6]]
    torch.testing.assert_close(grads["policy.logits"][0], torch.tensor(expected).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        grads["critic.values"][0], torch.tensor([-2 / 3, -1 / 3, 0, 8]).double(), rtol=0, atol=1e-6
    )


def test_weights_are_as_exact_as_the_parameters():
    """Float64 networks: a third is a third to 1e-15."""
    record = rollout([(0, 0, 12, "T")], [(1, 0, 1, "T")], [(3, 1, 1, "T")])
    grads = gradients(agent_with([0.0] * 4), record)
    assert float(grads["critic.values"][0, 0]) == pytest.approx(-4, abs=1e-14)


def test_critic_has_its_own_learning_rate():
    agent = agent_with([0.0], learning_rate=0.5, critic_learning_rate=0.25, optimizer="sgd")
    agent.update(rollout([(0, 0, 4, "T")]))
    assert agent.critic.values.tolist() == [[1.0]]  # 0 + ¼·4
    assert agent.policy.logits.tolist() == [[[1.0, -1.0]]]  # 0 + ½·4·(±½)


class CorridorVector(RowsVectorEnv):
    """States 0, 1, 2, …, one further each step, rewarded by the state left; terminates on reaching 5."""

    def __init__(self, num_envs, **form):
        super().__init__(num_envs, Discrete(6), Discrete(2), **form)
        self.state = np.zeros(num_envs, np.int64)

    def _start(self, rows):
        self.state[rows] = rows % 5  # row b starts at state b

    def _move(self, actions, rows):
        rewards = self.state[rows].astype(float)
        self.state[rows] += 1
        return rewards, self.state[rows] == 5

    def _observe(self):
        return self.state.copy()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("num_steps", [1, 3, 8])
def test_targets_from_an_environment_in_every_mode(mode, num_steps):
    """Limit 3, V(s) = s², γ = ½: wherever a return stops, V of the true next state stands, 0 only at state 5.

    In state s at time t of an episode the return runs to the end e = min(5, s − t + 3) or to the rollout's end.
    """
    env = CorridorVector(5, max_episode_steps=3, autoreset_mode=mode)
    agent = agent_with([float(s * s) for s in range(6)], num_steps=num_steps)
    collector = collect_steps(env, agent.policy, num_steps)
    checked = 0
    for _ in range(16 // num_steps):
        record = next(collector)
        batch, _ = prepare(agent, record)
        for t, b in record.mask.nonzero().tolist():
            state, time = int(record.observations[t, b]), int(record.times[t, b])
            assert state == b + time
            steps = min(5 - state, 3 - time, num_steps - t)
            target = sum(0.5**k * (state + k) for k in range(steps))
            target += 0.0 if state + steps == 5 else 0.5**steps * (state + steps) ** 2
            assert float(batch.targets[t, b]) == pytest.approx(target, abs=1e-12)
            checked += 1
    assert checked >= 45


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_targets_from_whole_episodes_cut_by_a_cap(mode):
    """Cap 2, rows start at 0 … 4: 0 + ½·1 + ¼·V(2) = 1.5 for the first; the last reaches state 5 at once and gets 4."""
    agent = agent_with([float(s * s) for s in range(6)])
    record = next(collect_episodes(CorridorVector(5, autoreset_mode=mode), agent.policy, max_episode_steps=2))
    batch, _ = prepare(agent, record)
    assert batch.targets[0].tolist() == [1.5, 1 + 1 + 2.25, 2 + 1.5 + 4, 3 + 2, 4]


@pytest.mark.parametrize("normalize", [False, True])
def test_padding_changes_nothing(normalize):
    """Rows after the last, in rollouts whose episodes all ended there."""
    record = rollout([(0, 1, 1, ""), (1, 0, 2, "T")], [(1, 1, 8, ""), (2, 1, 3, "X")], final={(1, 1): 3})
    agent = agent_with(VALUES, normalize_advantages=normalize, entropy_weight=0.3)
    idle = rollout([(0, 1, 1, ""), (1, 0, 2, "T")], [(1, 1, 8, ""), (2, 1, 3, "X")], [None], final={(1, 1): 3})
    plain = gradients(agent, record)
    for form in (padded(record, 3), idle):
        for name, gradient in gradients(agent, form).items():
            torch.testing.assert_close(gradient, plain[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_rows_without_a_decision_teach_nothing(optimizer):
    """NEXT_STEP with one environment and one step: each episode is followed by an update with nothing in it."""
    agent = agent_with(VALUES, optimizer=optimizer)
    agent.update(rollout([(0, 0, 1, "T")]))
    before = [parameter.clone() for parameter in agent.parameters()]
    metrics = agent.update(rollout([None]))
    assert all(torch.equal(old, new) for old, new in zip(before, agent.parameters(), strict=True))
    assert all(torch.isfinite(value) for name, value in metrics.items() if name != "explained_variance")


def towards_what_was_worse(prepared):
    batch, metrics = prepared
    return replace(batch, advantages=-batch.advantages), metrics


def from_the_rollouts_start(rollout, discount):
    return discount ** torch.ones_like(rollout.rewards).cumsum(0) / discount


def of_the_next_row(critic, rollout, right=advantages.state_values):
    values, _ = right(critic, rollout)
    return values, torch.cat([values[1:], torch.zeros_like(values[:1])])


test_seeded_bugs = seeded(
    Bug(
        "the final observation is not looked at",
        advantages.state_values,
        of_the_next_row,
        [test_targets_by_hand, test_targets_from_an_environment_in_every_mode],
    ),
    Bug(
        "the advantage has the wrong sign",
        ActorCritic.prepare,
        with_result(ActorCritic.prepare, towards_what_was_worse),
        [test_gradients_by_hand],
    ),
    Bug(
        "γ^t is left out where it was asked for",
        advantages.time_weights,
        with_result(advantages.time_weights, torch.ones_like),
        [test_discounted_time_weighs_by_the_time_in_the_episode],
    ),
    Bug(
        "γ^t is counted from the rollout's start, not the episode's",
        advantages.time_weights,
        from_the_rollouts_start,
        [test_discounted_time_weighs_by_the_time_in_the_episode],
    ),
    Bug(
        "the value of the next state is used after termination",
        returns.step_discounts,
        with_arguments(returns.step_discounts, terminated=torch.zeros_like),
        [test_targets_by_hand],
    ),
    Bug(
        "nothing is cut at truncation",
        returns.step_lambdas,
        with_arguments(returns.step_lambdas, truncated=torch.zeros_like),
        [test_targets_by_hand],
    ),
    Bug(
        "the mask is shifted by one row",
        losses.mean_over_steps,
        with_arguments(losses.mean_over_steps, mask=lambda mask: mask.roll(1, 0)),
        [test_targets_by_hand],
    ),
)
