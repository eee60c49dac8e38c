"""Environments that break their contract are refused by name, row and step."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from support.tiny_envs import MODES, Faulty, OneStep

from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.errors import FaultyEnvironmentError


class Flags(VectorEnv):
    """A vector environment whose flags are integers, 0 and 1: row 0 ends at its second step and is then reset."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    num_envs = 2
    single_observation_space = gym.spaces.Box(-1, 1, (1,))
    observation_space = gym.spaces.Box(-1, 1, (2, 1))
    single_action_space = gym.spaces.Discrete(2)
    clock = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 1), np.float32), {}

    def step(self, actions):
        self.clock += 1
        done = np.array([self.clock % 3 == 2, False])
        return np.zeros((2, 1), np.float32), np.ones(2), done.astype(np.int8), np.zeros(2, np.int8), {}


def test_flags_that_are_integers_count_as_booleans():
    adapter = EnvAdapter(Flags(), 0)
    steps = [adapter.step(np.zeros(2, np.int64)) for _ in range(4)]
    assert [step.done.tolist() for step in steps] == [[False, False], [True, False], [False, False], [False, False]]
    assert [step.valid.tolist() for step in steps] == [[True, True], [True, True], [False, True], [True, True]]
    assert [step.lengths.tolist() for step in steps] == [[1, 1], [2, 2], [0, 3], [1, 4]]


FAULTS = ["nan reward", "inf reward", "nan observation"]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("at", [2, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_finite_is_refused_by_environment_and_step(fault, at, mode):
    """Step 3 is the last of an episode: a NaN in the final observation counts as one in any other."""
    adapter = EnvAdapter(SyncVectorEnv([Faulty, lambda: Faulty(fault, at)], autoreset_mode=mode), 0)
    for _ in range(at - 1):
        adapter.step(np.zeros(2, np.int64))
    with pytest.raises(FaultyEnvironmentError, match=rf"(?s)not finite.*step {at}.*environment 1"):
        adapter.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_nan_in_a_later_episodes_first_observation_is_refused(mode):
    adapter = EnvAdapter(SyncVectorEnv([Faulty, lambda: Faulty("nan at reset")], autoreset_mode=mode), 0)
    with pytest.raises(FaultyEnvironmentError, match="not finite"):
        for _ in range(4):
            adapter.step(np.zeros(2, np.int64))


@pytest.mark.parametrize("fault", ["long reward", "long observation"])
def test_wrong_shapes_are_refused(fault):
    adapter = EnvAdapter(SyncVectorEnv([Faulty, lambda: Faulty(fault)], autoreset_mode=AutoresetMode.NEXT_STEP), 0)
    adapter.step(np.zeros(2, np.int64))
    with pytest.raises(FaultyEnvironmentError, match="step 2"):
        adapter.step(np.zeros(2, np.int64))


class Columns(Flags):
    """Rewards as a column, [B, 1]: added to anything of shape [B] they would become [B, B]."""

    def step(self, actions):
        observation, rewards, *rest = super().step(actions)
        return observation, rewards[:, None], *rest


def test_rewards_of_a_vector_environment_must_be_one_number_a_row():
    with pytest.raises(FaultyEnvironmentError, match=r"reward of shape \(2, 1\) at step 1.*: \[1.\], expected \(2,\)"):
        EnvAdapter(Columns(), 0).step(np.zeros(2, np.int64))


def test_finite_rewards_whose_sum_overflows_are_not_faults():
    adapter = EnvAdapter(SyncVectorEnv([lambda: OneStep(1.7e308)] * 3), 0)
    assert adapter.step(np.zeros(3, np.int64)).rewards.tolist() == [1.7e308] * 3


def test_observations_outside_a_discrete_space_are_refused():
    class Outside(gym.Env):
        observation_space, action_space = gym.spaces.Discrete(3), gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return 3, 0.0, False, False, {}

    adapter = EnvAdapter(Outside(), 0)
    with pytest.raises(FaultyEnvironmentError, match="outside its space at step 1"):
        adapter.step(np.zeros(1, np.int64))
