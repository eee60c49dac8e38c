"""Running statistics against those of all the numbers at once."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rollout import record

from pg_agents.normalize import RewardScale, RunningMoments


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    shift=st.sampled_from([0.0, 3.0, 1e6]),
)
def test_moments_merged_batch_by_batch_are_those_of_everything(seed, sizes, shift):
    generator = torch.Generator().manual_seed(seed)
    batches = [shift + torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    moments = RunningMoments()
    for batch in batches:
        moments.update(batch)
    everything = torch.cat(batches)
    assert int(moments.count) == len(everything)
    if len(everything) > 1:
        assert float(moments.mean) == pytest.approx(float(everything.mean()), rel=1e-9)
        assert float(moments.std()) == pytest.approx(float(everything.std(correction=0)), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
@pytest.mark.parametrize("sizes", [[1], [7], [1000], [3, 7, 11], [1] * 10])
def test_the_deviation_is_1_before_two_different_numbers_were_seen(value, sizes, dtype):
    """Also where the mean of equal numbers is rounded: what divides rewards may not be a rounding error."""
    moments = RunningMoments()
    for size in sizes:
        moments.update(torch.full((size,), value, dtype=dtype))
    assert float(moments.std()) == 1


def test_reward_scale_by_hand():
    """γ = ½. Rewards 0, 2 | then masked; and 1, 3, 5.

    Sums C: 0, 2 and 1, 3.5, 6.75; mean 2.65, squares 0 + 4 + 1 + 12.25 + 45.5625 = 62.8125, variance
    12.5625 − 7.0225 = 5.54.
    """
    scale = RewardScale(0.5)
    scaled = scale(record())
    torch.testing.assert_close(scaled.rewards, torch.arange(6.0).reshape(3, 2) / 5.54**0.5)
    assert int(scale.moments.count) == 5 and float(scale.moments.mean) == pytest.approx(2.65, abs=1e-12)


def test_sums_go_on_from_rollout_to_rollout_until_the_next_start():
    """C after the first rollout: 4 + ½(2 + ½·0) = 5 and 6.75; the second begins with ½·C, then starts clear it."""
    scale = RewardScale(0.5)
    scale(record())
    assert scale.accumulated.tolist() == [5, 6.75]
    going_on = replace(record(), starts=torch.tensor([[0, 1], [0, 0], [0, 0]]).bool())
    scale(going_on)
    # 0 + 2.5, 2 + 1.25, 4 + 1.625 = 5.625; started anew: 1, 3.5, 6.75
    assert scale.accumulated.tolist() == [5.625, 6.75]


def test_statistics_are_saved_with_the_agent():
    scale, other = RewardScale(0.5), RewardScale(0.5)
    scale(record())
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other(record()).rewards, scale(record()).rewards)
