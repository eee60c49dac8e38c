"""Products of independent choices against their enumeration, with and without impossible actions."""

import itertools
import math

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents.distributions import Bernoulli, Categorical, MultiCategorical
from pg_agents.functional.divergences import kl_divergence

INF = math.inf
COUNTS = (2, 3, 1)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def choices(masked, rows=5):
    """Return logits [rows, 3, 3] of choices with 2, 3 and 1 options; `masked`: one of the second choice is out."""
    present = torch.arange(3) < torch.tensor(COUNTS)[:, None]
    if masked:
        present[1, 1] = False
    return randn(rows, 3, 3).masked_fill(~present, -INF)


def every_choice():
    return torch.tensor(list(itertools.product(*map(range, COUNTS))))


def bits(masked, rows=5):
    logits = 2 * randn(rows, 3)
    return logits.masked_fill(torch.tensor([False, masked, False]), -INF)


def every_bit():
    return torch.tensor(list(itertools.product((0, 1), repeat=3)))


KINDS = [(MultiCategorical, choices, every_choice), (Bernoulli, bits, every_bit)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_probabilities_sum_to_one_and_give_the_entropy(form, logits, every, masked):
    actions = every()
    distribution = form(logits(masked)[:, None].expand(5, len(actions), *logits(masked).shape[1:]))
    log_probs = distribution.log_prob(actions.expand(5, -1, -1))  # [5, actions]
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(5).double(), rtol=0, atol=1e-12)
    plogp = torch.where(log_probs == -INF, 0.0, log_probs.exp() * log_probs)
    torch.testing.assert_close(distribution.entropy()[:, 0], -plogp.sum(1), rtol=0, atol=1e-12)
    assert bool((log_probs == -INF).any()) is masked
    assert torch.equal(distribution.mode()[:, 0], actions[log_probs.argmax(1)])


def test_each_choice_is_a_categorical_of_its_own():
    logits = randn(4, 2, 3)
    distribution, actions = MultiCategorical(logits), torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0]])
    parts = [Categorical(logits[:, k]).log_prob(actions[:, k]) for k in range(2)]
    torch.testing.assert_close(distribution.log_prob(actions), parts[0] + parts[1], rtol=0, atol=1e-12)


def test_bits_by_hand():
    """z = ln 3, −ln 3, 0: π(1) = ¾, ¼, ½. ln π(1,0,1) = ln(9/32); entropy 2 · 0.562335 + ln 2."""
    distribution = Bernoulli(torch.tensor([math.log(3), -math.log(3), 0.0], dtype=torch.float64))
    assert float(distribution.log_prob(torch.tensor([1, 0, 1]))) == pytest.approx(math.log(9 / 32), abs=1e-12)
    assert float(distribution.entropy()) == pytest.approx(2 * 0.5623351446188083 + math.log(2), abs=1e-12)
    assert distribution.mode().tolist() == [1, 0, 0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_frequencies_of_samples(form, logits, every, masked):
    """100,000 draws: every action's frequency within 4.5 standard errors of its probability, the impossible never."""
    distribution, actions = form(logits(masked, 1).expand(100_000, *logits(masked).shape[1:])), every()
    draws = distribution.sample(torch.Generator().manual_seed(0))
    assert draws.dtype == torch.int64
    expected = form(logits(masked, 1).expand(len(actions), *logits(masked).shape[1:])).log_prob(actions).exp()
    for action, p in zip(actions, expected.tolist(), strict=True):
        frequency = float((draws == action).all(-1).double().mean())
        assert frequency == 0 if p == 0 else abs(frequency - p) < 4.5 * math.sqrt(p * (1 - p) / 100_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_gradients_are_finite_where_actions_are_impossible_and_zero_for_those(form, logits, every, dtype):
    """Also the gradient of the gradient, which trust regions ask for; and they agree with finite differences."""
    free = logits(masked=False).to(dtype).requires_grad_()
    out = torch.isinf(logits(masked=True))

    def total(z):
        distribution = form(z.masked_fill(out, -INF))
        actions = distribution.mode()
        return distribution.log_prob(actions).sum() + 0.7 * distribution.entropy().sum()

    gradient = torch.autograd.grad(total(free), free, create_graph=True)[0]
    assert torch.isfinite(gradient).all() and (gradient[out] == 0).all() and (gradient[~out] != 0).any()
    assert torch.isfinite(torch.autograd.grad(gradient.square().sum(), free)[0]).all()
    if dtype == torch.float64:
        finite = logits(masked=False).masked_fill(out, 0.0).requires_grad_()
        assert torch.autograd.gradcheck(total, finite)


@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_a_stack_is_its_parts(form, logits, every):
    rows = [form(logits(masked)) for masked in (False, True, False)]
    actions = torch.stack([row.sample(torch.Generator().manual_seed(1)) for row in rows])
    stacked = form.stack(rows)
    each = [row.log_prob(action) for row, action in zip(rows, actions, strict=True)]
    assert torch.equal(stacked.log_prob(actions), torch.stack(each))
    assert torch.equal(stacked.entropy(), torch.stack([row.entropy() for row in rows]))


@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_generators_decide_the_samples(form, logits, every):
    state = torch.get_rng_state()
    distribution = form(logits(False, 50))
    first, again, other = (distribution.sample(torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_bits_far_from_even_are_exact():
    """z = ±100: ln π of the other value is −100, where ln(1 − σ(100)) computed naively is −∞."""
    distribution = Bernoulli(torch.tensor([100.0, -100.0]))
    assert float(distribution.log_prob(torch.tensor([0, 1]))) == -200
    assert float(distribution.entropy()) == pytest.approx(0, abs=1e-30)
    assert (1 - torch.tensor(100.0).sigmoid()).log() == -INF


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("form", "logits", "every"), KINDS)
def test_divergence_by_enumeration(form, logits, every, masked):
    """KL(p‖q) = Σ_a p(a) [ln p(a) − ln q(a)] over all actions, for q other logits with the same mask."""
    actions = every()
    z = logits(masked, 1)
    other = 0.3 * z + randn(*z.shape, seed=8)
    p, q = form(z), form(other)
    each = [form(d.expand(len(actions), *z.shape[1:])).log_prob(actions) for d in (z, other)]
    expected = torch.where(each[0] == -INF, 0.0, each[0].exp() * (each[0] - each[1])).sum()
    torch.testing.assert_close(kl_divergence(p, q)[0], expected, rtol=0, atol=1e-12)
    assert float(expected) > 0.005
    with pytest.raises(ValueError, match="q must be a"):
        kl_divergence(p, Categorical(z))


def test_a_bit_that_cannot_be_set_is_not_where_the_lowest_number_is_drawn(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, **options: self.zero_())
    assert Bernoulli(torch.tensor([-INF, 0.0, INF])).sample().tolist() == [0, 1, 1]


test_seeded_bugs = seeded(
    Bug(
        "the entropy of bits forgets the unlikely value",
        Bernoulli.entropy,
        lambda distribution: torch.nn.functional.softplus(-distribution.logits.abs()).sum(-1),
        [test_probabilities_sum_to_one_and_give_the_entropy, test_bits_by_hand],
    ),
)
