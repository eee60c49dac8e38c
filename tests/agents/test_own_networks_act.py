"""Agents of the user's networks act as they learned: clipped to the box, in the units of the environment."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

import pg_agents as pg
from pg_agents.distributions import Categorical, DiagonalGaussian


class Narrow(gym.Env):
    """A box from −1 to 1, of which actions far outside are asked for."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return np.zeros(3, np.float32), 0.0, False, False, {}


def env():
    return gym.wrappers.TimeLimit(Narrow(), 5)


class Wide(pg.Policy):
    """A Gaussian around 1, in units of 5."""

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(3, 2)
        nn.init.ones_(self.network.bias)

    def forward(self, observations, memory=None, episode_starts=None):
        mean = self.network(observations)
        return DiagonalGaussian(mean, torch.full((2,), -5.0))

    def unscale_action(self, actions):
        return actions * 5


def agent():
    return pg.Reinforce(policy=Wide())


OBSERVATION = np.zeros(3, np.float32)


def test_act_gives_what_the_environment_takes_once_the_agent_has_learned_in_one(tmp_path):
    made = agent()
    with pytest.warns(UserWarning, match=r"act: .*set agent.spaces = \(env"):
        outside, _ = made.act(OBSERVATION, greedy=True)
    assert (outside > 4).all()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="act:")
        made.act(OBSERVATION)  # said once
        pg.train(made, env(), total_steps=5, progress=False)
        made.save(tmp_path / "agent")
        for one in (made, pg.load(tmp_path / "agent", policy=Wide())):
            action, _ = one.act(OBSERVATION, greedy=True)
            assert env().action_space.contains(action) and np.array_equal(action, np.ones(2, np.float32))
            batch, _ = one.act(np.zeros((4, 3)), greedy=True)  # in float64: as the environment's, in float32
            assert batch.shape == (4, 2) and batch.dtype == np.float32 and (batch == 1).all()
            assert one.spaces is None and one.learned_in == (Narrow.observation_space, Narrow.action_space)


def test_spaces_that_were_set_stay_and_are_compared():
    made = agent()
    made.spaces = Narrow.observation_space, gym.spaces.Box(-2, 2, (2,), np.float32)
    assert (made.act(OBSERVATION, greedy=True)[0] == 2).all()
    with pytest.raises(ValueError, match="action space"):
        pg.train(made, env(), total_steps=5, progress=False)
    assert made.learned_in is None


def test_the_newest_environment_counts():
    made = agent()
    pg.train(made, env(), total_steps=5, progress=False)
    wide = gym.wrappers.RescaleAction(Narrow(), np.float32(-3), np.float32(3))
    pg.train(made, gym.wrappers.TimeLimit(wide, 5), total_steps=5, progress=False)
    assert (made.act(OBSERVATION, greedy=True)[0] == 3).all()


@pytest.mark.parametrize("seen", [np.zeros(4, np.float32), np.zeros((2, 4), np.float32), np.zeros(3), ["a"]])
def test_observations_that_do_not_fit_are_one_clear_error(seen):
    made = agent()
    with pytest.raises(ValueError, match="observation"):
        made.act(seen)
    pg.train(made, env(), total_steps=5, progress=False)
    if np.shape(seen) != (3,):
        with pytest.raises(ValueError, match="observation"):
            made.act(seen)


def test_first_numbers_of_a_discrete_space_are_those_of_the_environment():
    class Two(pg.Policy):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([0.0, 9.0]))

        def forward(self, observations, memory=None, episode_starts=None):
            return Categorical(self.logits.expand(*observations.shape, 2))

    class Shifted(Narrow):
        observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2, start=5)

        def reset(self, *, seed=None, options=None):
            return np.int64(0), {}

        def step(self, action):
            assert self.action_space.contains(action)
            return np.int64(1), 0.0, False, False, {}

    made = pg.Reinforce(policy=Two())
    pg.train(made, gym.wrappers.TimeLimit(Shifted(), 5), total_steps=5, progress=False)
    assert made.act(1, greedy=True)[0] == 6
