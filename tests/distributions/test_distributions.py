"""Distributions against torch's own, and against the frequencies of what they sample."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents.distributions import Categorical, DiagonalGaussian

INF = math.inf


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), actions=st.integers(1, 6), scale=st.floats(0, 50))
def test_categorical_agrees_with_torch(seed, actions, scale):
    logits = scale * randn(3, 2, actions, seed=seed)
    mine, theirs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    taken = torch.randint(actions, (3, 2), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(mine.log_prob(taken), theirs.log_prob(taken), rtol=0, atol=1e-11)
    torch.testing.assert_close(mine.entropy(), theirs.entropy(), rtol=0, atol=1e-11)
    torch.testing.assert_close(mine.probabilities(), theirs.probs, rtol=0, atol=1e-12)
    at_mode = logits.gather(-1, mine.mode()[..., None]).squeeze(-1)
    torch.testing.assert_close(at_mode, logits.amax(-1), rtol=0, atol=1e-12)  # several may be equal but for rounding
    assert mine.log_prob(taken).dtype == torch.float64


def test_categorical_by_hand():
    """π = ½, ¼, ¼: ln π(1) = −2 ln 2 = −1.386294, entropy 1.5 ln 2 = 1.039721."""
    distribution = Categorical(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log() + 7)
    assert float(distribution.log_prob(torch.tensor(1))) == pytest.approx(-1.3862943611198906, abs=1e-12)
    assert float(distribution.entropy()) == pytest.approx(1.0397207708399179, abs=1e-12)
    assert int(distribution.mode()) == 0


@pytest.mark.parametrize(("actions", "limit"), [(7, 24.1), (40, 74.7)])
def test_frequencies_of_categorical_samples(actions, limit):
    """χ² of 200,000 samples stays below the 99.95 % point of A − 1 degrees of freedom."""
    logits = randn(actions)
    samples = Categorical(logits.expand(200_000, actions)).sample(torch.Generator().manual_seed(1))
    expected = 200_000 * logits.softmax(-1)
    counts = torch.bincount(samples, minlength=actions)
    assert samples.dtype == torch.int64 and float(((counts - expected).square() / expected).sum()) < limit


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval_draw_no_impossible_action(uniform, monkeypatch):
    logits = torch.full((400, 50), -INF)
    logits[:, 20:30] = randn(400, 10)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda empty, **options: empty.fill_(uniform))
    assert Categorical(logits).sample().tolist() == [29 if uniform else 20] * 400


@pytest.mark.parametrize("actions", [7, 40])
def test_every_shape_is_drawn_from(actions):
    logits = randn(3, 2, actions)
    logits[..., 1] = INF
    logits[0, 1], logits[0, 1, 5] = -INF, 0.0
    expected = torch.ones(3, 2, dtype=torch.int64)
    expected[0, 1] = 5
    assert torch.equal(Categorical(logits.clamp(max=100.0)).sample(), expected)


def test_samples_of_different_rows_are_independent_and_of_their_own_row():
    """Two rows, π(1) = 0.2 and 0.7, 100,000 draws: means within 4 standard errors, no correlation (se 0.0032)."""
    probabilities = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    draws = Categorical(probabilities.log().expand(100_000, 2, 2)).sample(torch.Generator().manual_seed(2)).double()
    for mean, p in zip(draws.mean(0).tolist(), (0.2, 0.7), strict=True):
        assert abs(mean - p) < 4 * math.sqrt(p * (1 - p) / 100_000)
    assert abs(float(torch.corrcoef(draws.T)[0, 1])) < 4 * 0.0032


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_impossible_actions_are_never_sampled_and_have_finite_gradients(dtype):
    """Logits 0, −inf, ln 3: π = ¼, 0, ¾; entropy 0.562335, as without the impossible action."""
    logits = torch.tensor([0.0, -INF, math.log(3)], dtype=dtype, requires_grad=True)
    distribution = Categorical(logits)
    samples = Categorical(logits.detach().expand(50_000, 3)).sample(torch.Generator().manual_seed(0))
    counts = torch.bincount(samples, minlength=3)
    assert counts[1] == 0 and abs(int(counts[2]) - 37_500) < 4 * math.sqrt(50_000 * 0.1875)
    assert float(distribution.entropy()) == pytest.approx(0.5623351446188083, abs=1e-6)
    assert float(distribution.log_prob(torch.tensor(1))) == -INF
    (distribution.log_prob(torch.tensor(2)) + distribution.entropy()).backward()
    # ∂ ln π(2) = (−¼, 0, ¼); ∂H/∂z_a = −π_a (ln π_a + H): ¼·(1.386294 − 0.562335) = 0.205990 and minus that
    assert logits.grad.tolist() == pytest.approx([-0.25 + 0.2059897, 0, 0.25 - 0.2059897], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 4), scale=st.floats(0, 3))
def test_gaussian_agrees_with_torch(seed, size, scale):
    mean, log_std, actions = randn(3, 2, size, seed=seed), scale * randn(size, seed=seed + 1), randn(3, 2, size)
    mine = DiagonalGaussian(mean, log_std)
    theirs = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp().expand_as(mean)), 1)
    torch.testing.assert_close(mine.log_prob(actions), theirs.log_prob(actions), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine.entropy(), theirs.entropy(), rtol=0, atol=1e-11)
    assert torch.equal(mine.mode(), mean)


def test_gaussian_by_hand():
    """μ = (1, 0), σ = (2, 1) at (3, 0): −½ − ln 2 − ln 2π = −3.031024; entropy ln 2 + ln 2πe = 3.531024."""
    distribution = DiagonalGaussian(torch.tensor([1.0, 0.0]).double(), torch.tensor([2.0, 1.0]).double().log())
    assert float(distribution.log_prob(torch.tensor([3.0, 0.0]))) == pytest.approx(-3.0310242469692907, abs=1e-12)
    assert float(distribution.entropy()) == pytest.approx(3.5310242469692907, abs=1e-12)


def test_a_density_is_in_the_units_of_its_actions():
    """Actions held in halves and in fives: the density is divided by 0.5 · 5, the entropy is larger by ln 2.5."""
    mean, log_std, taken = randn(4, 2), randn(2, seed=1), randn(4, 2, seed=2)
    plain = DiagonalGaussian(mean, log_std)
    scaled = DiagonalGaussian(mean, log_std, torch.tensor([0.5, 5.0]).double().log())
    torch.testing.assert_close(scaled.log_prob(taken), plain.log_prob(taken) - math.log(2.5), rtol=0, atol=1e-12)
    torch.testing.assert_close(scaled.entropy(), plain.entropy() + math.log(2.5), rtol=0, atol=1e-12)
    stacked = DiagonalGaussian.stack([scaled, scaled])
    assert torch.equal(stacked.log_prob(torch.stack([taken, taken])), torch.stack([scaled.log_prob(taken)] * 2))


def test_moments_of_gaussian_samples():
    """100,000 draws: means within 4σ/√n, variances within 4σ²√(2/n), no correlation between the dimensions."""
    n, mean, std = 100_000, torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    draws = DiagonalGaussian(mean.expand(n, 2), std.log()).sample(torch.Generator().manual_seed(3)).double()
    assert ((draws.mean(0) - mean).abs() < 4 * std / math.sqrt(n)).all()
    assert ((draws.var(0) - std.square()).abs() < 4 * std.square() * math.sqrt(2 / n)).all()
    assert abs(float(torch.corrcoef(draws.T)[0, 1])) < 4 / math.sqrt(n)


def distributions():
    return Categorical(randn(20, 5)), DiagonalGaussian(randn(20, 3), randn(3))


@pytest.mark.parametrize("kind", [0, 1])
def test_generators_decide_the_samples(kind):
    distribution = distributions()[kind]
    state = torch.get_rng_state()
    first, again, other = (distribution.sample(torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again) and not torch.equal(first, other)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(distribution.sample(generator), first)
    assert not torch.equal(distribution.sample(generator), first)


@pytest.mark.parametrize("kind", [0, 1])
def test_without_a_generator_the_global_one_is_used(kind):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = distributions()[kind].sample()
        torch.manual_seed(1)
        assert torch.equal(distributions()[kind].sample(), first)
        assert not torch.equal(distributions()[kind].sample(), first)


@pytest.mark.parametrize("state_dependent", [False, True])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_stack_is_its_parts(kind, state_dependent):
    """Log-probabilities, entropies and modes of a [T, B] stack are those of its T rows."""
    rows = []
    for t in range(4):
        logits = randn(6, 3, seed=t).masked_fill(torch.eye(6, 3).bool(), -INF)
        log_std = randn(6, 3, seed=9 + t) if state_dependent else randn(3, seed=9 + t)
        rows.append(DiagonalGaussian(randn(6, 3, seed=t), log_std) if kind else Categorical(logits))
    stacked, actions = type(rows[0]).stack(rows), [row.sample(torch.Generator().manual_seed(0)) for row in rows]
    for name, arguments in (("log_prob", torch.stack(actions)), ("entropy", None), ("mode", None)):
        each = [getattr(row, name)(*() if arguments is None else (a,)) for row, a in zip(rows, actions, strict=True)]
        whole = getattr(stacked, name)(*() if arguments is None else (arguments,))
        assert torch.equal(whole, torch.stack(each)) and torch.isfinite(whole).all()


@pytest.mark.parametrize("kind", [0, 1])
def test_samples_carry_no_gradient_from_log_probabilities(kind):
    """The score Σ ∇ ln π(a) of a sample is 0 in expectation: 40,000 draws, within 4.5 standard errors."""
    parameter = randn(3).requires_grad_()
    n = 40_000
    repeated = parameter.expand(n, 3)
    distribution = Categorical(repeated) if kind == 0 else DiagonalGaussian(repeated, torch.zeros(3).double())
    actions = distribution.sample(torch.Generator().manual_seed(0)).detach()
    scores = torch.autograd.grad(distribution.log_prob(actions).sum(), repeated)[0]
    assert (scores.mean(0).abs() < 4.5 * scores.std(0) / math.sqrt(n)).all()


def test_entropy_with_an_impossible_action_has_a_finite_gradient_at_any_weight():
    logits = torch.tensor([0.0, 0.0, -torch.inf], requires_grad=True)
    (3 * Categorical(logits).entropy()).backward()
    assert logits.grad.tolist() == [0, 0, 0]


def without_its_normaliser(distribution, actions):
    return -(0.5 * ((actions - distribution.mean) / distribution.log_std.exp()).square()).sum(-1)


test_seeded_bugs = seeded(
    Bug(
        "samples are always the mode",
        Categorical.sample,
        lambda distribution, generator=None: distribution.mode(),
        [test_frequencies_of_categorical_samples, test_impossible_actions_are_never_sampled_and_have_finite_gradients],
    ),
    Bug(
        "the Gaussian's log-probability forgets its normaliser",
        DiagonalGaussian.log_prob,
        without_its_normaliser,
        [test_gaussian_by_hand],
    ),
    Bug(
        "a Gaussian's density forgets the units of its actions",
        DiagonalGaussian._log_width,
        lambda distribution: distribution.log_std,
        [test_a_density_is_in_the_units_of_its_actions],
    ),
)
