"""The squashed Gaussian against integration, Monte Carlo and torch's transformed distribution."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate
from support.bugs import Bug, seeded
from torch import distributions as theirs

from pg_agents.distributions import DiagonalGaussian, SquashedGaussian
from pg_agents.distributions.squashed import log_slope
from pg_agents.functional.divergences import kl_divergence


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def squashed(mean, std, scale=1.0):
    return SquashedGaussian(f64(mean), f64(std).log(), f64(scale).log())


def test_log_prob_by_hand():
    """At u = 0 the slope is s: −½ ln 2π − ln 2; at u = 1, tanh² 1 = 0.5800257: −½ − ½ ln 2π − ln 2 + 0.8675616."""
    distribution = squashed(0.0, 1.0, 2.0)
    assert float(distribution.log_prob(f64(0.0))) == pytest.approx(-0.9189385332046727 - math.log(2), abs=1e-12)
    expected = -0.5 - 0.9189385332046727 - math.log(2) - math.log(1 - math.tanh(1) ** 2)
    assert float(distribution.log_prob(f64(1.0))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("mean", "std", "scale"), [(0.0, 1.0, 1.0), (0.7, 0.4, 3.0), (-1.0, 0.8, 0.5)])
def test_density_of_actions_integrates_to_one(mean, std, scale):
    """∫ π(a) da over the box, on a grid of a; the density of u alone would integrate to something else."""
    grid = torch.linspace(-1 + 1e-9, 1 - 1e-9, 400_001, dtype=torch.float64)
    u, width = torch.atanh(grid)[:, None], scale * float(grid[1] - grid[0])
    density = squashed(mean, std, scale).log_prob(u).exp()
    assert float(density.sum()) * width == pytest.approx(1, abs=1e-4)
    naive = DiagonalGaussian(f64(mean), f64(std).log()).log_prob(u).exp()
    assert abs(float(naive.sum()) * width - 1) > 0.05


def test_log_prob_agrees_with_torchs_transformed_distribution():
    mean, std, scale, centre = f64(0.3, -1.0), f64(0.5, 2.0), f64(3.0, 0.2), f64(1.0, -4.0)
    normal = theirs.Normal(mean, std)
    box = theirs.TransformedDistribution(
        normal, [theirs.TanhTransform(), theirs.AffineTransform(centre, scale)], validate_args=False
    )
    mine = SquashedGaussian(mean, std.log(), scale.log())
    u = mine.sample(torch.Generator().manual_seed(0))
    expected = box.log_prob(centre + scale * u.tanh()).sum(-1)
    torch.testing.assert_close(mine.log_prob(u), expected, rtol=0, atol=1e-8)


def test_far_out_everything_stays_finite():
    """At u = ±50 in float32 tanh is ±1: ln(1 − tanh²) is −∞, its true value 2 (ln 2 − 50) = −98.6137."""
    u = torch.tensor([50.0, -50.0], requires_grad=True)
    assert log_slope(u).tolist() == pytest.approx([-98.613706, -98.613706], abs=1e-4)
    assert torch.isinf((1 - u.tanh().square()).log()).all()
    mean = torch.zeros(2, requires_grad=True)
    distribution = SquashedGaussian(mean, torch.zeros(2), torch.zeros(2))
    (distribution.log_prob(u.detach()) + distribution.entropy()).backward()
    assert mean.grad.tolist() == [50, -50]


@pytest.mark.parametrize("std", [0.1, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("mean", [0.0, 0.8, -3.0])
def test_entropy_by_numerical_integration(mean, std):
    """−∫ N(u) ln π(u) du by adaptive quadrature; the bounds are those the docstring promises."""
    distribution = squashed(mean, std, 2.5)

    def integrand(u):
        return (
            -math.exp(-0.5 * ((u - mean) / std) ** 2)
            / (std * math.sqrt(2 * math.pi))
            * float(distribution.log_prob(f64(u)))
        )

    exact = integrate.quad(integrand, mean - 9 * std, mean + 9 * std, limit=300, epsabs=1e-9)[0]
    bound = 1e-6 if std <= 1 else 2e-4 if std == 2 else 3e-3
    assert float(distribution.entropy()) == pytest.approx(exact, abs=bound)
    assert abs(float(distribution.gaussian.entropy()) - exact) > 0.01  # before the tanh it is another


def test_entropy_by_monte_carlo():
    """−mean ln π of 200,000 samples within 4.5 standard errors."""
    distribution = SquashedGaussian(f64(0.5, -1.0).expand(200_000, 2), f64(1.0, 0.3).log(), f64(2.0, 7.0).log())
    surprise = -distribution.log_prob(distribution.sample(torch.Generator().manual_seed(0)))
    error = float(surprise.std()) / math.sqrt(200_000)
    assert abs(float(surprise.mean() - distribution.entropy()[0])) < 4.5 * error


def test_gradients_agree_with_finite_differences():
    mean, log_std = f64(0.4, -0.9).requires_grad_(), f64(-0.3, 0.2).requires_grad_()
    u = f64(1.5, -2.0)

    def total(mean, log_std):
        distribution = SquashedGaussian(mean, log_std, f64(2.0, 3.0).log())
        return distribution.log_prob(u) + distribution.entropy()

    assert torch.autograd.gradcheck(total, (mean, log_std))
    assert torch.autograd.gradgradcheck(total, (mean, log_std))


def test_samples_are_those_of_the_gaussian_and_the_mode_is_its_mean():
    distribution = squashed(1.0, 0.5)
    gaussian = DiagonalGaussian(f64(1.0), f64(0.5).log())
    draws = [d.sample(torch.Generator().manual_seed(3)) for d in (distribution, gaussian)]
    assert torch.equal(*draws) and distribution.mode().tolist() == [1.0]


def test_a_stack_is_its_parts():
    rows = [SquashedGaussian(f64(0.1 * t, 1.0).expand(4, 2), f64(0.0, -1.0), f64(0.5, 0.0)) for t in range(3)]
    actions = torch.stack([row.sample(torch.Generator().manual_seed(1)) for row in rows])
    stacked = SquashedGaussian.stack(rows)
    each = torch.stack([row.log_prob(action) for row, action in zip(rows, actions, strict=True)])
    torch.testing.assert_close(stacked.log_prob(actions), each, rtol=0, atol=1e-12)
    torch.testing.assert_close(stacked.entropy(), torch.stack([row.entropy() for row in rows]), rtol=0, atol=1e-12)


def test_median_action_splits_the_samples_in_half():
    """100,000 actions: half of them above tanh μ, within 4.5 standard errors."""
    draws = np.tanh(squashed(0.6, 1.5).gaussian.mean.numpy() + 1.5 * np.random.default_rng(0).standard_normal(100_000))
    mine = SquashedGaussian(f64(0.6).expand(100_000, 1), f64(1.5).log(), f64(1.0).log())
    actions = mine.sample(torch.Generator().manual_seed(0)).tanh()
    assert abs(float((actions > mine.mode().tanh()).double().mean()) - 0.5) < 4.5 * 0.5 / math.sqrt(100_000)
    assert abs(float(actions.mean()) - draws.mean()) < 4.5 * draws.std() * math.sqrt(2 / 100_000)


def test_divergence_of_actions_is_that_before_the_tanh():
    """∫ π(a) [ln π(a) − ln ρ(a)] da on a grid of actions, both densities in units of the action."""
    p, q = squashed(0.3, 0.6, 2.0), squashed(-0.2, 0.9, 2.0)
    grid = torch.linspace(-1 + 1e-7, 1 - 1e-7, 400_001, dtype=torch.float64)
    u, width = torch.atanh(grid)[:, None], 2 * float(grid[1] - grid[0])
    expected = float((p.log_prob(u).exp() * (p.log_prob(u) - q.log_prob(u))).sum()) * width
    assert float(kl_divergence(p, q)) == pytest.approx(expected, abs=1e-6)
    assert expected > 0.1


test_seeded_bugs = seeded(
    Bug(
        "the likelihood of a squashed action is that before the tanh",
        SquashedGaussian.log_prob,
        lambda distribution, actions: distribution.gaussian.log_prob(actions),
        [test_log_prob_by_hand, test_density_of_actions_integrates_to_one],
    ),
    Bug(
        "the entropy of a squashed Gaussian forgets the tanh",
        SquashedGaussian.entropy,
        lambda distribution: distribution.gaussian.entropy() + distribution.log_scale.sum(-1),
        [test_entropy_by_numerical_integration, test_entropy_by_monte_carlo],
    ),
)
