"""KL in closed form: against numbers worked out by hand, torch's own, and derivatives that must exist."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_agents.distributions import Categorical, DiagonalGaussian
from pg_agents.divergence import kl_divergence

torch.set_num_threads(1)
INF = math.inf


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logs(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_categorical_by_hand_in_both_directions():
    """p = (½, ¼, ¼), q = (¼, ¼, ½): ½ ln 2 − ¼ ln 2. p = (½, ½), q = (¼, ¾): ½ ln 2 + ½ ln ⅔, and ¼ ln ½ + ¾ ln 1.5."""
    p, q = Categorical(logs(0.5, 0.25, 0.25) + 3), Categorical(logs(0.25, 0.25, 0.5))
    assert float(kl_divergence(p, q)) == pytest.approx(0.25 * math.log(2), abs=1e-15)
    p, q = Categorical(logs(0.5, 0.5)), Categorical(logs(0.25, 0.75))
    assert float(kl_divergence(p, q)) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-15)
    assert float(kl_divergence(q, p)) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-15)


def test_gaussian_by_hand_in_both_directions():
    """N(1, 2²) ‖ N(0, 1): −ln 2 + (4 + 1)/2 − ½; the other way round: ln 2 + (1 + 1)/8 − ½; dimensions add up."""
    p = DiagonalGaussian(torch.ones(1).double(), logs(2.0))
    q = DiagonalGaussian(torch.zeros(1).double(), torch.zeros(1).double())
    assert float(kl_divergence(p, q)) == pytest.approx(2 - math.log(2), abs=1e-15)
    assert float(kl_divergence(q, p)) == pytest.approx(math.log(2) - 0.25, abs=1e-15)
    both = [
        DiagonalGaussian(torch.cat([a.mean, b.mean]), torch.cat([a.log_std, b.log_std])) for a, b in [(p, q), (q, p)]
    ]
    assert float(kl_divergence(*both)) == pytest.approx(1.75, abs=1e-15)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), actions=st.integers(1, 6), scale=st.floats(0, 20))
def test_torch_says_the_same(seed, actions, scale):
    one, other = scale * randn(2, 3, 2, actions, seed=seed)
    theirs = [torch.distributions.Categorical(logits=logits) for logits in (one, other)]
    expected = torch.distributions.kl_divergence(*theirs)
    torch.testing.assert_close(kl_divergence(Categorical(one), Categorical(other)), expected, rtol=1e-9, atol=1e-11)
    stds = randn(2, actions, seed=seed + 1)
    normals = [
        torch.distributions.Independent(torch.distributions.Normal(mean, std.exp()), 1)
        for mean, std in zip((one, other), stds, strict=True)
    ]
    expected = torch.distributions.kl_divergence(*normals)
    mine = kl_divergence(DiagonalGaussian(one, stds[0]), DiagonalGaussian(other, stds[1]))
    assert mine.shape == (3, 2)
    torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)


def test_of_a_distribution_from_itself_it_is_zero_with_zero_gradient():
    logits, mean, log_std = (tensor.requires_grad_() for tensor in (randn(5, 4), randn(5, 3), randn(3)))
    kinds = [lambda: Categorical(logits), lambda: DiagonalGaussian(mean, log_std)]
    for make, parameters in zip(kinds, ([logits], [mean, log_std]), strict=True):
        with torch.no_grad():
            old = make()
        divergence = kl_divergence(old, make())
        torch.testing.assert_close(divergence, torch.zeros(5).double(), rtol=0, atol=1e-15)
        for gradient in torch.autograd.grad(divergence.sum(), parameters):
            torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-14)


def test_forbidden_actions_add_nothing_and_have_derivatives():
    """Actions 1 and 3 are forbidden in both: the KL is that of the other two, to the second derivative."""
    free = randn(2, 2, seed=3)
    mask = torch.tensor([False, True, False, True])
    allowed = torch.tensor([0, 2])

    def hessian(make):
        theta = free[1].clone().requires_grad_()
        divergence = kl_divergence(Categorical(make(free[0])), Categorical(make(theta)))
        (gradient,) = torch.autograd.grad(divergence, theta, create_graph=True)
        rows = [torch.autograd.grad(entry, theta, retain_graph=True)[0] for entry in gradient]
        return torch.stack([divergence.detach().expand(2), gradient.detach(), *rows])

    def masked(logits):
        return torch.zeros(4).double().index_put((allowed,), logits).masked_fill(mask, -INF)

    torch.testing.assert_close(hessian(masked), hessian(lambda logits: logits), rtol=0, atol=1e-14)


def test_an_action_that_only_one_of_them_takes():
    some, all_three = Categorical(torch.tensor([0.0, 0.0, -INF])), Categorical(torch.zeros(3))
    assert float(kl_divergence(some, all_three)) == pytest.approx(math.log(1.5))
    assert float(kl_divergence(all_three, some)) == INF


def test_kinds_without_a_closed_form_and_mixed_kinds_are_refused():
    p, q = Categorical(torch.zeros(2)), DiagonalGaussian(torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="q must be a Categorical as p is, got a DiagonalGaussian"):
        kl_divergence(p, q)
    with pytest.raises(TypeError, match="no closed form of KL is known for object"):
        kl_divergence(object(), p)
