"""States on disk: arrays by name and JSON hold all of them, to the bit, and nothing else is read."""

import json
import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from support.bugs import Bug, seeded
from support.states import bits, through_disk

from pg_agents.data.state import _written, from_arrays_and_json, to_arrays_and_json

NUMBERS = [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.uint64, np.bool_]
DTYPES = st.sampled_from([*NUMBERS, np.complex128, ">f8", "<U8", "S3", "datetime64[s]"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(),
    DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3))),
    st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays(dtype, ()).map(lambda array: array[()])),
)
KEYS = st.one_of(st.text(), st.sampled_from(["$array", "$tuple", "a/b", "a", ""]))
STATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner)),
    max_leaves=12,
)


@given(STATES)
def test_every_state_comes_back_to_the_bit(state):
    assert bits(through_disk(state)) == bits(state)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_the_order_in_memory_comes_back(dtype):
    """CartPole's vector form observes the transpose of its state; products of matrices round otherwise for it."""
    state = np.arange(12, dtype=dtype).reshape(3, 4)
    for array in (state, state.T, state[:1]):
        back = through_disk(array)
        assert back.strides == array.strides and np.array_equal(back, array)


def test_places_that_read_alike_have_arrays_of_their_own():
    state = {"a": {"b": np.zeros(1)}, "a/b": np.ones(2), "list": [np.full(3, 2.0)], "list/0": np.full(4, 3.0)}
    assert bits(through_disk(state)) == bits(state)


def test_numbers_are_kept_exactly():
    state = {"pcg": 2**127 + 1, "nan": math.nan, "inf": [math.inf, -math.inf], "zero": -0.0, "tiny": 5e-324}
    state |= {"third": 1 / 3, "single": np.float32(1) / 3, "byte": np.uint8(255), "yes": np.True_, "text": np.str_("a")}
    back = through_disk(state)
    assert bits(back) == bits(state)
    assert type(back["single"]) is np.float32 and type(back["third"]) is float and math.copysign(1, back["zero"]) < 0


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.array([None]), "object"),
        ({1: 2}, "dict"),
        ({"q": deque()}, "state/q.*deque"),
        ([object()], "state/0.*object"),
        (np.zeros(2, [("a", int)]), "dtype"),
        (1j, "complex"),
    ],
)
def test_what_is_no_state_is_refused_with_its_place(value, named):
    with pytest.raises(ValueError, match=named):
        to_arrays_and_json(value)


@pytest.mark.parametrize(
    "values",
    [
        {"$array": "missing"},
        {"$array": "x", "dtype": "O", "shape": [3]},
        {"$array": "x", "dtype": "<U9", "shape": [3]},
        {"$array": ["x"]},
        {"$scalar": "O", "value": 1},
        {"$scalar": "|u1", "value": 256},
        {"$scalar": "no such type", "value": 1},
        {"$float": "1e3"},
        {"$tuple": 3},
        {"$dict": [[1, 2, 3]]},
        {"$import": "os"},
    ],
)
def test_json_that_is_no_state_is_refused(values):
    with pytest.raises(ValueError, match="state"):
        from_arrays_and_json({"x": np.zeros(3)}, {"a": [values]})


def test_deep_json_is_refused():
    values = []
    for _ in range(100_000):
        values = [values]
    with pytest.raises(ValueError, match="deep"):
        from_arrays_and_json({}, values)


def test_arrays_that_were_read_can_be_written_and_share_nothing():
    arrays_, values = to_arrays_and_json({"a": np.zeros(2), "b": np.array(["x"])})
    back = from_arrays_and_json(arrays_, json.loads(json.dumps(values)))
    back["a"][0], back["b"][0] = 1, "y"
    assert not arrays_["state/a"].any()


def _with_floats(original):
    return lambda value, *where: original(float(value) if isinstance(value, np.floating) else value, *where)


test_seeded_bugs = seeded(
    Bug("numpy's numbers become floats", _written, _with_floats(_written), [test_numbers_are_kept_exactly]),
)
