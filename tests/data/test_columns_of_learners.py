"""What belongs to a learner is computed from its own columns, to the last threshold."""

import pytest
import torch
from support.bugs import Bug, seeded, with_result

from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.data import learners as module
from pg_agents.data.learners import Columns, apart, by_learner, learner_first, learner_last, of_columns, of_each
from pg_agents.functional import returns
from pg_agents.functional.returns import centre, explained_variance, precision, precision_of_each, standardize
from pg_agents.policies.normalization import RunningMoments

T, L, B = 5, 3, 2


def generator():
    return torch.Generator().manual_seed(0)


def test_columns_of_a_learner_stand_side_by_side():
    values = torch.arange(6)[None].expand(2, -1)
    assert (
        by_learner(values, 3)[0].tolist() == [[0, 1], [2, 3], [4, 5]] and apart(values, 3)[1].tolist() == [[2, 3]] * 2
    )
    assert of_columns(torch.tensor([7, 8, 9]), 6).tolist() == [7, 7, 8, 8, 9, 9]
    assert of_columns(torch.tensor([7, 8]), 2).tolist() == [7, 8]


@pytest.mark.parametrize("shape", [(6, 4), (5, 6, 4), (5, 3, 4), (2, 5, 6, 4)])
def test_rows_of_learners_come_back_in_their_order(shape):
    features = torch.randn(shape, generator=generator())
    rows = learner_first(features, 3)
    assert rows.shape == (3, features.numel() // 12, 4) and torch.equal(learner_last(rows, features), features)
    of_first = features.view(-1, shape[-2], 4)[:, : shape[-2] // 3]
    assert torch.equal(rows[0], of_first.reshape(-1, 4))


def test_rows_of_any_order_get_columns():
    columns = Columns.for_rows(torch.tensor([2, 0, 2, 2]), 3)
    spread = columns.of({"x": torch.tensor([[1], [2], [3], [4]])})["x"]
    assert spread.flatten().tolist() == [2, 1, 1, 1, 1, 1, 1, 3, 4]
    assert spread[columns.places].flatten().tolist() == [1, 2, 3, 4]


def test_final_observations_of_a_step_stay_in_their_columns_and_others_get_the_columns_of_their_learner():
    of_a_step = Columns.for_final_rows(torch.tensor([[0, 5], [0, 0], [0, 2]]), torch.Size((1, 6)), 3)
    assert of_a_step.of(torch.tensor([7, 8, 9])).tolist() == [8, 7, 9, 7, 7, 7]
    of_more = Columns.for_final_rows(torch.tensor([[0, 4], [1, 4], [1, 5], [1, 0]]), torch.Size((2, 6)), 3)
    assert of_more.of(torch.tensor([6, 7, 8, 9])).tolist() == [9, 6, 6, 6, 6, 6, 6, 7, 8]


CONSTANT = 0.1 + 1e-8 * torch.rand(T, B, generator=generator(), dtype=torch.float64)  # equal up to float32's rounding
KINDS = {
    "equal in float32": CONSTANT.float().double(),
    "not equal": CONSTANT,
    "whole": torch.randint(5, (T, B), generator=generator()).double(),
    "small beside large": 1e6 + torch.rand(T, B, generator=generator(), dtype=torch.float64),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, mask, less: standardize(x, mask),
        lambda x, mask, less: standardize(x, mask, correction=1, less=less),
        lambda x, mask, less: centre(x, mask, less=less)[0],
        lambda x, mask, less: explained_variance(less, x, mask),
    ],
    ids=["standardize", "less", "centre", "explained"],
)
def test_each_learner_has_its_own_mean_deviation_and_rounding(function, dtype):
    parts = [values.to(dtype) for values in KINDS.values()]
    lesses = [part + scale for part, scale in zip(parts, (0.3, 1e9, 0.0, 1e3), strict=True)]
    masks = [torch.rand(T, B, generator=generator()) < share for share in (0.9, 1.1, 0.5, 0.9)]
    whole = of_each(function, 4, *(torch.cat(each, 1) for each in (parts, masks, lesses)))
    alone = [function(*one) for one in zip(parts, masks, lesses, strict=True)]
    expected = torch.cat(alone, 1) if alone[0].ndim == 2 else torch.stack(alone)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_named_arrays_are_each_learners_too():
    """The second learner's differences are within the rounding of what was subtracted there, the first's are not."""
    values = torch.tensor([[0.1, 0.1], [0.0, 0.0]], dtype=torch.float64)
    less = torch.tensor([[0.0, 1e9], [0.0, 1e9]], dtype=torch.float32)
    found = of_each(standardize, 2, values, torch.ones(2, 2, dtype=torch.bool), less=less)
    assert found[:, 0].abs().min() > 0.9 and not found[:, 1].any()


def test_precision_is_of_each_learner():
    values = torch.stack(list(KINDS.values()))
    assert precision_of_each(values).flatten().tolist() == [precision(one) for one in values]
    assert precision_of_each(values.float()).flatten().tolist() == [precision(values.float())] * 4


def test_moments_are_of_each_learners_valid_rows():
    together, alone = RunningMoments((2,), L), [RunningMoments((2,)) for _ in range(L)]
    for seed in range(3):
        values = torch.randn(T, L * B, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        mask = torch.rand(T, L * B, generator=torch.Generator().manual_seed(seed)) < 0.6
        mask[:, :B] &= seed != 1  # a learner with nothing at all
        together.update_each(values, mask)
        for i, one in enumerate(alone):
            columns = slice(B * i, B * (i + 1))
            one.update(values[:, columns][mask[:, columns]])
    for name in ("count", "mean", "squares"):
        torch.testing.assert_close(getattr(together, name), torch.stack([getattr(one, name) for one in alone]))
    torch.testing.assert_close(together.std(), torch.stack([one.std() for one in alone]))


def test_moments_that_are_not_finite_are_refused_and_nothing_is_changed():
    moments = RunningMoments((), 2)
    with pytest.raises(FloatingPointError, match=r"up to 1e\+300, or its square is not finite"):
        moments.update_each(torch.tensor([[1e300, 1.0], [0.0, 2.0]], dtype=torch.float64), torch.ones(2, 2).bool())
    assert not moments.count.any() and not moments.mean.any()


def test_rewards_that_are_equal_but_for_rounding_are_not_divided_by_it():
    """Of one learner; those of the other differ by as little, and are what they are."""

    class Given:
        rewards = torch.stack([CONSTANT[:, 0].float().double(), 1e3 * CONSTANT[:, 0]], 1)
        mask, episode_starts = torch.ones(T, 2, dtype=torch.bool), torch.ones(T, 2, dtype=torch.bool)

    def std(scale, columns):
        one = Given()
        one.rewards, one.mask = Given.rewards[:, columns], Given.mask[:, columns]
        return scale._std(one.rewards, one)

    alone = [float(std(RewardScale(0.9), slice(i, i + 1))) for i in range(2)]
    assert alone[0] == 1 > alone[1]
    assert std(RewardScale(0.9, 2), slice(None)).tolist() == pytest.approx(alone)


test_seeded_bugs = seeded(
    Bug(
        "rounding is that of all learners' numbers together",
        returns.precision_of_each,
        with_result(returns.precision_of_each, lambda each: each.max().expand_as(each)),
        [test_each_learner_has_its_own_mean_deviation_and_rounding],
    ),
    Bug(
        "columns are dealt out in turn",
        module.by_learner,
        lambda values, learners: values.unflatten(-1, (-1, learners)).transpose(-1, -2),
        [test_columns_of_a_learner_stand_side_by_side],
    ),
)
