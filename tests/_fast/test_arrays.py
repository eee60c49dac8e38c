"""What numpy's own functions say of small arrays, sooner."""

import numpy as np
import pytest
from support.bugs import Bug, seeded

from pg_agents._fast.arrays import any_true, plain_any_true, plain_stack_rows, stack_rows


@pytest.mark.parametrize("flags", [[], [False, False], [False, True], [True]])
def test_any_true(flags):
    assert any_true(np.array(flags, bool)) is plain_any_true(np.array(flags, bool)) is any(flags)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (0, 2), (1, 2, 2)])
@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.float32])
def test_stack_rows(shape, dtype):
    rows = [np.random.default_rng(seed).integers(2, size=shape).astype(dtype) for seed in range(3)]
    stacked, plain = stack_rows(rows), plain_stack_rows(rows)
    assert stacked.dtype == plain.dtype
    np.testing.assert_array_equal(stacked, plain)


test_seeded_bugs = seeded(
    Bug(
        "rows stand side by side instead of behind each other",
        stack_rows,
        lambda rows: np.stack(rows, -1).reshape(len(rows), *rows[0].shape),
        [test_stack_rows],
    ),
)
