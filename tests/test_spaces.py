"""Spaces: the door for actions, and spaces as JSON."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from pg_agents.policies import UnsupportedSpaceError
from pg_agents.spaces import action_door, space_from_json, space_to_json, spaces_of


def test_discrete_actions_are_shifted_by_the_spaces_start():
    assert action_door(Discrete(3))(torch.tensor([0, 2])).tolist() == [0, 2]
    assert action_door(Discrete(3, start=5))(torch.tensor([0, 2])).tolist() == [5, 7]
    assert action_door(Discrete(3, start=-1))(torch.tensor([0, 2])).tolist() == [-1, 1]


def test_box_actions_are_clipped_shaped_and_cast():
    """Bounds −1 … 1 and 0 … 10; a policy's actions are flat, [B, 2]."""
    space = Box(np.array([[-1], [0]], np.float32), np.array([[1], [10]], np.float32))
    taken = torch.tensor([[3.0, -4.0], [0.5, 12.0]], dtype=torch.float64)
    actions = action_door(space)(taken)
    assert actions.tolist() == [[[1], [0]], [[0.5], [10]]] and actions.dtype == np.float32
    assert taken.tolist() == [[3, -4], [0.5, 12]]  # the record keeps what was sampled
    assert all(space.contains(action) for action in actions)
    assert action_door(Box(-np.inf, np.inf, ()))(torch.tensor([[3e7], [-2.0]])).tolist() == [3e7, -2]


def test_integer_boxes_are_rounded_into_their_bounds():
    space = Box(np.array([[0, -3]]), np.array([[255, 3]]), dtype=np.int16)
    actions = action_door(space)(torch.tensor([[254.6, -9.0], [0.4, 2.5], [300.0, 1.5]]))
    assert actions.tolist() == [[[255, -3]], [[0, 2]], [[255, 2]]] and actions.dtype == np.int16


def test_multi_discrete_actions_are_shaped_and_shifted():
    space = MultiDiscrete([[2, 3], [4, 5]], start=[[0, 10], [-2, 1]])
    actions = action_door(space)(torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]]))
    assert actions.tolist() == [[[1, 12], [1, 5]], [[0, 10], [-2, 1]]]
    assert actions.dtype == space.dtype and all(space.contains(action) for action in actions)


def test_multi_binary_actions_are_shaped_and_cast():
    space = MultiBinary((2, 2))
    actions = action_door(space)(torch.tensor([[1, 0, 0, 1], [0, 0, 1, 1]]))
    assert actions.tolist() == [[[1, 0], [0, 1]], [[0, 0], [1, 1]]] and actions.dtype == np.int8
    assert all(space.contains(action) for action in actions)


def test_actions_of_other_spaces_are_refused():
    for space in (Dict(a=Discrete(2)), Tuple([Discrete(2)])):
        with pytest.raises(UnsupportedSpaceError, match="use Discrete, MultiDiscrete, MultiBinary or Box"):
            action_door(space)


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
    Dict(observation=Box(-1, 1, (2,)), action_mask=Box(0, 1, (5,), np.int8)),
    gym.make("CartPole-v1").observation_space,
    gym.make("Pendulum-v1").action_space,
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_survive_json(space):
    again = space_from_json(json.loads(json.dumps(space_to_json(space))))
    assert again == space and type(again) is type(space)


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
