"""Masks folded into observations and taken apart again."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from support.bugs import Bug, seeded

from pg_agents.spaces.action_masks import (
    as_mask,
    flat_mask,
    mask_size,
    observes_mask,
    split_mask,
    with_mask,
    without_mask,
)

NUMBERS = Box(-1, 1, (2,))
MASK = MultiBinary(3)


def test_sizes():
    spaces = (Discrete(3, start=2), MultiDiscrete([2, 3]), MultiDiscrete([[2, 3], [4, 5]]), MultiBinary((2, 3)))
    assert [mask_size(space) for space in (*spaces, NUMBERS)] == [3, 5, 14, 6, None]


@pytest.mark.parametrize("observation", [np.ones(2), {"observation": 1}, {"a": 1, "b": 2}, (1, {"a": 2})])
def test_what_is_folded_comes_apart(observation):
    assert split_mask(observation) == (observation, None)
    rest, mask = split_mask(with_mask(observation, "mask"))
    assert rest is observation and mask == "mask"


def test_masks_in_observations():
    """PettingZoo's convention is unpacked; other keys stay a dict; below the top nothing is a mask."""
    assert split_mask({"observation": 1, "action_mask": 2}) == (1, 2)
    assert split_mask({"a": 1, "observation": 3, "action_mask": 2}) == ({"a": 1, "observation": 3}, 2)
    nested = {"inner": {"action_mask": 1, "observation": 2}}
    assert split_mask(nested) == (nested, None)


def test_what_is_read_as_a_mask():
    assert as_mask([1, 0, True]).tolist() == [True, False, True]
    assert as_mask(np.array([[1.0, 0.0]])).tolist() == [[True, False]]
    parts = (np.array([1, 0], np.int8), [True, [0, 1]])  # a part for each choice
    assert flat_mask(parts).tolist() == [True, False, True, False, True] and flat_mask([]).size == 0
    for wrong, held in (
        ([0, -np.inf], "-inf"),
        ([1, np.nan], "nan"),
        ([255, 0], "255"),
        ("yes", "yes"),
        (None, "None"),
    ):
        with pytest.raises(ValueError, match=f"an action_mask that holds {held}; a mask is 1 .True. where"):
            as_mask(wrong)


@pytest.mark.parametrize(
    ("space", "rest", "has"),
    [
        (NUMBERS, NUMBERS, False),
        (Dict(observation=NUMBERS), Dict(observation=NUMBERS), False),
        (Dict(observation=NUMBERS, action_mask=MASK), NUMBERS, True),
        (Dict(a=NUMBERS, action_mask=MASK), Dict(a=NUMBERS), True),
        (Tuple([Dict(observation=NUMBERS, action_mask=MASK)]),) * 2 + (False,),
    ],
)
def test_the_space_of_what_is_left(space, rest, has):
    assert without_mask(space) == rest and observes_mask(space) is has
    sample = split_mask(space.sample())[0]
    assert rest.contains(sample)


test_seeded_bugs = seeded(
    Bug(
        "masks that are added to logits are read the wrong way round",
        as_mask,
        lambda given: np.asarray(given).astype(bool),
        [test_what_is_read_as_a_mask],
    )
)
