"""REINFORCE against closed forms, exact expectations and independent runs."""

import numpy as np
import pytest
import torch
from pg_envs import GaussianBanditVector
from support.bugs import Bug, seeded, with_arguments, with_result
from support.hand_made import LOGITS, Problem, exact_gradient, gradients, padded, prepare, rollout, tabular

from pg_agents.agents import Reinforce
from pg_agents.agents.common import advantages
from pg_agents.collection.collectors import collect_episodes
from pg_agents.functional import losses


def expected_gradient(agent, problem):
    """Return E[−∇ loss] over all trajectories of the agent's policy, [S, A]."""
    policy = agent.policy.probabilities()[0].tolist()
    trajectories = problem.trajectories(policy)
    assert sum(p for _, p in trajectories) == pytest.approx(1, abs=1e-12)
    return -sum(p * gradients(agent, rollout(rows))["policy.logits"][0] for rows, p in trajectories)


@pytest.mark.parametrize("discount", [0.6, 1.0])
@pytest.mark.parametrize("signal", ["whole-return", "discounted-reward-to-go"])
def test_expected_gradient_is_the_exact_gradient(signal, discount):
    agent = Reinforce(policy=tabular(), discount=discount, signal=signal)
    torch.testing.assert_close(
        expected_gradient(agent, Problem()), exact_gradient(Problem(), discount), rtol=0, atol=1e-10
    )


def test_reward_to_go_without_the_weights_of_time_is_another_direction():
    agent = Reinforce(policy=tabular(), discount=0.6, signal="reward-to-go")
    estimate, exact = expected_gradient(agent, Problem()), exact_gradient(Problem(), 0.6)
    cosine = torch.nn.functional.cosine_similarity(estimate.flatten(), exact.flatten(), dim=0)
    assert cosine < 0.999
    agent = Reinforce(policy=tabular(), discount=1.0, signal="reward-to-go")
    torch.testing.assert_close(expected_gradient(agent, Problem()), exact_gradient(Problem(), 1), rtol=0, atol=1e-10)


def test_bandit_updates_are_the_closed_form():
    """Equation (6): θ_a ← θ_a + α R (1[a = A] − π(a)), here for 40 pulls, averaged over three environments."""
    policy = tabular(torch.zeros(1, 1, 4, dtype=torch.float64))
    agent = Reinforce(policy=policy, learning_rate=0.3, optimizer="sgd")
    collector = collect_episodes(GaussianBanditVector(num_envs=3, means=(0.1, 0.9, 0.4, -1.0)), policy, seed=1)
    theta = np.zeros(4)
    for _ in range(40):
        record = next(collector)
        agent.update(record)
        pi = np.exp(theta) / np.exp(theta).sum()
        pairs = zip(record.actions[0].tolist(), record.rewards[0].tolist(), strict=True)
        theta = theta + 0.3 / 3 * sum(reward * (np.eye(4)[action] - pi) for action, reward in pairs)
        np.testing.assert_allclose(policy.logits.detach().numpy().ravel(), theta, rtol=0, atol=1e-12)
    assert np.ptp(theta) > 0.5


@pytest.mark.parametrize(
    ("signal", "advantages"),
    [
        # γ = ½. Episode 1: rewards 1, 2, 4: to go 1 + ½(2 + ½·4) = 3, 2 + 2 = 4, 4. Episode 2: 8 alone, truncated.
        ("reward-to-go", [[3, 8], [4, 0], [4, 0]]),
        ("discounted-reward-to-go", [[3, 8], [2, 0], [1, 0]]),
        ("whole-return", [[3, 8], [3, 0], [3, 0]]),
    ],
)
def test_signals_by_hand(signal, advantages):
    record = rollout([(0, 1, 1, ""), (1, 0, 2, ""), (0, 0, 4, "T")], [(1, 1, 8, "X")], final={(0, 1): 0})
    batch, _ = Reinforce(policy=tabular(), discount=0.5, signal=signal).prepared(record)
    assert (batch.advantages * record.mask).tolist() == advantages
    assert batch.weights.tolist() == [[0.5, 0.5], [0.5, 0], [0.5, 0]]


def test_loss_by_hand():
    """One step in state 0, uniform over two actions, reward 3: loss −3 ln ½ − 0.1 ln 2 = 2.9 ln 2 = 2.0101268."""
    agent = Reinforce(policy=tabular(torch.zeros(1, 1, 2, dtype=torch.float64)), entropy_weight=0.1)
    record = rollout([(0, 1, 3, "T")])
    batch, _ = prepare(agent, record)
    loss, metrics = agent(batch)
    assert float(loss.detach()) == pytest.approx(2.0101268236238413, abs=1e-12)
    assert float(metrics["entropy"]) == pytest.approx(0.6931471805599453, abs=1e-12)
    assert gradients(agent, record)["policy.logits"].flatten().tolist() == pytest.approx([1.5, -1.5], abs=1e-12)


def test_gradient_of_the_entropy_bonus():
    """∂H/∂z_a = −π_a (ln π_a + H); rewards are 0, so it is all there is: 0.7 of it for each of state 0's two visits."""
    agent = Reinforce(policy=tabular(), entropy_weight=0.7)
    record = rollout([(0, 1, 0, ""), (0, 0, 0, "T")], [(1, 1, 0, "T")])
    pi = LOGITS[0].softmax(-1)
    slope = pi * (pi.log() - (pi * pi.log()).sum(-1, keepdim=True))  # −∂H/∂z
    expected = 0.7 * slope * torch.tensor([[2 / 2], [1 / 2]])
    torch.testing.assert_close(gradients(agent, record)["policy.logits"][0], expected, rtol=0, atol=1e-12)


def test_normalized_advantages_by_hand():
    """Whole returns 1 and 4 of a one- and a two-step episode: rows 1, 4, 4; mean 3, std √2."""
    record = rollout([(0, 1, 1, "T")], [(1, 0, 0, ""), (0, 0, 4, "T")])
    agent = Reinforce(policy=tabular(), discount=1.0, signal="whole-return", normalize_advantages=True)
    batch, _ = prepare(agent, record)
    root = 2**0.5
    expected = torch.tensor([[-root, 1 / root], [0, 1 / root]], dtype=torch.float64)
    torch.testing.assert_close(batch.advantages, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("reward", [500.0, 1000.1, 0.1])
def test_equal_returns_teach_nothing_when_normalized(reward):
    """Every row has the same return: rounding of their mean must not be blown up into advantages."""
    columns = [[(0, 1, 0, "")] * 20 + [(1, 0, reward, "T")] for _ in range(7)]
    agent = Reinforce(policy=tabular().float(), discount=1.0, normalize_advantages=True)
    batch, _ = agent.prepared(rollout(*columns, dtype=torch.float32))
    assert batch.advantages.abs().max() < 0.01


@pytest.mark.parametrize("signal", ["reward-to-go", "discounted-reward-to-go", "whole-return"])
@pytest.mark.parametrize("normalize", [False, True])
def test_padding_changes_nothing(signal, normalize):
    record = rollout([(0, 1, 1, ""), (1, 0, 2, ""), (0, 0, 4, "T")], [(1, 1, 8, "T")])
    agent = Reinforce(policy=tabular(), discount=0.5, signal=signal, normalize_advantages=normalize, entropy_weight=0.3)
    plain, more = (gradients(agent, form)["policy.logits"] for form in (record, padded(record, 4)))
    torch.testing.assert_close(more, plain, rtol=0, atol=1e-12)
    assert plain.norm() > 0.1


def test_columns_that_never_started_change_nothing():
    episodes = [[(0, 1, 1, ""), (1, 0, 2, "T")], [(1, 1, 8, "T")]]
    agent = Reinforce(policy=tabular(), discount=0.5)
    plain, more = (gradients(agent, rollout(*episodes, *idle))["policy.logits"] for idle in ([], [[None]]))
    torch.testing.assert_close(more, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("limit", "factor"), [(None, 1.0), (0.5, 0.5 / 3), (10.0, 1.0)])
def test_long_gradients_are_scaled_down(limit, factor):
    """Uniform policy, reward 3√2: the gradient is 3√2 (−½, ½), of norm 3; SGD with α = 1 shows what is left of it."""
    policy = tabular(torch.zeros(1, 1, 2, dtype=torch.float64))
    agent = Reinforce(policy=policy, max_grad_norm=limit, learning_rate=1.0, optimizer="sgd")
    metrics = agent.update(rollout([(0, 1, 3 * 2**0.5, "T")]))
    assert float(metrics["grad_norm"]) == pytest.approx(3, abs=1e-12)
    step = 1.5 * 2**0.5 * factor
    assert policy.logits.flatten().tolist() == pytest.approx([-step, step], rel=1e-5)


def test_rewards_are_scaled_by_the_spread_of_discounted_sums():
    """γ = ½, rewards 2, 2 then 4: sums C = 2, 3 and 4, mean 3, std √(2/3); rewards become 2.449, 2.449 and 4.899."""
    agent = Reinforce(policy=tabular(), discount=0.5, normalize_rewards=True)
    scaled = agent.reward_scale(rollout([(0, 1, 2, ""), (0, 0, 2, "T")], [(0, 1, 4, "T")]))
    root = 1.5**0.5
    expected = torch.tensor([[2 * root, 4 * root], [2 * root, 0]], dtype=torch.float64)
    torch.testing.assert_close(scaled.rewards, expected, rtol=0, atol=1e-12)


def test_for_env_seeds_its_networks_and_leaves_the_generator_alone():
    env = __import__("gymnasium").make("CartPole-v1")
    state = torch.get_rng_state()
    first, again, other = (Reinforce.for_env(env, seed=seed).policy.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.0.weight"], other["network.0.weight"])


def test_act_is_greedy_or_sampled_and_adds_the_spaces_start():
    from gymnasium.spaces import Discrete

    agent = Reinforce.for_spaces(Discrete(2, start=3), Discrete(3, start=7))
    agent.policy.logits.data[0, 1] = torch.tensor([0.0, 1.0, 0.0])
    assert agent.act(np.int64(4), greedy=True)[0] == 8
    generator = torch.Generator().manual_seed(0)
    counts = np.bincount([agent.act(np.int64(4), generator=generator)[0] - 7 for _ in range(2000)], minlength=3)
    p = np.exp([0, 1, 0]) / np.exp([0, 1, 0]).sum()
    assert (np.abs(counts - 2000 * p) < 4 * np.sqrt(2000 * p * (1 - p))).all()  # four standard errors


test_seeded_bugs = seeded(
    Bug(
        "γ^t is left out where it was asked for",
        advantages.time_weights,
        with_result(advantages.time_weights, torch.ones_like),
        [test_expected_gradient_is_the_exact_gradient],
    ),
    Bug(
        "the sign of the policy gradient is flipped",
        losses.policy_gradient,
        with_result(losses.policy_gradient, torch.neg),
        [test_expected_gradient_is_the_exact_gradient],
    ),
    Bug(
        "certainty is rewarded",
        losses.with_entropy,
        with_arguments(losses.with_entropy, weight=lambda weight: -weight),
        [test_gradient_of_the_entropy_bonus],
    ),
    Bug(
        "padding counts",
        losses.mean_over_episodes,
        with_arguments(losses.mean_over_episodes, mask=torch.ones_like),
        [test_padding_changes_nothing],
    ),
)
