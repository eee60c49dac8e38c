"""Losses and weights against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_arguments, with_result

from pg_agents.functional import losses
from pg_agents.functional.losses import (
    aggregation_weights,
    clipped_surrogate,
    kl_term,
    mean_over_episodes,
    mean_over_steps,
    policy_gradient,
    preference_loss,
    ratio_metrics,
    squared_error,
    with_entropy,
)


def test_policy_gradient_by_hand():
    """Ψ = 2, −3 and ln π = −½, −¼: −2·(−½) = 1, 3·(−¼) = −0.75; d/d ln π = −Ψ, nothing reaches Ψ."""
    log_probs = torch.tensor([-0.5, -0.25], requires_grad=True)
    advantages = torch.tensor([2.0, -3.0], requires_grad=True)
    loss = policy_gradient(log_probs, advantages)
    assert loss.tolist() == [1, -0.75]
    loss.sum().backward()
    assert log_probs.grad.tolist() == [-2, 3] and advantages.grad is None


def test_squared_error_by_hand():
    """½(3 − 5)² = 2 with slope −2, ½(1 − 0)² = ½ with slope 1; nothing reaches the targets."""
    values = torch.tensor([3.0, 1.0], requires_grad=True)
    targets = torch.tensor([5.0, 0.0], requires_grad=True)
    loss = squared_error(values, targets)
    assert loss.tolist() == [2, 0.5]
    loss.sum().backward()
    assert values.grad.tolist() == [-2, 1] and targets.grad is None


MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]]).bool()


def test_mean_over_episodes_by_hand():
    assert mean_over_episodes(MASK).tolist() == [[0.25] * 4, [0.25, 0, 0.25, 0], [0.25, 0, 0, 0]]
    assert torch.equal(mean_over_episodes(MASK, num_learners=4), MASK.float())  # each learner its own episode
    assert mean_over_episodes(MASK[:, :2], num_learners=2)[0].tolist() == [1, 1]
    assert mean_over_episodes(MASK[:, :1]).flatten().tolist() == [1, 1, 1]
    for learners in (1, 4):
        assert mean_over_episodes(MASK, learners, torch.float64).dtype == torch.float64


def test_mean_over_steps_by_hand():
    assert torch.equal(mean_over_steps(MASK), MASK / 7)
    expected = [[1 / 3, 1, 0.5, 1], [1 / 3, 0, 0.5, 0], [1 / 3, 0, 0, 0]]
    torch.testing.assert_close(mean_over_steps(MASK, num_learners=4), torch.tensor(expected))
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert not mean_over_steps(nothing).any() and not mean_over_steps(nothing, num_learners=3).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 5), columns=st.integers(1, 5), learners=st.booleans())
def test_means_of_steps_sum_to_one(seed, rows, columns, learners):
    mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.6
    sums = mean_over_steps(mask, columns if learners else 1).sum(0)
    if learners and columns > 1:
        assert sums.tolist() == pytest.approx(mask.any(0).float().tolist(), abs=1e-6)
    else:
        assert float(sums.sum()) == pytest.approx(float(mask.any()), abs=1e-6)


def test_kl_terms_by_hand():
    """π = 2 π_ref: x = ln 2; k1 = 0.6931, k2 = ½ x² = 0.2402, k3 = ½ − 1 + ln 2 = 0.1931; derivatives 1, x, 1 − ½."""
    for form, value, slope in (("k1", 0.69314718, 1.0), ("k2", 0.24022651, 0.69314718), ("k3", 0.19314718, 0.5)):
        log_prob = torch.tensor(0.4, dtype=torch.float64).log().requires_grad_()
        reference = torch.tensor(0.2, dtype=torch.float64).log().requires_grad_()
        term = kl_term(log_prob, reference, form)
        term.backward()
        assert term.item() == pytest.approx(value, abs=1e-8), form
        assert log_prob.grad.item() == pytest.approx(slope, abs=1e-8), form
        assert reference.grad is None


def test_the_means_of_k1_and_k3_are_the_divergence():
    policy, reference = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]], dtype=torch.float64)
    divergence = 0.7 * math.log(7) + 0.2 * math.log(0.4) + 0.1 * math.log(0.25)
    for form in ("k1", "k3"):
        mean = (policy * kl_term(policy.log(), reference.log(), form)).sum()
        assert mean.item() == pytest.approx(divergence, abs=1e-12), form


def test_clipped_surrogate_by_hand():
    """ε = 0.2: what the clip leaves of ρÂ for ρ = ½, 1, 1.5 and Â = ±1."""
    log_ratio = torch.tensor([0.5, 1.0, 1.5, 0.5, 1.0, 1.5], dtype=torch.float64).log().requires_grad_()
    advantages = torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64)
    loss = clipped_surrogate(log_ratio, advantages, 0.2)
    expected = torch.tensor([-0.5, -1.0, -1.2, 0.8, 1.0, 1.5], dtype=torch.float64)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()  # flat where the ratio has left the interval in the advantage's direction
    torch.testing.assert_close(log_ratio.grad, torch.tensor([-0.5, -1, 0, 0, 1, 1.5], dtype=torch.float64))
    times_nine = clipped_surrogate(log_ratio, 9 * advantages, 0.2)
    torch.testing.assert_close(times_nine, 9 * expected)
    torch.testing.assert_close(clipped_surrogate(log_ratio, advantages / 9, 0.2), expected / 9)
    wide = clipped_surrogate(log_ratio, advantages, 0.2, 0.6)
    torch.testing.assert_close(wide[2], torch.tensor(-1.5, dtype=torch.float64))


def test_ratio_metrics_by_hand():
    log_ratio = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64).log()
    found = ratio_metrics(log_ratio, 0.3)
    expected = torch.stack([0.5 - 1 - log_ratio[0], torch.zeros((), dtype=torch.float64), 1.5 - 1 - log_ratio[2]])
    torch.testing.assert_close(found["kl"], expected)
    assert found["clip_fraction"].tolist() == [1, 0, 1]
    assert [ratio_metrics(log_ratio, 0.3, high)["clip_fraction"].tolist() for high in (0.4, 0.6)] == [
        [1, 0, 1],
        [1, 0, 0],
    ]
    assert ratio_metrics(log_ratio, 0.6, 0.3)["clip_fraction"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("how", "column"),  # the weights of a step of four episodes, of 3, 1, 2 and 1 steps
    [
        ("sequence-mean", [1 / 12, 1 / 4, 1 / 8, 1 / 4]),
        ("token-mean", [1 / 7] * 4),
        ("constant-length", [1 / 20] * 4),
    ],
)
def test_aggregation_weights_by_hand(how, column):
    expected = torch.tensor(column, dtype=torch.float64) * MASK
    torch.testing.assert_close(aggregation_weights(how, MASK, 5, torch.float64), expected, rtol=0, atol=1e-15)
    begun = torch.cat([MASK, torch.zeros(3, 1, dtype=torch.bool)], 1)  # a fifth episode that never began
    torch.testing.assert_close(aggregation_weights(how, begun, 5, torch.float64)[:, :4], expected, rtol=0, atol=1e-15)
    assert aggregation_weights(how, MASK, 5).dtype == torch.float32


def test_preference_loss_by_hand():
    """Rewards 2 and 2 − ln 3: preferred with probability 3/4, with the slope −1/4 in what was preferred."""
    preferred, other = torch.tensor([2.0], requires_grad=True), torch.tensor([2 - math.log(3)])
    loss = preference_loss(preferred, other)
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(4 / 3), abs=1e-6) and preferred.grad.item() == pytest.approx(-0.25)


def test_entropy_is_taken_off_with_its_weight():
    terms = torch.tensor([1.0, 2.0])
    assert with_entropy(terms, torch.tensor([2.0, 4.0]), 0.5).tolist() == [0, 0]
    assert with_entropy(terms, torch.tensor([math.nan, 0.0]), 0.0) is terms


def gradient_beyond_the_clip(log_ratio, advantages, clip, clip_high=None, right=losses.clipped_surrogate):
    through = log_ratio.exp() - log_ratio.exp().detach()
    return right(log_ratio.detach(), advantages, clip, clip_high) - advantages * through


test_seeded_bugs = seeded(
    Bug(
        "the sign of the policy gradient is flipped",
        losses.policy_gradient,
        with_result(losses.policy_gradient, torch.neg),
        [test_policy_gradient_by_hand],
    ),
    Bug(
        "a gradient flows through the advantages",
        losses.policy_gradient,
        lambda log_probs, advantages: -advantages * log_probs,
        [test_policy_gradient_by_hand],
    ),
    Bug(
        "a gradient flows through the critic's targets",
        losses.squared_error,
        lambda values, targets: 0.5 * (values - targets).square(),
        [test_squared_error_by_hand],
    ),
    Bug(
        "the mask is shifted by one row",
        losses.mean_over_steps,
        with_arguments(losses.mean_over_steps, mask=lambda mask: mask.roll(1, 0)),
        [test_mean_over_steps_by_hand],
    ),
    Bug(
        "tokens are counted with their padding",
        losses.mean_over_steps,
        lambda mask, num_learners=1, dtype=torch.float32: mask.to(dtype) / mask.numel(),
        [test_mean_over_steps_by_hand, (test_aggregation_weights_by_hand, "token-mean-column1")],
    ),
    Bug(
        "the mask is ignored",
        losses.mean_over_episodes,
        with_arguments(losses.mean_over_episodes, mask=torch.ones_like),
        [test_mean_over_episodes_by_hand],
    ),
    Bug(
        "an episode's mean divides by the longest one's steps",
        losses.aggregation_weights,
        lambda how, mask, length, dtype=torch.float32: losses.mean_over_episodes(mask, dtype=dtype) / len(mask),
        [(test_aggregation_weights_by_hand, "sequence-mean-column0")],
    ),
    Bug(
        "the divergence has the ratio upside down",
        losses.kl_term,
        lambda log_probs, reference, form, right=losses.kl_term: right(-log_probs, -reference, form),
        [test_kl_terms_by_hand, test_the_means_of_k1_and_k3_are_the_divergence],
    ),
    Bug(
        "the surrogate is clipped where it helps as well as where it hurts",
        losses.clipped_surrogate,
        lambda log_ratio, advantages, clip, clip_high=None: -advantages * log_ratio.exp().clamp(1 - clip, 1 + clip),
        [test_clipped_surrogate_by_hand],
    ),
    Bug(
        "a gradient flows through the clipped ratio",
        losses.clipped_surrogate,
        gradient_beyond_the_clip,
        [test_clipped_surrogate_by_hand],
    ),
    Bug(
        "the reward model learns what was not preferred",
        losses.preference_loss,
        lambda preferred, other, right=losses.preference_loss: right(other, preferred),
        [test_preference_loss_by_hand],
    ),
    Bug(
        "certainty is rewarded",
        losses.with_entropy,
        with_arguments(losses.with_entropy, weight=lambda weight: -weight),
        [test_entropy_is_taken_off_with_its_weight],
    ),
)
