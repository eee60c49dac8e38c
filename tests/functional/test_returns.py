"""Returns against definitions and against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_arguments

from pg_agents.functional import returns as module
from pg_agents.functional.returns import (
    explained_variance,
    gae,
    lambda_returns,
    mean_by_time,
    reward_to_go,
    standardize,
    step_discounts,
    step_lambdas,
    whole_returns,
)


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def flags(*rows):
    return torch.tensor(rows).bool()


@st.composite
def records(draw):
    """Return rewards, next values, terminations and truncations, [T, B]; both flags may be set in one row."""
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    rewards, values = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    terminated, truncated = (torch.rand(shape, generator=generator) < 0.25 for _ in range(2))
    return rewards, values, terminated, truncated


def by_definition(rewards, values, discounts, lambdas):
    """Return Σ_n [Π_{k<n} γλ] × (R + γ(1 − λ)V) for each row and column, the last row's carry being V: O(T²)."""
    length, envs = rewards.shape
    returns = torch.zeros_like(rewards)
    for b in range(envs):
        for t in range(length):
            weight = 1.0
            for k in range(t, length):
                gamma, lam = float(discounts[k, b]), float(lambdas[k, b])
                returns[t, b] += weight * (rewards[k, b] + gamma * (1 - lam) * values[k, b])
                weight *= gamma * lam
            returns[t, b] += weight * values[-1, b]
    return returns


@settings(max_examples=60, deadline=None)
@given(record=records(), seed=st.integers(0, 2**32))
def test_lambda_returns_are_their_definition(record, seed):
    rewards, values, _, _ = record
    generator = torch.Generator().manual_seed(seed)
    discounts, lambdas = (torch.rand(rewards.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    expected = by_definition(rewards, values, discounts, lambdas)
    torch.testing.assert_close(lambda_returns(rewards, values, discounts, lambdas), expected, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(record=records(), discount=st.floats(0, 1))
def test_lambda_0_is_the_td_target_and_lambda_1_the_bootstrapped_sum(record, discount):
    rewards, values, terminated, truncated = record
    discounts = step_discounts(terminated, discount, torch.float64)
    td = lambda_returns(rewards, values, discounts, step_lambdas(truncated, 0.0, torch.float64))
    torch.testing.assert_close(td, rewards + discount * values * ~terminated, rtol=0, atol=1e-12)
    full = lambda_returns(rewards, values, discounts, step_lambdas(truncated, 1.0, torch.float64))
    length, envs = rewards.shape
    for b in range(envs):
        for t in range(length):
            total, weight = 0.0, 1.0
            for k in range(t, length):
                total, weight = total + weight * float(rewards[k, b]), weight * discount
                if terminated[k, b]:
                    break
                if truncated[k, b] or k == length - 1:
                    total += weight * float(values[k, b])
                    break
            assert float(full[t, b]) == pytest.approx(total, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(record=records(), discount=st.floats(0, 1))
def test_reward_to_go_is_the_sum_to_the_episodes_end(record, discount):
    rewards, _, terminated, truncated = record
    returns = reward_to_go(rewards, terminated, truncated, discount)
    ends = terminated | truncated
    episode_starts = torch.cat(
        [torch.zeros_like(ends[:1]), ends[:-1]]
    )  # row 0 continues an episode: it begins there for us
    whole = whole_returns(rewards, terminated, truncated, episode_starts, discount)
    length, envs = rewards.shape
    for b in range(envs):
        first = 0
        for t in range(length):
            stop = next((k for k in range(t, length) if ends[k, b]), length - 1)
            total = sum(discount ** (k - t) * float(rewards[k, b]) for k in range(t, stop + 1))
            assert float(returns[t, b]) == pytest.approx(total, abs=1e-12)
            first = t if episode_starts[t, b] else first
            assert whole[t, b] == returns[first, b]


@settings(max_examples=30, deadline=None)
@given(record=records(), discount=st.floats(0, 1), rows=st.integers(1, 3))
def test_rows_after_the_episodes_end_change_nothing(record, discount, rows):
    rewards, _, terminated, truncated = record
    terminated[-1] = True
    more = [torch.cat([x, torch.zeros(rows, x.shape[1], dtype=x.dtype)]) for x in (rewards, terminated, truncated)]
    plain = reward_to_go(rewards, terminated, truncated, discount)
    assert torch.equal(reward_to_go(*more, discount)[:-rows], plain)


def test_lambda_returns_by_hand():
    """γ = ½, λ = ½, rewards 1, 2, 4, V after them 8, 16, 32, cut after the last.

    G_2 = 4 + ½·32 = 20; G_1 = 2 + ½(½·16 + ½·20) = 11; G_0 = 1 + ½(½·8 + ½·11) = 5.75.
    """
    rewards, values = tensor([1], [2], [4]), tensor([8], [16], [32])
    lambdas = step_lambdas(flags([0], [0], [0]), 0.5, torch.float64)
    returns = lambda_returns(rewards, values, torch.full_like(rewards, 0.5), lambdas)
    assert returns.flatten().tolist() == [5.75, 11, 20]


def test_terminated_truncated_and_both_by_hand():
    """γ = ½, λ = 1, V = 8 everywhere, rewards 1, 2; the first row terminates, is truncated, both, or neither.

    The last row is cut: 2 + ½·8 = 6. The first: 1; 1 + ½·8 = 5; 1; and 1 + ½·6 = 4.
    """
    terminated, truncated = flags([1, 0, 1, 0], [0, 0, 0, 0]), flags([0, 1, 1, 0], [0, 0, 0, 0])
    rewards, values = tensor([1] * 4, [2] * 4), torch.full((2, 4), 8.0, dtype=torch.float64)
    discounts, lambdas = step_discounts(terminated, 0.5, torch.float64), step_lambdas(truncated, 1.0, torch.float64)
    assert lambda_returns(rewards, values, discounts, lambdas).tolist() == [[1, 5, 1, 4], [6, 6, 6, 6]]


def test_steps_discounts_and_lambdas_by_hand():
    assert step_discounts(flags([0, 1], [1, 0]), 0.75).tolist() == [[0.75, 0], [0, 0.75]]
    assert step_lambdas(flags([0, 1], [1, 0], [0, 0]), 0.25).tolist() == [[0.25, 0], [0, 0.25], [0, 0]]
    assert step_discounts(flags([0]), 0.3, torch.float64).item() == 0.3
    assert step_lambdas(flags([0], [0]), 0.3, torch.float64)[0].item() == 0.3


def test_reward_to_go_and_whole_returns_by_hand():
    """γ = ½. Column 0: 1, 2 | 4, 8: 1 + 1 = 2, 2, 4 + 4 = 8, 8. Column 1, never ending: 1 + ½(2 + ½(4 + ½·8)) = 4 …"""
    rewards, ends = tensor([1, 1], [2, 2], [4, 4], [8, 8]), flags([0, 0], [1, 0], [0, 0], [0, 0])
    episode_starts, never = flags([1, 0], [0, 0], [1, 0], [0, 0]), torch.zeros_like(ends)
    for terminated, truncated in ((ends, never), (never, ends)):
        assert reward_to_go(rewards, terminated, truncated, 0.5).tolist() == [[2, 4], [2, 6], [8, 8], [8, 8]]
        whole = whole_returns(rewards, terminated, truncated, episode_starts, 0.5)
        assert whole.tolist() == [[2, 4], [2, 4], [8, 4], [8, 4]]


def test_standardize_by_hand():
    """Valid: 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9)/4 = 5; 100 is masked."""
    values, mask = tensor([1, 3, 100], [5, 7, 100]), flags([1, 1, 0], [1, 1, 0])
    root = 5**0.5
    expected = tensor([-3 / root, -1 / root, 0], [1 / root, 3 / root, 0])
    torch.testing.assert_close(standardize(values, mask), expected, rtol=0, atol=1e-7)
    smaller = expected * 0.75**0.5  # by n − 1: the variance is 20/3
    torch.testing.assert_close(standardize(values, mask, correction=1), smaller, rtol=0, atol=1e-7)
    torch.testing.assert_close(standardize(values, mask, epsilon=1.0), expected * root / (root + 1), rtol=0, atol=1e-12)
    pair = standardize(tensor([1, 3]), flags([1, 1]), 0.0, correction=1)  # a variance of 2
    assert pair.flatten().tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


def test_centre_by_hand():
    """1, 3, 5, 7: less their mean, and √5, in the precision of what came."""
    for dtype in (torch.float32, torch.float64):
        centred, std = module.centre(tensor([1, 3, 100], [5, 7, 100]).to(dtype), flags([1, 1, 0], [1, 1, 0]))
        assert centred.tolist() == [[-3, -1, 0], [1, 3, 0]] and std.item() == pytest.approx(5**0.5)
        assert centred.dtype == std.dtype == dtype


def test_precision_is_that_of_what_numbers_were_rounded_to():
    assert module.precision(torch.ones(1)) == 4 * torch.finfo(torch.float32).eps
    halves, tenths, whole = tensor([0.5, 1]), tensor([0.1, 1]), tensor([3, 1])
    expected = [torch.finfo(torch.float32).eps, 2.0**-38, 2.0**-38]
    assert [module.precision(values) for values in (halves, tenths, whole)] == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 500.0, -1000.1])
@pytest.mark.parametrize("rows", [1, 3, 21])
def test_rows_that_are_all_equal_are_standardized_to_zero(value, rows, dtype):
    values = torch.full((rows, 7), value, dtype=dtype)
    for correction in (0, 1):
        all_rows, none = torch.ones(rows, 7, dtype=torch.bool), torch.zeros(rows, 7, dtype=torch.bool)
        assert standardize(values, all_rows, correction=correction).abs().max() < 0.01
        assert not standardize(values, none, correction=correction).any()
    alone = torch.eye(rows, 7, dtype=torch.bool) & (torch.arange(7) == 0)
    assert not standardize(values + torch.rand(rows, 7, dtype=dtype), alone, correction=1).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_far_from_zero_are_standardized_by_what_they_differ_by(dtype):
    """N(10⁶, 1): in 32 bits, whose resolution there is 1/16, too."""
    near = torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(64, 4, dtype=torch.bool)
    found, expected = standardize((1e6 + near).to(dtype), mask), standardize(near, mask)
    assert (found - expected).abs().max() < (1e-8 if dtype is torch.float64 else 0.05)


def sums(tenths, large=0.0):
    """Return 64 sums of `large` and so many tenths, each summed in another order, [64, 1]."""
    orders = [torch.randperm(tenths + 1, generator=torch.Generator().manual_seed(i)) for i in range(64)]
    terms = torch.tensor([large, *[0.1] * tenths], dtype=torch.float64)
    return torch.stack([terms[order].cumsum(0)[-1] for order in orders])[:, None]


@pytest.mark.parametrize(("tenths", "large"), [(7, 0.7), (3000, 0.7), (64, 1e6), (3000, 1e6)])
def test_sums_that_differ_by_the_order_of_their_terms_are_equal(tenths, large):
    returns, mask = sums(tenths, large), torch.ones(64, 1, dtype=torch.bool)
    assert len(returns.unique()) > 1
    assert not standardize(returns, mask).any()
    assert math.isnan(explained_variance(torch.linspace(0, 1, 64)[:, None], returns, mask))


def test_rounding_of_what_was_taken_off_is_no_difference():
    """G = 1 and V = 0.3 everywhere, V rounded up or down in 32 bits: G − V does not vary; with G 0.01 off it does."""
    mask = torch.ones(64, 1, dtype=torch.bool)
    sign = torch.where(torch.arange(64)[:, None] % 2 == 0, 1.0, -1.0)
    values = 0.3 + 3e-8 * sign
    advantages = torch.ones(64, 1, dtype=torch.float64) - values
    assert len(advantages.unique()) == 2
    assert not standardize(advantages, mask, less=values).any()
    assert standardize(advantages + 0.01 * sign, mask, less=values).abs().min() > 0.99
    twice = 0.3 + 6e-8 * sign  # less than the last digit of 1, which both were rounded to
    assert not standardize(torch.ones(64, 1, dtype=torch.float64) - twice, mask, less=twice).any()
    assert not standardize(sums(64, 1e6), mask, less=torch.zeros(64, 1, dtype=torch.float64)).any()
    assert math.isnan(explained_variance(values, 0.7 + values.double(), mask))


def test_a_row_of_large_values_does_not_silence_the_others():
    """Rounding is a row's own: V = 10⁸ beside V = ½; and a quarter beside 10⁶ is more than 32 bits of it round."""
    advantages = torch.tensor([[0.0, -0.5, 0.5, 0.5]], dtype=torch.float64)
    mask = torch.ones(1, 4, dtype=torch.bool)
    expected = (advantages - advantages.mean()) / advantages.std(unbiased=False)
    found = standardize(advantages, mask, less=torch.tensor([[1e8, 0.5, 0.5, 0.5]]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    quarters = torch.tensor([[-0.25, 0.25, 0.25, -0.25]], dtype=torch.float64)
    assert standardize(quarters, mask, less=torch.full((1, 4), 1e6)).abs().min() > 0.99


def test_fractions_that_32_bits_hold_were_rounded_to_them():
    """Rewards of 700 in 32 bits, up or down by the last of them, are equal; 10⁶ and 10⁶ + ½ are not, nor whole ones."""
    sign = torch.where(torch.arange(64)[:, None] % 2 == 0, torch.inf, -torch.inf)
    mask = torch.ones(64, 1, dtype=torch.bool)
    last_bit = torch.nextafter(torch.full((64, 1), 700.0), sign).double()
    assert not standardize(last_bit, mask).any()
    half = torch.where(sign > 0, 0.5, 0.0).double()
    for values in (1e6 + half, 1e9 + 2 * half, last_bit + 1e-3 * half):
        assert standardize(values, mask).abs().min() > 0.99


def test_mean_by_time_by_hand():
    """Three episodes; at time 0 the mean of 3, 6 and 9, at time 1 of 1 and 2 and the 0 of one that has ended."""
    values, times = tensor([3, 6, 9], [1, 2, 50]), torch.tensor([[0, 0, 0], [1, 1, 1]])
    mask = flags([1, 1, 1], [1, 1, 0])
    assert mean_by_time(values, times, mask, 3)[mask].tolist() == [6, 6, 6, 1, 1]
    shifted = torch.tensor([[0, 0, 0], [1, 1, 0]])  # two episodes in one column: by time, not by row
    assert mean_by_time(values, shifted, flags([1, 1, 1], [1, 1, 1]), 4)[:, 2].tolist() == [17, 17]


def test_explained_variance_by_hand():
    """Targets 1, 3 vary by 1, residuals 0, 1 by ¼; masked rows are not looked at."""
    targets, predictions, mask = tensor([1, 3, 77]), tensor([1, 2, 5]), flags([1, 1, 0])
    assert float(explained_variance(predictions, targets, mask)) == pytest.approx(0.75, abs=1e-7)
    twice = explained_variance(2 * predictions, 2 * targets, mask)
    assert float(twice) == pytest.approx(0.75, abs=1e-7)
    assert float(explained_variance(targets, targets, mask)) == 1
    assert float(explained_variance(tensor([9, 9, 0]), targets, mask)) == 0
    assert math.isnan(explained_variance(predictions, torch.zeros(1, 3), mask))


@pytest.mark.parametrize("value", [0.1, 500.0, 1000.1])
def test_explained_variance_of_targets_that_do_not_vary_is_nan(value):
    predictions = torch.linspace(0, 1, 21).reshape(7, 3)
    mask = torch.ones(7, 3, dtype=torch.bool)
    assert math.isnan(explained_variance(predictions, torch.full((7, 3), value), mask))


def test_gae_by_hand():
    """γ = ½, λ = ½; δ = 4 + ½·2 − 1, 2 + ½·6 − 2, 1 (ends) − 6 = 4, 3, −5: −5; 3 − 5/4; 4 + 1.75/4 = 4.4375."""
    rewards, values, after = tensor([4], [2], [1]), tensor([1], [2], [6]), tensor([2], [6], [99])
    ends, never = flags([0], [0], [1]), flags([0], [0], [0])
    assert gae(rewards, values, after, ends, never, 0.5, 0.5).flatten().tolist() == [4.4375, 1.75, -5]
    assert gae(rewards, values, after, ends, never, 0.5, 0.0).flatten().tolist() == [4, 3, -5]
    # cut after the second step: δ_1 = 3 stands alone; the rollout's end bootstraps: 1 + ½·99 − 6
    assert gae(rewards, values, after, never, flags([0], [1], [0]), 0.5, 0.5).flatten().tolist() == [4.75, 3, 44.5]


@given(records(), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_gae_is_the_sum_of_discounted_differences(record, discount, lambda_):
    rewards, values, terminated, truncated = record
    after = torch.cat([values[1:], torch.ones_like(values[:1])])
    differences = rewards + discount * after * ~terminated - values
    expected = torch.zeros_like(rewards)
    for b in range(rewards.shape[1]):
        for t in range(len(rewards)):
            weight = 1.0
            for k in range(t, len(rewards)):
                expected[t, b] += weight * differences[k, b]
                if terminated[k, b] or truncated[k, b]:
                    break
                weight *= discount * lambda_
    found = gae(rewards, values, after, terminated, truncated, discount, lambda_)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def noise_by_the_largest_row(centred, unit, mask):
    return ((centred / unit.amax()).square() * mask).sum((-2, -1), keepdim=True) > mask.sum()


test_seeded_bugs = seeded(
    Bug(
        "the value of the next state is used after termination",
        step_discounts,
        with_arguments(step_discounts, terminated=torch.zeros_like),
        [test_terminated_truncated_and_both_by_hand, test_steps_discounts_and_lambdas_by_hand],
    ),
    Bug(
        "nothing is cut at truncation",
        step_lambdas,
        with_arguments(step_lambdas, truncated=torch.zeros_like),
        [test_terminated_truncated_and_both_by_hand, test_gae_by_hand],
    ),
    Bug(
        "the end of the rollout is not a cut",
        step_lambdas,
        lambda truncated, lambda_, dtype=torch.float32: lambda_ * (~truncated).to(dtype),
        [test_steps_discounts_and_lambdas_by_hand],
    ),
    Bug(
        "λ weighs the wrong half of the target",
        lambda_returns,
        with_arguments(lambda_returns, lambdas=lambda lambdas: 1 - lambdas),
        [test_gae_by_hand],
    ),
    Bug(
        "the reward is discounted too",
        lambda_returns,
        lambda rewards, values, discounts, lambdas, right=lambda_returns: right(
            discounts * rewards, values, discounts, lambdas
        ),
        [test_lambda_returns_by_hand],
    ),
    Bug(
        "λ counts for γ in the advantage",
        module.bootstrapped_returns,
        lambda *args, right=module.bootstrapped_returns: right(*args[:-1], args[-2]),
        [test_gae_by_hand],
    ),
    Bug(
        "the whole return is that of the row, not of the episode's start",
        whole_returns,
        lambda rewards, terminated, truncated, starts, discount: reward_to_go(rewards, terminated, truncated, discount),
        [test_reward_to_go_and_whole_returns_by_hand],
    ),
    Bug(
        "a row of large values silences the others",
        module._beyond_rounding,
        noise_by_the_largest_row,
        [test_a_row_of_large_values_does_not_silence_the_others],
    ),
    Bug(
        "rewards of 32 bits are taken to be exact",
        module.precision,
        lambda values: 2.0**-38,
        [test_fractions_that_32_bits_hold_were_rounded_to_them],
    ),
    Bug(
        "rounding of a critic's values is standardised as if it were an advantage",
        module.centre,
        with_arguments(module.centre, less=lambda less: None),
        [test_rounding_of_what_was_taken_off_is_no_difference],
    ),
)
