"""Linear recurrences over the rows of an array, from the last row to the first."""

from __future__ import annotations

from torch import Tensor


def backward_recurrence(offsets: Tensor, factors: Tensor) -> Tensor:
    """Return G with G_t = b_t + c_t G_{t+1} and G_{T−1} = b_{T−1}, [T, B], in log₂ T passes over all rows.

    Each pass doubles the number of rows that a G_t has seen. It is `plain_backward_recurrence` with its sums in
    another order: equal to within rounding.

    Args:
        offsets: b, [T, B]; overwritten.
        factors: c, [T, B]; the last row counts for nothing.
    """
    carried, seen = factors[:-1], 1
    while seen < len(offsets):  # G_t of `seen` rows, and what it takes of the G that follows them
        offsets[:-seen] += carried * offsets[seen:]
        carried, seen = carried[:-seen] * carried[seen:], 2 * seen
    return offsets


def plain_backward_recurrence(offsets: Tensor, factors: Tensor) -> Tensor:
    """Return G with G_t = b_t + c_t G_{t+1} and G_{T−1} = b_{T−1}, [T, B], row by row; `offsets` are overwritten."""
    for t in reversed(range(len(offsets) - 1)):
        offsets[t] += factors[t] * offsets[t + 1]
    return offsets
