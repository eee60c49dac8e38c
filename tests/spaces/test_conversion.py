"""Spaces: the door for actions, and spaces as JSON."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from support.bugs import Bug, seeded, with_arguments, with_result

import pg_agents as pg
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.spaces import conversion
from pg_agents.spaces.conversion import difference, space_from_json, space_to_json, spaces_of, to_env_action


def test_discrete_actions_are_shifted_by_the_spaces_start():
    assert to_env_action(Discrete(3))(torch.tensor([0, 2])).tolist() == [0, 2]
    assert to_env_action(Discrete(3, start=5))(torch.tensor([0, 2])).tolist() == [5, 7]
    assert to_env_action(Discrete(3, start=-1))(torch.tensor([0, 2])).tolist() == [-1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_discrete_actions_are_of_the_spaces_dtype(dtype):
    for space in (Discrete(3, dtype=dtype), Discrete(3, start=5, dtype=dtype), MultiDiscrete([3], dtype=dtype)):
        (action,) = to_env_action(space)(torch.tensor([2]))
        assert space.contains(action) and action.dtype == dtype


def test_box_actions_are_clipped_shaped_and_cast():
    """Bounds −1 … 1 and 0 … 10; a policy's actions are flat, [B, 2]."""
    space = Box(np.array([[-1], [0]], np.float32), np.array([[1], [10]], np.float32))
    taken = torch.tensor([[3.0, -4.0], [0.5, 12.0]], dtype=torch.float64)
    actions = to_env_action(space)(taken)
    assert actions.tolist() == [[[1], [0]], [[0.5], [10]]] and actions.dtype == np.float32
    assert taken.tolist() == [[3, -4], [0.5, 12]]  # the record keeps what was sampled
    assert all(space.contains(action) for action in actions)
    assert to_env_action(Box(-np.inf, np.inf, ()))(torch.tensor([[3e7], [-2.0]])).tolist() == [3e7, -2]


def test_integer_boxes_are_rounded_into_their_bounds():
    space = Box(np.array([[0, -3]]), np.array([[255, 3]]), dtype=np.int16)
    actions = to_env_action(space)(torch.tensor([[254.6, -9.0], [0.4, 2.5], [300.0, 1.5]]))
    assert actions.tolist() == [[[255, -3]], [[0, 2]], [[255, 2]]] and actions.dtype == np.int16


def test_multi_discrete_actions_are_shaped_and_shifted():
    space = MultiDiscrete([[2, 3], [4, 5]], start=[[0, 10], [-2, 1]])
    actions = to_env_action(space)(torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]]))
    assert actions.tolist() == [[[1, 12], [1, 5]], [[0, 10], [-2, 1]]]
    assert actions.dtype == space.dtype and all(space.contains(action) for action in actions)


def test_multi_binary_actions_are_shaped_and_cast():
    space = MultiBinary((2, 2))
    actions = to_env_action(space)(torch.tensor([[1, 0, 0, 1], [0, 0, 1, 1]]))
    assert actions.tolist() == [[[1, 0], [0, 1]], [[0, 0], [1, 1]]] and actions.dtype == np.int8
    assert all(space.contains(action) for action in actions)


def test_actions_of_other_spaces_are_refused():
    for space in (Dict(a=Discrete(2)), Tuple([Discrete(2)])):
        with pytest.raises(UnsupportedSpaceError, match="use Discrete, MultiDiscrete, MultiBinary or Box"):
            to_env_action(space)


SPACES = [
    Discrete(3),
    Discrete(4, start=-2),
    Box(-1, 1, (2, 3)),
    Box(0, 255, (2, 2), np.uint8),
    Box(-np.inf, np.inf, ()),
    Box(np.array([0.1, -np.inf]), np.array([0.3, 7.0]), dtype=np.float64),
    MultiDiscrete([2, 3], start=[1, 5]),
    MultiDiscrete([[2, 3], [4, 5]]),
    MultiBinary(4),
    MultiBinary((2, 3)),
    Dict(x=Box(-1, 1, (2,)), inner=Dict(n=Discrete(2))),
    Tuple([Discrete(2), Dict(x=Tuple([Box(0, 255, (8, 8, 3), np.uint8)]))]),
    Discrete(4, start=3, dtype=np.uint8),
    MultiDiscrete([2, 3], dtype=np.int32),
    Dict(a=Tuple([MultiDiscrete([[2, 3]], dtype=np.int8), Discrete(2, dtype=np.int16)])),
    Dict([("b", Discrete(2)), ("a", Discrete(3))]),
    Dict([(2, Discrete(2)), ("2", Discrete(3)), (None, Discrete(4)), ("", Discrete(5))]),
    Box(-(2**63), 2**63 - 1, (2,), np.int64),
    Box(np.array([0, 2**53 + 1]), np.array([2**53 + 1, 2**63 - 1]), dtype=np.int64),
    Box(0, 2**64 - 1, (1,), np.uint64),
    Box(np.zeros(2, bool), np.ones(2, bool), dtype=np.bool_),
    Box(np.float32(0.1), np.float32(0.7), (), np.float32),
    Box(0.1 + 0.2, np.inf, (2,), np.float64),
    Box(-2, 2, (2,), np.float16),
    Box(0, 1, (0, 2)),
    Dict(observation=Box(-1, 1, (2,)), action_mask=Box(0, 1, (5,), np.int8)),
    gym.make("CartPole-v1").observation_space,
    gym.make("Pendulum-v1").action_space,
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_survive_json(space):
    again = space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)))
    assert again == space and type(again) is type(space)
    assert str(again) == str(space) and again.dtype == space.dtype and again.shape == space.shape
    if isinstance(space, Box):
        assert again.low.tobytes() == space.low.tobytes() and again.high.tobytes() == space.high.tobytes()
    if isinstance(space, Dict):  # features stand in the order of the keys
        assert list(again.spaces.items()) == list(space.spaces.items())


def test_spaces_as_earlier_versions_wrote_them():
    """No dtype of whole numbers, infinities as Python writes them, and Dicts as objects, in the order of their keys."""
    box = {"kind": "Box", "shape": [1], "dtype": "float32", "low": [-np.inf], "high": [np.inf]}
    number, numbers = {"kind": "Discrete", "n": 3, "start": 1}, {"kind": "MultiDiscrete", "nvec": [2], "start": [0]}
    saved = json.loads(json.dumps({"kind": "Dict", "spaces": {"b": box, "a": number, "c": numbers}}))
    space = space_from_json(saved)
    assert space == Dict(b=Box(-np.inf, np.inf, (1,)), a=Discrete(3, start=1), c=MultiDiscrete([2]))
    assert list(space) == ["b", "a", "c"]


class Own(Box):
    pass


def test_a_space_of_ones_own_kind_is_saved_as_what_it_is_a_kind_of():
    assert space_from_json(space_to_json(Own(-1, 1, (2,)))) == Own(-1, 1, (2,))


@pytest.mark.parametrize(
    ("theirs", "mine", "text"),
    [
        (Discrete(3), Discrete(4), "n 3 instead of 4"),
        (Discrete(3, start=1), Discrete(3), "start 1 instead of 0"),
        (Discrete(3, dtype=np.int32), Discrete(3), "dtype int32 instead of int64"),
        (MultiDiscrete([2, 3]), MultiDiscrete([2, 4]), "nvec[1] 3 instead of 4"),
        (MultiBinary(3), MultiBinary((3, 1)), "shape (3,) instead of (3, 1)"),
        (Box(-1, 1, (2, 2)), Box(-1, 1, (4,)), "shape (2, 2) instead of (4,)"),
        (Box(-1, 1, (2, 2)), Box(np.array([[-1, -1], [-2, -1]]), 1, dtype=np.float32), "low[1, 0] -1.0 instead of -2"),
        (Box(-1, 1, ()), Box(-1, np.inf, ()), "high 1.0 instead of inf"),
        (MultiBinary(3), Discrete(2), "MultiBinary(3) instead of Discrete(2)"),
        (Dict(a=Tuple([Discrete(2, dtype="int8")])), Dict(a=Tuple([Discrete(2)])), "dtype int8 instead of int64 at ["),
        (Dict(a=Discrete(2)), Dict(b=Discrete(2)), "the keys ['a'] instead of ['b']"),
        (Tuple([]), Tuple([Discrete(2)]), "the keys [] instead of [0]"),
        (Text(5), Text(6), "Text(1, 5"),
        (Discrete(2), Discrete(2), ""),
    ],
)  # fmt: skip
def test_what_differs_between_two_spaces_is_named(theirs, mine, text):
    found = difference(theirs, mine)
    assert found.startswith(text) and bool(found) == bool(text) and len(found) < 250


def test_spaces_that_cannot_be_saved_are_named():
    with pytest.raises(UnsupportedSpaceError, match="Text"):
        space_to_json(Tuple([Text(5)]))
    with pytest.raises(ValueError, match="'Torus'"):
        space_from_json({"kind": "Torus"})


def test_spaces_are_those_of_one_environment():
    vector = gym.make_vec("CartPole-v1", 3)
    single = gym.make("CartPole-v1")
    for env in (vector, single):
        assert spaces_of(env) == (single.observation_space, single.action_space)
    with pytest.raises(TypeError, match="got str"):
        spaces_of("CartPole-v1")


@pytest.mark.parametrize(
    "space",
    [
        Box(-(2**63), 2**63 - 1, (1,), np.int64),
        Box(0, 2**64 - 1, (1,), np.uint64),
        Box(-(2**60) - 1, 2**60 + 1, (1,), np.int64),
        Box(-(2**60) + 1, 2**60 - 1, (1,), np.int64),
        Box(0, 255, (1,), np.uint8),
    ],
    ids=str,
)
def test_whole_numbers_stay_inside_bounds_that_floats_cannot_hold(space):
    taken = to_env_action(space)(torch.tensor([[-1e30], [1e30]], dtype=torch.float64))
    assert all(space.contains(action) for action in taken)
    width = float(space.high[0]) - float(space.low[0])
    assert float(taken[1, 0]) - float(taken[0, 0]) == pytest.approx(width, rel=1e-12)


@pytest.mark.parametrize("key", [(0, 1), b"x", "\ud800"])
def test_a_key_that_json_does_not_keep_is_refused_before_anything_is_learned(key):
    with pytest.raises(UnsupportedSpaceError, match="cannot be saved: use a text or a number"):
        pg.PPO.for_spaces(Dict([(key, Box(-1, 1, (2,)))]), Discrete(2))


@pytest.mark.parametrize(
    ("seen", "done", "message"),
    [
        (Dict({}), Discrete(2), "holds no numbers"),
        (Box(-1, 1, (0,)), Discrete(2), "holds no numbers"),
        (Discrete(2), Box(-1, 1, (0,)), "has no components"),
    ],
)
def test_spaces_with_nothing_in_them_are_refused(seen, done, message):
    with pytest.raises(UnsupportedSpaceError, match=message):
        pg.PPO.for_spaces(seen, done)


def test_a_part_with_nothing_in_it_is_left_out():
    agent = pg.PPO.for_spaces(Dict(a=Dict({}), b=Box(-1, 1, (2,))), Discrete(2))
    assert agent.act({"a": {}, "b": np.zeros(2, np.float32)})[0] in (0, 1)


def without_its_start(space):
    return MultiDiscrete(space.nvec, space.dtype) if isinstance(space, MultiDiscrete) else space


def of_64_bits(space):
    return Discrete(space.n, start=space.start) if isinstance(space, Discrete) else space


def to_json_without_dtype(space, right=space_to_json):
    found = right(space)
    return {name: found[name] for name in found if name != "dtype" or found["kind"] != "MultiDiscrete"}


def in_the_order_of_letters(space):
    return Dict(dict(space.spaces)) if isinstance(space, Dict) else space


test_seeded_bugs = seeded(
    Bug(
        "the largest whole number is rounded to one that is larger",
        conversion.bounds_of,
        lambda space: (space.low.astype(np.float64), space.high.astype(np.float64)),
        [test_whole_numbers_stay_inside_bounds_that_floats_cannot_hold],
    ),
    Bug(
        "the start of a MultiDiscrete is not added",
        to_env_action,
        with_arguments(to_env_action, space=without_its_start),
        [test_multi_discrete_actions_are_shaped_and_shifted],
    ),
    Bug(
        "Discrete actions have the dtype of the policy's, not of their space",
        to_env_action,
        with_arguments(to_env_action, space=of_64_bits),
        [test_discrete_actions_are_of_the_spaces_dtype],
    ),
    Bug(
        "a space comes out of its file without the dtype of its whole numbers",
        space_to_json,
        to_json_without_dtype,
        [test_spaces_survive_json],
    ),
    Bug(
        "a Dict comes out of its file with its keys in another order, and weights belong to other features",
        space_from_json,
        with_result(space_from_json, in_the_order_of_letters),
        [test_spaces_survive_json, test_spaces_as_earlier_versions_wrote_them],
    ),
)
