"""Distributions over tokens from hidden states: by hand, in chunks, and what temperature, top-k and top-p keep."""

import math

import pytest
import torch
from support.bugs import Bug, seeded, with_arguments

from pg_agents.distributions import Categorical, Sampling, TokenCategorical
from pg_agents.distributions.tokens import HeadLogProbs

SAMPLINGS = [Sampling(), Sampling(0.7), Sampling(1.3, top_k=3), Sampling(top_p=0.8), Sampling(0.5, 6, 0.6)]


def example(sampling=SAMPLINGS[0], chunk=100, bias=True, rows=7, vocabulary=11):
    """Return a distribution at 7 of 3 × 4 positions, and actions."""
    generator = torch.Generator().manual_seed(3)
    head = torch.nn.Linear(5, vocabulary, bias=bias, dtype=torch.float64)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    hidden = torch.randn(rows, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    where = torch.zeros(12, dtype=torch.bool)
    where[torch.randperm(12, generator=generator)[:rows]] = True
    distribution = TokenCategorical(hidden, where.view(3, 4), head, sampling, chunk)
    return distribution, torch.randint(vocabulary, (3, 4), generator=generator)


def gradients(loss, distribution):
    return torch.autograd.grad(loss, [distribution.hidden, *distribution.head.parameters()], retain_graph=True)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_plain_formula(sampling, chunk, bias):
    distribution, actions = example(sampling, chunk, bias)
    where, taken = distribution.where, actions[distribution.where]
    plain = Categorical(sampling(distribution.head(distribution.hidden), taken))
    log_probs = distribution.log_prob(actions)
    entropy = distribution.entropy()
    assert log_probs.shape == entropy.shape == (3, 4)
    torch.testing.assert_close(log_probs[where], plain.log_prob(taken), rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy[where], plain.entropy(), rtol=0, atol=1e-12)
    assert not log_probs[~where].any() and not entropy[~where].any()
    weights = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    for first, second in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0)):
        expected = first * (weights[0][where] * plain.log_prob(taken)).sum()
        expected = expected + second * (weights[1][where] * plain.entropy()).sum()
        mine, theirs = TokenCategorical(*vars_of(distribution)), gradients(expected, distribution)
        found = (first * weights[0] * mine.log_prob(actions) if first else 0) + (
            second * weights[1] * mine.entropy() if second else 0
        )
        if not first:  # the entropy alone does not know what was taken
            theirs = gradients((weights[1][where] * Categorical(sampling(plain_logits(mine))).entropy()).sum(), mine)
        for one, other in zip(gradients(found.sum(), mine), theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def vars_of(distribution):
    return distribution.hidden, distribution.where, distribution.head, distribution.sampling, distribution.chunk


def plain_logits(distribution):
    return distribution.head(distribution.hidden)


def test_logits_of_one_chunk_are_computed_once_and_those_of_several_twice(monkeypatch):
    import pg_agents.distributions.tokens as module

    calls, original = [], module._normalized
    monkeypatch.setattr(module, "_normalized", lambda *a: calls.append(len(a[0])) or original(*a))
    for chunk, expected in ((7, [7]), (3, [3, 3, 1, 3, 3, 1])):
        calls.clear()
        distribution, actions = example(chunk=chunk)
        (distribution.log_prob(actions) + distribution.entropy()).sum().backward()
        assert calls == expected


def test_kept_tokens_by_hand():
    logits = torch.tensor([0.4, 0.1, 0.3, 0.2]).log()

    def kept(**options):
        return Categorical(Sampling(**options)(logits)).probabilities().tolist()

    assert kept() == pytest.approx([0.4, 0.1, 0.3, 0.2])
    assert kept(top_k=2) == pytest.approx([4 / 7, 0, 3 / 7, 0])
    assert kept(top_p=0.65) == pytest.approx([4 / 7, 0, 3 / 7, 0])
    assert kept(top_p=0.75) == pytest.approx([4 / 9, 0, 3 / 9, 2 / 9])
    assert kept(top_p=0.01) == pytest.approx([1, 0, 0, 0])
    assert kept(top_k=3, top_p=0.75) == pytest.approx([4 / 7, 0, 3 / 7, 0])  # top-p of what top-k left: 4/9 + 3/9 ≥ .75
    assert kept(temperature=0.5) == pytest.approx([16 / 30, 1 / 30, 9 / 30, 4 / 30])
    assert kept(top_k=9) == pytest.approx([0.4, 0.1, 0.3, 0.2])


def test_what_was_taken_is_kept():
    logits = torch.tensor([0.4, 0.1, 0.3, 0.2]).log()
    kept = Categorical(Sampling(top_k=1)(logits, torch.tensor(3)))
    assert kept.probabilities().tolist() == pytest.approx([2 / 3, 0, 0, 1 / 3])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_probabilities_of_the_kept_add_up_to_one_and_samples_are_among_them(sampling):
    distribution, _ = example(sampling)
    policy = Categorical(sampling(plain_logits(distribution)))
    torch.testing.assert_close(policy.probabilities().sum(-1), torch.ones(7, dtype=torch.float64))
    samples = distribution.sample(torch.Generator().manual_seed(0))[distribution.where]
    assert (policy.log_prob(samples) > -torch.inf).all()
    assert torch.equal(distribution.mode()[distribution.where], policy.mode())


def test_samples_are_the_generators():
    distribution, _ = example()
    first, again, other = (distribution.sample(torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other) and distribution.is_finite()
    assert TokenCategorical(*vars_of(distribution)).is_finite(), "nothing was drawn yet"


def test_logits_of_16_bits_are_cut_in_32():
    logits = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    assert Sampling(0.7)(logits.bfloat16()).dtype == Sampling(0.7)(logits).dtype == torch.float32
    assert Sampling(0.7)(logits.double()).dtype == torch.float64
    torch.testing.assert_close(Sampling(2.0)(logits), logits / 2)


def test_where_nothing_was_decided_there_is_nothing():
    full, actions = example()
    nothing = TokenCategorical(full.hidden[:0], torch.zeros(3, 4, dtype=torch.bool), *vars_of(full)[2:])
    assert not nothing.log_prob(actions).any() and not nothing.entropy().any()
    assert nothing.log_prob(actions).shape == nothing.entropy().shape == (3, 4)


def test_entropy_of_equal_logits_by_hand():
    distribution, actions = example(Sampling(0.3, top_k=11), bias=False)
    with torch.no_grad():
        distribution.head.weight.zero_()
    assert distribution.entropy()[distribution.where].tolist() == pytest.approx([math.log(11)] * 7)
    assert distribution.log_prob(actions)[distribution.where].tolist() == pytest.approx([-math.log(11)] * 7)


def test_stack():
    first, actions = example()
    second = TokenCategorical(first.hidden * 2, *vars_of(first)[1:])
    stacked = TokenCategorical.stack([first, second])
    expected = torch.stack([first.log_prob(actions), second.log_prob(actions)])
    torch.testing.assert_close(stacked.log_prob(torch.stack([actions, actions])), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": "0.7"}, "temperature must be a number above 0, got '0.7'"),
        ({"top_k": 2.5}, "top_k must be a whole number"),
        ({"temperature": 0.0}, "temperature must be a number above 0"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_k": 0}, "top_k must be a whole number, 1 or above"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "top_p must be above 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)


def test_a_top_p_of_one_keeps_every_token():
    """Their probabilities add up to less than 1 in single precision, and a tail would be cut."""
    logits = 6 * torch.randn(1, 50_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Sampling(top_p=1.0)(logits), logits) and Sampling(top_p=1.0) == Sampling()


def without_the_temperature(ctx, of_value, of_entropy, right=HeadLogProbs.backward):
    found = right(ctx, of_value, of_entropy)
    return tuple(None if gradient is None else gradient * ctx.sampling.temperature for gradient in found)


def keeps_no_entropy(ctx, hidden, weight, bias, actions, sampling, chunk, right=HeadLogProbs.forward):
    log_probs, entropy = right(ctx, hidden, weight, bias, actions, sampling, chunk)
    ctx.save_for_backward(hidden, weight, bias, actions, torch.zeros_like(entropy))
    return log_probs, entropy


def the_next_above(self, z, right=Sampling._least):
    least = right(self, z)
    above = torch.where(z > least, z, z.amax(-1, keepdim=True))
    return above.amin(-1, keepdim=True) if self.top_p else least


test_seeded_bugs = seeded(
    Bug(
        "the gradient of a token's log-probability forgets the temperature",
        HeadLogProbs.backward,
        without_the_temperature,
        [test_values_and_gradients_are_those_of_the_plain_formula],
    ),
    Bug(
        "a token's entropy has no gradient",
        HeadLogProbs.backward,
        lambda ctx, of_value, of_entropy, right=HeadLogProbs.backward: right(ctx, of_value, None),
        [test_values_and_gradients_are_those_of_the_plain_formula],
    ),
    Bug(
        "what was taken may be impossible",
        Sampling.__call__,
        with_arguments(Sampling.__call__, taken=lambda taken: None),
        [test_what_was_taken_is_kept],
    ),
    Bug(
        "a token's entropy has the gradient of its cross-entropy",
        HeadLogProbs.forward,
        keeps_no_entropy,
        [test_values_and_gradients_are_those_of_the_plain_formula],
    ),
    Bug(
        "top-p keeps one token too few",
        Sampling._least,
        the_next_above,
        [test_kept_tokens_by_hand],
    ),
)
