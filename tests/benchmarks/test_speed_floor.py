"""The loop without abstractions: what it learns from, and that it learns."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from benchmarks.speed._sides import floor


def sync_cartpole(num_envs=8):
    how = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec("CartPole-v1", num_envs, vectorization_mode="sync", vector_kwargs=how)


def test_the_floor_learns_cartpole():
    result = floor.train(sync_cartpole(), total_steps=30_000, seed=0)
    assert result["steps"] == 30 * 1024
    assert result["mean_return"] > 60  # about 20 at random


class Counting(gym.vector.VectorEnv):
    """One environment, reward 1, cut (not terminated) at every third step; the final observation is far away."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    num_envs = 1
    single_observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    single_action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.t = 0

    def step(self, actions):
        self.t += 1
        cut = self.t % 3 == 0
        infos = {"final_obs": np.array([np.full(4, 9.0, np.float32)])} if cut else {}
        where = 0.0 if cut else self.t % 3
        return np.full((1, 4), where, np.float32), np.ones(1), np.zeros(1, bool), np.array([cut]), infos


def test_the_floors_targets_are_lambda_returns_with_the_true_final_values():
    torch.manual_seed(0)
    policy, critic, _ = floor.make_networks(4, 2)
    start = np.zeros((1, 4), np.float32)
    _, data = floor.collect(Counting(), start, policy, critic, np.zeros(1), floor.deque(maxlen=100))
    with torch.no_grad():
        value = {x: floor.network(critic, torch.full((1, 4), float(x))).item() for x in (0, 1, 2, 9)}
    gamma, lam = floor.DISCOUNT, floor.GAE_LAMBDA
    deltas = [1 + gamma * value[1] - value[0], 1 + gamma * value[2] - value[1], 1 + gamma * value[9] - value[2]]
    advantages = [deltas[0] + gamma * lam * (deltas[1] + gamma * lam * deltas[2]), deltas[1] + gamma * lam * deltas[2]]
    expected = [advantages[0] + value[0], advantages[1] + value[1], deltas[2] + value[2]]
    assert data[4][:3].tolist() == pytest.approx(expected, rel=1e-5)
    assert abs(data[3].mean()) < 1e-5 and data[3].std() == pytest.approx(1.0, rel=0.01)


def test_the_floors_networks_are_views_of_one_vector():
    policy, critic, flat = floor.make_networks(4, 2)
    sum(parameter.sum() for parameter in (*policy, *critic)).backward()
    assert torch.equal(flat.grad, torch.ones_like(flat))
    with torch.no_grad():
        flat.zero_()
    assert not any(parameter.any() for parameter in (*policy, *critic))
    assert len(flat) == (4 * 64 + 64 + 64 * 64 + 64) * 2 + (64 * 2 + 2) + (64 + 1)
