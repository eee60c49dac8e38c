"""Rollout estimates against the exact relative values, and copies that leave the environment alone."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv
from pg_envs import MDPVectorEnv, solve
from pg_envs.mdps.problems import river_swim, two_state
from support.masked_envs import Doors
from support.tiny_envs import OneStep

from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.gradients.simulation import estimate_gain, fork, rollout_values
from pg_agents.policies import MLPPolicy, TabularPolicy

PROBLEMS = {"two states": (two_state(), 1), "river": (river_swim(4), 2)}  # and the reference state


def policy_of(mdp, preference=0.8):
    """Return a policy that prefers the last action by the logit `preference`, and its table."""
    policy = TabularPolicy(mdp.num_states, mdp.num_actions)
    policy.logits.data[0, :, -1] = preference
    return policy, policy.logits[0].detach().double().softmax(-1).numpy()


def standing_in(mdp, states):
    """Return an environment whose rows stand in `states`, and these."""
    env = MDPVectorEnv(mdp, len(states))
    env.reset(seed=1)
    env.state[:] = states
    return env, np.array(states)


def relative_values(mdp, table, reference):
    """Return Q with V(reference) = 0, from the model."""
    exact = solve.evaluate(mdp, table, "average")
    return exact.action_values - exact.state_values[reference], exact.gain


@pytest.mark.parametrize("problem", PROBLEMS)
def test_mean_is_the_exact_relative_value_of_every_state_and_action(problem):
    """2,000 paths a pair, within 4 standard errors; from the reference state itself a path goes round once."""
    mdp, reference = PROBLEMS[problem]
    policy, table = policy_of(mdp)
    exact, gain = relative_values(mdp, table, reference)
    pairs = np.array([(s, a) for s in range(mdp.num_states) for a in range(mdp.num_actions)]).repeat(2000, 0)
    env, states = standing_in(mdp, pairs[:, 0])
    actions = torch.from_numpy(pairs[:, 1])
    estimates = rollout_values(env, states, policy, actions, gain=gain, reference=reference, seed=2)
    estimates = estimates.reshape(-1, 2000)
    errors = estimates.std(1) / 2000**0.5
    misses = (estimates.mean(1) - torch.as_tensor(exact).reshape(-1)).abs()
    assert bool((misses < 4 * errors + 1e-9).all())  # from the river's end one step left is the whole path
    assert np.ptp(exact) > 20 * float(errors.mean())  # enough paths to tell the pairs apart


def test_without_actions_it_is_the_value_of_the_state():
    """V̂ is Σ_a π(a|s) Q(s,a) on average: Q̂ − V̂ is the advantage of equation 23."""
    mdp, reference = PROBLEMS["river"]
    policy, table = policy_of(mdp)
    exact, gain = relative_values(mdp, table, reference)
    env, states = standing_in(mdp, [0] * 4000)
    values = rollout_values(env, states, policy, gain=gain, reference=reference, seed=3)
    wanted = float((table[0] * exact[0]).sum())
    assert abs(float(values.mean()) - wanted) < 4 * float(values.std()) / 4000**0.5


def test_with_an_estimated_gain_its_error_times_the_time_is_added():
    """λ̂ from 20 independent paths: within 4 standard errors of both, and λ̂ off by 0.1 shifts Q̂ by 0.1 E τ."""
    mdp, reference = PROBLEMS["two states"]
    policy, table = policy_of(mdp)
    exact, gain = relative_values(mdp, table, reference)
    env, states = standing_in(mdp, [0] * 1000)
    paths = [estimate_gain(env, states, policy, steps=80, skip=20, seed=100 + i) for i in range(20)]
    estimate, error = np.mean(paths), np.std(paths, ddof=1) / 20**0.5
    assert abs(estimate - gain) < 4 * error < 0.02 * gain
    arguments = {"reference": reference, "seed": 4}
    actions = torch.zeros(1000, dtype=torch.int64)
    values = rollout_values(env, states, policy, actions, gain=estimate, **arguments)
    off = rollout_values(env, states, policy, actions, gain=estimate + 0.1, **arguments)
    times = (values - off) / 0.1
    assert torch.allclose(times, times.round(), atol=1e-9) and int(times.min().round()) == 1
    both = (float(values.std()) ** 2 / 1000 + (float(times.mean()) * error) ** 2) ** 0.5
    assert abs(float(values.mean()) - exact[0, 0]) < 4 * both


def test_with_the_average_of_the_same_path_it_is_always_zero():
    mdp, reference = PROBLEMS["river"]
    policy, _ = policy_of(mdp)
    env, states = standing_in(mdp, [3])
    estimates = []
    for seed in range(50):
        arguments = {"reference": reference, "seed": seed}
        rewards = float(rollout_values(env, states, policy, gain=0.0, **arguments))
        steps = rewards - float(rollout_values(env, states, policy, gain=1.0, **arguments))
        estimates.append(rewards)
        assert abs(float(rollout_values(env, states, policy, gain=rewards / steps, **arguments))) < 1e-9
    assert np.std(estimates) > 0.5  # though the paths differ


@pytest.mark.slow
def test_without_a_state_to_stop_at_the_sums_walk_at_random():
    """Σ_{k<K} (R − λ) with the exact λ: four times the steps, four times the variance (here with 400 rows × 40 seeds).

    Each seed gives the mean of 400 rows; a ratio of variances of 40 samples each lies within a factor 2.5 of 4.
    """
    mdp, _ = PROBLEMS["two states"]
    policy, table = policy_of(mdp)
    gain = solve.gain(mdp, table)
    env, states = standing_in(mdp, [0] * 400)
    spread = [
        np.var([steps * (estimate_gain(env, states, policy, steps=steps, seed=seed) - gain) for seed in range(40)])
        for steps in (40, 160)
    ]
    assert 4 / 2.5 < spread[1] / spread[0] < 4 * 2.5


# -- copies ------------------------------------------------------------------------------------------------------------
class Walk(gym.Env):
    """A walk on 0 … 4 that never ends, by the usual generator; Box observations; pays the state."""

    observation_space, action_space = Box(0, 4, (1,)), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 2
        return self.observe(), {}

    def step(self, action):
        self.state = int(np.clip(self.state + self.np_random.choice([-1, 1]), 0, 4))
        return self.observe(), float(self.state), False, False, {}

    def observe(self):
        return np.array([self.state], np.float32)


def make_walks():
    return gym.vector.SyncVectorEnv([Walk, Walk])


FORMS = {
    "single": lambda: gym.make("pg/RiverSwim-v0"),
    "rows": lambda: gym.make_vec("pg/RiverSwim-v0", 2),
    "any": Walk,
    "several": make_walks,
}


def future(env, steps=60):
    actions = np.ones(env.action_space.shape, np.int64) if env.action_space.shape else 1
    return [np.asarray(env.step(actions)[0]).tolist() for _ in range(steps)]


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_starts_in_the_same_state_has_another_future_and_leaves_the_environment_its_own(form):
    env, twin = FORMS[form](), FORMS[form]()
    for one in (env, twin):
        one.reset(seed=7)
        future(one, 5)
    first, again, other = fork(env, 1), fork(env, 1), fork(env, 2)
    futures = [future(one) for one in (first, again, other)]
    assert futures[0] == futures[1] != futures[2]
    mine = future(env)
    assert mine == future(twin) and mine not in futures


def test_a_single_environment_is_a_batch_of_one():
    env = gym.make("pg/RiverSwim-v0")
    observation, _ = env.reset(seed=3)
    policy, _ = policy_of(river_swim())
    values = rollout_values(env, observation, policy, torch.tensor([1]), gain=0.1, reference=1, seed=2)
    assert values.shape == (1,) and values.dtype == torch.float64
    walk = Walk()
    seen, _ = walk.reset(seed=3)
    own = MLPPolicy(walk.observation_space, walk.action_space, hidden=(4,))
    reference = np.array([4.0], np.float32)
    # every step but the last is paid less than 4, the last exactly that
    assert float(rollout_values(walk, seen, own, gain=4.0, reference=reference, seed=2)) < 0
    assert float(rollout_values(walk, seen, own, gain=-1.0, reference=reference, seed=2)) >= 2 * 3


# -- what it cannot do -------------------------------------------------------------------------------------------------
def test_a_path_that_does_not_come_back_is_an_error():
    env, states = standing_in(river_swim(), [0, 0])
    policy, _ = policy_of(river_swim(), preference=-50.0)  # always left
    with pytest.raises(ValueError, match="2 of 2 paths did not come back to it in 30 steps"):
        rollout_values(env, states, policy, gain=0.0, reference=5, seed=1, max_steps=30)


@pytest.mark.parametrize("make", [OneStep, lambda: gym.make("pg/Chain-v0")], ids=["terminates", "limited"])
def test_an_episode_that_ends_is_an_error(make):
    env = make()
    observation, _ = env.reset(seed=1)
    policy = TabularPolicy(5, 2)
    with pytest.raises(ValueError, match="an episode ended in a simulated path"):
        estimate_gain(env, observation, policy, steps=200, seed=1)
    with pytest.raises(ValueError, match="an episode ended in a simulated path"):
        rollout_values(env, observation, policy, gain=0.0, reference=99, seed=1)


def test_an_environment_in_other_processes_cannot_be_copied():
    env = AsyncVectorEnv([Walk])
    try:
        env.reset(seed=1)
        with pytest.raises(TypeError, match="AsyncVectorEnv lives in other processes"):
            fork(env, 1)
        assert env.step(np.array([0]))[0].shape == (1, 1)  # the attempt has done it no harm
    finally:
        env.close()


@pytest.mark.parametrize("where", ["info", "observation"])
def test_simulated_paths_heed_masks(where):
    """Doors fails at a forbidden action; the first mask stands beside the observation."""
    env = gym.vector.SyncVectorEnv([lambda: Doors(ends=0.0, where=where)] * 3)
    policy = MLPPolicy(env.single_observation_space, env.single_action_space, hidden=(4,))
    assert estimate_gain(env, EnvAdapter(env, 0).observation, policy, steps=30, seed=1) > 0


def test_simulated_actions_of_a_squashed_policy_are_those_of_the_environment():
    """u = 0.5 with σ near 0: in a box of −1 … 3 that is 1 + 2 tanh 0.5, which the reward repeats."""

    class Repeat(gym.Env):
        observation_space, action_space = Box(0, 1, (1,)), Box(-1, 3, (1,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), float(action[0]), False, False, {}

    env = Repeat()
    policy = MLPPolicy(env.observation_space, env.action_space, hidden=(), squash=True, initial_log_std=-20.0)
    policy.network[-1].bias.data[0] = 0.5
    gain = estimate_gain(env, env.reset(seed=0)[0], policy, steps=2, seed=1)
    assert gain == pytest.approx(1 + 2 * np.tanh(0.5), abs=1e-5)
