"""All rows in a few passes are the rows one by one."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents._fast.recurrence import backward_recurrence, plain_backward_recurrence


@given(length=st.integers(1, 70), ends=st.floats(0, 1), seed=st.integers(0, 1000))
def test_passes_over_all_rows_are_the_loop(length, ends, seed):
    """In float64 within 1e-12, also where factors are 0, as they are at the ends of episodes."""
    generator = torch.Generator().manual_seed(seed)
    offsets, factors = torch.randn(2, length, 3, dtype=torch.float64, generator=generator)
    factors = factors.sigmoid() * (torch.rand(length, 3, generator=generator) >= ends)
    expected = plain_backward_recurrence(offsets.clone(), factors)
    torch.testing.assert_close(backward_recurrence(offsets.clone(), factors), expected, rtol=1e-12, atol=1e-12)


def test_the_loop_by_hand():
    """G_2 = 4, G_1 = 2 + ½ · 4 = 4, G_0 = 1 + 3 · 4 = 13; the last factor counts for nothing."""
    offsets, factors = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[3.0], [0.5], [9.0]])
    assert plain_backward_recurrence(offsets, factors).tolist() == [[13], [4], [4]]


def test_four_rows_in_two_passes_by_hand():
    """G_3 = 5, G_2 = 4 + 1 · 5 = 9, G_1 = 2 + ½ · 9 = 6.5, G_0 = 1 + 3 · 6.5 = 20.5."""
    offsets, factors = torch.tensor([[1.0], [2.0], [4.0], [5.0]]), torch.tensor([[3.0], [0.5], [1.0], [9.0]])
    assert backward_recurrence(offsets, factors).tolist() == [[20.5], [6.5], [9], [5]]


def passes_with_the_first_factors(offsets, factors):
    carried, seen = factors[:-1], 1
    while seen < len(offsets):
        offsets[:-seen] += carried * offsets[seen:]
        carried, seen = carried[:-seen], 2 * seen
    return offsets


test_seeded_bugs = seeded(
    Bug(
        "the second pass over λ-returns takes the factors of the first",
        backward_recurrence,
        passes_with_the_first_factors,
        [test_four_rows_in_two_passes_by_hand],
    )
)
