"""What episodes of a group are worth beside each other, against numbers worked out by hand."""

from typing import get_args

import pytest
import torch
from support.bugs import Bug, seeded, with_arguments

from pg_agents.functional.comparisons import Comparison, compare, group_centre, group_standardize, leave_one_out
from pg_agents.functional.returns import rounding


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_leave_one_out_by_hand():
    """1, 2, 6: 1 − 4, 2 − 3.5, 6 − 1.5; in groups (1, 6) and (2): 1 − 6, 6 − 1, and 2 alone keeps its 2."""
    assert leave_one_out(tensor([1, 2, 6])).tolist() == [[-3, -1.5, 4.5]]
    assert leave_one_out(tensor([1, 2, 6])[0], torch.tensor([7, 3, 7])).tolist() == [-5, 2, 5]


def test_group_standardize_by_hand():
    """1, 2, 6: mean 3, variance (4 + 1 + 9)/2 = 7; with ε = ½: (x − 3)/(√7 + ½). Equal scores, and one alone: 0."""
    root = 7**0.5 + 0.5
    expected = tensor([-2 / root, -1 / root, 3 / root])
    torch.testing.assert_close(group_standardize(tensor([1, 2, 6]), epsilon=0.5), expected, rtol=0, atol=1e-12)
    scores, groups = tensor([0.1, 4, 0.1, 9, 0.1])[0], torch.tensor([0, 1, 0, 2, 0])
    assert group_standardize(scores, groups).tolist() == [0, 0, 0, 0, 0]
    pair = group_standardize(tensor([3, 0, 5])[0], torch.tensor([1, 0, 1]))
    assert pair.tolist() == pytest.approx([-1 / (2**0.5 + 1e-4), 0, 1 / (2**0.5 + 1e-4)])
    assert compare("standardized", tensor([3, 5])[0])[0].tolist() == pair[[0, 2]].tolist()


def test_comparisons_by_hand():
    """Groups (1, 3) and (2, 10): means 2 and 6; deviations √2 and √32, of all four √(50/3): mean 4, 9 + 1 + 4 + 36."""
    scores, groups = tensor([1, 2, 3, 10])[0], torch.tensor([0, 1, 0, 1])
    centred = torch.tensor([-1.0, -4, 1, 4], dtype=torch.float64)
    own = torch.tensor([2.0, 32, 2, 32], dtype=torch.float64).sqrt()
    scales = {"standardized": own + 0.5, "batch-standardized": (50 / 3) ** 0.5 + 0.5, "centred": 1.0}
    for how in get_args(Comparison):
        found, std = compare(how, scores, groups, epsilon=0.5)
        torch.testing.assert_close(found, centred / scales[how], rtol=0, atol=1e-12)
        torch.testing.assert_close(std, own, rtol=0, atol=1e-12)
    found, _ = compare("batch-standardized", tensor([5, 5, 0, 1])[0], torch.tensor([0, 0, 1, 1]))
    assert found[:2].tolist() == [0, 0] and found[3] == -found[2] > 0.1  # equal scores of a group stay worth nothing
    assert not compare("batch-standardized", torch.full((8,), 0.1), torch.arange(8) // 4)[0].any()


@pytest.mark.parametrize("value", [0.1, 500.0, -1000.1])
@pytest.mark.parametrize("count", [7, 64, 1000])
def test_equal_scores_of_a_group_are_standardized_to_zero(value, count):
    """Their mean is rounded, by more the more there are: by 100 in the last digit for a thousand."""
    assert not group_standardize(torch.full((count,), value)).any()


def test_a_large_score_of_another_group_leaves_a_groups_own_alone():
    """Whether scores differ is a question of their own group's size: 0, 1 beside a million still do."""
    ids = torch.tensor([0] * 4 + [1] * 4 + [2] * 4)
    scores = torch.tensor([0.0, 1, 0, 1, 1e6, 0, 0, 0, 1e5, 1e5 + 0.125, 1e5, 1e5 + 0.125])
    centred, std = group_centre(scores, ids)
    assert centred[:4].tolist() == [-0.5, 0.5, -0.5, 0.5] and float(std[0]) == pytest.approx(3**-0.5)
    assert std[8:].tolist() == pytest.approx([0.125 / 2 * 2 / 3**0.5] * 4, rel=0.2)


@pytest.mark.parametrize("how", ["standardized", "batch-standardized"])
def test_scores_far_from_zero_are_compared_by_what_they_differ_by(how):
    near = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(64) // 8
    found, expected = (compare(how, scores, groups, epsilon=0.0)[0] for scores in (1e6 + near, near))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(leave_one_out(1e6 + near, groups), leave_one_out(near, groups), rtol=0, atol=1e-8)


@pytest.mark.parametrize("groups", [None, [[0, 0, 1, 1], [0, 1, 0, 1]]])
def test_each_of_several_learners_compares_its_own_episodes(groups):
    """Also where groups of two learners have the same number, and for scores [T, L, b] of steps."""
    scores = torch.randn(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ids, began = None if groups is None else torch.tensor(groups), torch.tensor([[True] * 4, [True, True, False, True]])
    for learner in range(2):
        own = None if ids is None else ids[learner]
        torch.testing.assert_close(
            leave_one_out(scores, ids)[:, learner], leave_one_out(scores[:, learner], own), rtol=0, atol=1e-12
        )
        for how in get_args(Comparison):
            found, expected = compare(how, scores[0], ids, began), compare(how, scores[0, learner], own, began[learner])
            for one, right in zip(found, expected, strict=True):
                torch.testing.assert_close(one[learner], right, rtol=0, atol=1e-12)


def test_columns_that_never_began_are_not_in_the_deviation_of_the_batch():
    """0 and 2 deviate by √2 over n − 1; the 50 beside them is of no episode."""
    scores, groups = tensor([0, 2, 50])[0], torch.tensor([0, 0, 1])
    found, _ = compare("batch-standardized", scores, groups, torch.tensor([True, True, False]), epsilon=0.0)
    assert found[:2].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


def of_all_groups(values, dim, right=rounding):
    return right(values, (-2, -1))


def centred_at_once(scores, group_ids=None, right=group_centre):
    ids = torch.zeros(len(scores)) if group_ids is None else group_ids
    same = (ids[:, None] == ids).to(scores.dtype)
    return scores - (scores @ same) / same.sum(0), right(scores, group_ids)[1]


def compared_with_the_batch(how, scores, group_ids=None, *args, right=compare, **options):
    return right(how, scores, None if how == "batch-standardized" else group_ids, *args, **options)


def divides_by_n(scores, group_ids=None, right=group_centre):
    centred, std = right(scores, group_ids)
    counts = torch.ones_like(scores).sum(-1) if group_ids is None else (group_ids[:, None] == group_ids).sum(0)
    return centred, std * ((counts - 1) / counts).sqrt()


test_seeded_bugs = seeded(
    Bug(
        "the mean of the others includes the sample itself",
        leave_one_out,
        lambda scores, group_ids=None: group_centre(scores, group_ids)[0],
        [test_leave_one_out_by_hand],
    ),
    Bug(
        "scores over the batch's deviation are compared with the batch's mean",
        compare,
        compared_with_the_batch,
        [test_comparisons_by_hand],
    ),
    Bug(
        "episodes that never began count in the deviation of the batch",
        compare,
        with_arguments(compare, began=lambda began: None),
        [test_columns_that_never_began_are_not_in_the_deviation_of_the_batch],
    ),
    Bug(
        "a group's scores are equal beside a large one of another group",
        rounding,
        of_all_groups,
        [test_a_large_score_of_another_group_leaves_a_groups_own_alone],
    ),
    Bug(
        "equal scores of a large group differ by the rounding of their mean",
        group_centre,
        centred_at_once,
        [test_equal_scores_of_a_group_are_standardized_to_zero],
    ),
    Bug(
        "the group's deviation divides by n",
        group_centre,
        divides_by_n,
        [test_group_standardize_by_hand],
    ),
)
