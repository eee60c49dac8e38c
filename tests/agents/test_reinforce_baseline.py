"""Baselines: what they are, and what they leave of the expected gradient, by enumeration."""

from itertools import product

import numpy as np
import pytest
import torch
from pg_envs import GaussianBanditVector
from support.bugs import Bug, seeded, with_result
from support.hand_made import LOGITS, Fork, Problem, exact_gradient, gradients, padded, prepare, rollout, tabular

from pg_agents.agents import Reinforce, ReinforceBaseline
from pg_agents.agents.common.baselines import BatchMean, Constant, RunningAverage
from pg_agents.collection.collectors import collect_episodes
from pg_agents.functional.returns import mean_by_time
from pg_agents.policies import TabularCritic, TabularPolicy


def critic_of(*values):
    critic = TabularCritic(len(values)).double()
    critic.values.data[0] = torch.tensor(values)
    return critic


def expected_gradient(agent, problem, num_envs=1):
    """Return E[−∇ loss] over all sets of `num_envs` independent trajectories."""
    trajectories = problem.trajectories(agent.policy.probabilities()[0].tolist())
    total = torch.zeros(2, 2, dtype=torch.float64)
    for several in product(trajectories, repeat=num_envs):
        columns, probabilities = zip(*several, strict=True)
        total -= float(np.prod(probabilities)) * gradients(agent, rollout(*columns))["policy.logits"][0]
    return total


@pytest.mark.parametrize("signal", ["whole-return", "discounted-reward-to-go"])
@pytest.mark.parametrize("baseline", ["constant", "value"])
def test_constants_and_values_leave_the_expected_gradient_alone(baseline, signal):
    critic = critic_of(5.0, -3.0) if baseline == "value" else None
    agent = ReinforceBaseline(
        policy=tabular(), critic=critic, baseline=baseline, constant=2.5, discount=0.6, signal=signal
    )
    torch.testing.assert_close(expected_gradient(agent, Problem()), exact_gradient(Problem(), 0.6), rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_envs", [1, 2, 3])
@pytest.mark.parametrize("signal", ["whole-return", "discounted-reward-to-go"])
def test_batch_mean_scales_the_expected_gradient_by_n_minus_one_over_n(signal, num_envs):
    agent = ReinforceBaseline(policy=tabular(), baseline="batch-mean", discount=0.6, signal=signal)
    expected = exact_gradient(Fork(), 0.6) * (num_envs - 1) / num_envs
    torch.testing.assert_close(expected_gradient(agent, Fork(), num_envs), expected, rtol=0, atol=1e-10)


def test_batch_mean_by_hand():
    """γ = ½: returns to go 3, 4, 4 and 8; means at times 0, 1, 2: 5.5, 4/2 and 4/2, as the second has ended."""
    record = rollout([(0, 1, 1, ""), (1, 0, 2, ""), (0, 0, 4, "T")], [(1, 1, 8, "T")])
    batch, _ = ReinforceBaseline(policy=tabular(), baseline="batch-mean", discount=0.5).prepared(record)
    assert (batch.advantages * record.mask).tolist() == [[-2.5, 2.5], [2, 0], [2, 0]]


def test_running_average_is_equation_13():
    """B_0 = 0; R_{t+1} is compared with B_t, the average of the rewards before it."""
    policy = tabular(torch.zeros(1, 1, 3, dtype=torch.float64))
    agent = ReinforceBaseline(policy=policy, baseline="running-average", learning_rate=0.2, optimizer="sgd")
    collector = collect_episodes(GaussianBanditVector(num_envs=1, means=(1.1, 1.9, 1.4)), policy, seed=1)
    theta, rewards = np.zeros(3), []
    for _ in range(60):
        record = next(collector)
        agent.update(record)
        action, reward = int(record.actions), float(record.rewards)
        pi = np.exp(theta) / np.exp(theta).sum()
        average = np.mean(rewards) if rewards else 0.0
        theta = theta + 0.2 * (reward - average) * (np.eye(3)[action] - pi)
        rewards.append(reward)
        np.testing.assert_allclose(policy.logits.detach().numpy().ravel(), theta, rtol=0, atol=1e-12)
    assert float(agent.compare.total / agent.compare.count) == pytest.approx(np.mean(rewards), abs=1e-12)


def test_running_average_of_several_environments_is_of_earlier_rollouts_only():
    """Rewards 1 and 4, then 7 and 3: compared with 0, then with 2.5; the third rollout is compared with 3.75."""
    agent = ReinforceBaseline(policy=tabular(), baseline="running-average", learning_rate=1e-9)
    pulls = [rollout([(0, 0, one, "T")], [(0, 1, two, "T")]) for one, two in [(1, 4), (7, 3), (0, 0)]]
    advantages = [prepare(agent, record)[0].advantages.tolist() for record in pulls]
    assert advantages == [[[1, 4]], [[4.5, 0.5]], [[-3.75, -3.75]]]


def test_value_baseline_by_hand():
    """V = (2, 1), γ = ½: returns to go 3, 4 in states 0, 1: advantages 1 and 3; the critic's gradient is (V − G)/n."""
    agent = ReinforceBaseline(policy=tabular(), critic=critic_of(2.0, 1.0), discount=0.5)
    record = rollout([(0, 1, 1, ""), (1, 0, 4, "T")])
    batch, metrics = prepare(agent, record)
    assert batch.advantages.flatten().tolist() == [1, 3] and batch.targets.flatten().tolist() == [3, 4]
    assert float(metrics["explained_variance"]) == pytest.approx(1 - 1 / 0.25, abs=1e-12)
    grads = gradients(agent, record)
    assert grads["critic.values"].tolist() == [[-1, -3]]
    pi = LOGITS[0].softmax(-1)
    score = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64) - pi
    torch.testing.assert_close(grads["policy.logits"][0], -score * torch.tensor([[1.0], [3.0]]), rtol=0, atol=1e-12)


def test_constant_zero_is_no_baseline():
    record = rollout([(0, 1, 1, ""), (1, 0, 4, "T")], [(1, 0, 2, "X")])
    plain = gradients(Reinforce(policy=tabular()), record)
    based = gradients(ReinforceBaseline(policy=tabular(), baseline="constant"), record)
    assert torch.equal(plain["policy.logits"], based["policy.logits"])


@pytest.mark.parametrize("baseline", ["value", "constant", "batch-mean", "running-average"])
@pytest.mark.parametrize("normalize", [False, True])
def test_padding_changes_nothing(baseline, normalize):
    record = rollout([(0, 1, 1, ""), (1, 0, 2, ""), (0, 0, 4, "T")], [(1, 1, 8, "T")])

    def learn(form):
        agent = ReinforceBaseline(
            policy=tabular(),
            critic=critic_of(2.0, 1.0) if baseline == "value" else None,
            baseline=baseline,
            constant=1.5,
            discount=0.5,
            normalize_advantages=normalize,
        )
        gradients(agent, form)  # a running average takes the rollout in
        return gradients(agent, form)

    plain, more = learn(record), learn(padded(record, 3))
    for name, gradient in plain.items():
        torch.testing.assert_close(more[name], gradient, rtol=0, atol=1e-12)


def test_columns_that_never_started_are_no_episodes_of_the_mean():
    agent = ReinforceBaseline(policy=tabular(), baseline="batch-mean", discount=0.5)
    episodes = [[(0, 1, 1, ""), (1, 0, 2, "T")], [(1, 1, 8, "T")]]
    plain, more = (gradients(agent, rollout(*episodes, *idle))["policy.logits"] for idle in ([], [[None]]))
    torch.testing.assert_close(more, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"baseline": "mean"}, "baseline must be one of"),
        ({"baseline": "value"}, "critic: ReinforceBaseline with these options needs one"),
        ({"baseline": "constant", "critic": TabularCritic(2)}, "critic: .* has no critic: leave it out"),
        ({"baseline": "constant", "constant": float("nan")}, "constant must be a finite number"),
    ],
)
def test_baselines_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReinforceBaseline(**{"policy": TabularPolicy(2, 2), **arguments})


def of_those_that_go_on(baseline, rollout, returns):
    sums, counts = (mean_by_time(x, rollout.times, rollout.mask, 1) for x in (returns, torch.ones_like(returns)))
    return sums / counts


def with_this_rollout(baseline, rollout, returns, right=RunningAverage.forward):
    right(baseline, rollout, returns)
    return (baseline.total / baseline.count.clamp(min=1)).to(returns.dtype).expand_as(returns)


test_seeded_bugs = seeded(
    Bug(
        "a batch mean leaves out the episodes that have ended",
        BatchMean.forward,
        of_those_that_go_on,
        [test_batch_mean_by_hand],
    ),
    Bug(
        "the running average includes the return it is compared with",
        RunningAverage.forward,
        with_this_rollout,
        [test_running_average_is_equation_13],
    ),
    Bug(
        "the baseline is added",
        RunningAverage.forward,
        with_result(RunningAverage.forward, torch.neg),
        [test_running_average_is_equation_13],
    ),
    Bug(
        "a baseline that sees the action",
        Constant.forward,
        lambda baseline, rollout, returns: baseline.constant * rollout.actions.to(returns.dtype),
        [test_constants_and_values_leave_the_expected_gradient_alone],
    ),
)
