"""KL in closed form: against numbers worked out by hand, torch's own, and derivatives that must exist."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents.distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical, SquashedGaussian
from pg_agents.functional.divergences import kl_divergence

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


def test_bits_by_their_formula():
    """p ln(p/p') + (1 − p) ln((1 − p)/(1 − p')), and its derivatives p' − p and p' (1 − p') in the logit of q."""
    mine, other = randn(4, 3, seed=5), randn(4, 3, seed=6).requires_grad_()
    found = kl_divergence(Bernoulli(mine), Bernoulli(other))
    one, two = mine.sigmoid(), other.detach().sigmoid()
    expected = one * (one / two).log() + (1 - one) * ((1 - one) / (1 - two)).log()
    torch.testing.assert_close(found.detach(), expected.sum(-1), rtol=0, atol=1e-14)
    (slope,) = torch.autograd.grad(found.sum(), other, create_graph=True)
    torch.testing.assert_close(slope.detach(), two - one, rtol=0, atol=1e-14)
    (curvature,) = torch.autograd.grad(slope.sum(), other)
    torch.testing.assert_close(curvature, two * (1 - two), rtol=0, atol=1e-14)


def test_bits_that_cannot_be_set_add_nothing_and_have_derivatives():
    never = torch.tensor([False, True, False])
    mine, other = randn(3, seed=5), randn(3, seed=6).requires_grad_()
    found = kl_divergence(Bernoulli(mine.masked_fill(never, -INF)), Bernoulli(other.masked_fill(never, -INF)))
    assert float(found.detach()) == pytest.approx(
        float(kl_divergence(Bernoulli(mine[~never]), Bernoulli(other.detach()[~never])))
    )
    (slope,) = torch.autograd.grad(found, other, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), other)
    expected = other.detach().sigmoid() * (1 - other.detach().sigmoid()) * ~never
    torch.testing.assert_close(curvature, expected, rtol=0, atol=1e-14)


def test_independent_choices_add_up():
    """Choices of 3 and of 2 options: the third of the second does not exist."""
    one, two = randn(5, 2, 3, seed=1), randn(5, 2, 3, seed=2)
    one[:, 1, 2] = two[:, 1, 2] = -INF
    found = kl_divergence(MultiCategorical(one), MultiCategorical(two))
    parts = [kl_divergence(Categorical(one[:, k, :n]), Categorical(two[:, k, :n])) for k, n in ((0, 3), (1, 2))]
    torch.testing.assert_close(found, sum(parts), rtol=0, atol=1e-14)


def test_squashing_changes_no_divergence():
    """∫ p ln(p/q) over the box (−1, 1)·2, on a grid of u."""
    scale = logs(2.0)
    p, q = (SquashedGaussian(logs(mean), logs(std), scale) for mean, std in ((1.5, 0.8), (1.0, 1.2)))
    u = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    wide = lambda d: SquashedGaussian(d.gaussian.mean.expand(20_001, 1), d.gaussian.log_std, scale)  # noqa: E731
    mine, other = wide(p).log_prob(u), wide(q).log_prob(u)
    action = 2 * u.squeeze(1).tanh()
    integral = torch.trapezoid(mine.exp() * (mine - other), action)
    assert float(kl_divergence(p, q)) == pytest.approx(float(integral), abs=1e-5)


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


test_seeded_bugs = seeded(
    Bug(
        "an action that is forbidden makes the divergence no number",
        kl_divergence,
        lambda p, q: (p.probabilities() * (p.logits - q.logits)).sum(-1),
        [test_forbidden_actions_add_nothing_and_have_derivatives],
    ),
    Bug(
        "the divergence is of the distributions in the other order",
        kl_divergence,
        lambda p, q, right=kl_divergence: right(q, p),
        [test_categorical_by_hand_in_both_directions, test_gaussian_by_hand_in_both_directions],
    ),
)
