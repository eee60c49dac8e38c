"""Losses and weights against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_result

from pg_agents.functional import losses
from pg_agents.functional.losses import kl_term, mean_over_episodes, mean_over_steps, policy_gradient, squared_error


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
)
