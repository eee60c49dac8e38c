"""Our vector forms of classic control beside Gymnasium's single environments."""

import gymnasium as gym
import numpy as np

CLOSE = {"rtol": 0, "atol": 1e-12}
POLICIES = {  # which make episodes long, or reach the goal
    "CartPole-v1": lambda seen: (seen @ [0.05, 0.2, 1, 0.5] > 0).astype(np.int64),
    "Acrobot-v1": lambda seen: 1 + np.sign(seen[:, 5]).astype(np.int64),
    "MountainCar-v0": lambda seen: 1 + np.sign(seen[:, 1]).astype(np.int64),
    "MountainCarContinuous-v0": lambda seen: np.sign(seen[:, 1:]),
    "Pendulum-v1": lambda seen: -seen[:, 2:] * seen[:, :1],
}
NAMES = list(POLICIES)


def assert_equal(seen, expected):
    np.testing.assert_allclose(seen, expected, **CLOSE)
    assert seen.dtype == np.asarray(expected).dtype


def assert_step(env, singles, actions):
    """One step in both; return the next observations, and how many rows have ended."""
    seen, rewards, terminated, truncated, infos = env.step(actions)
    ended = terminated | truncated
    assert ("final_obs" in infos) == ended.any()
    for row, single in enumerate(singles):
        now, reward, *ends, _ = single.step(actions[row])
        np.testing.assert_allclose(rewards[row], reward, **CLOSE)
        assert [terminated[row], truncated[row]] == ends
        if ended[row]:
            assert infos["_final_obs"][row]
            assert_equal(infos["final_obs"][row], now)
            now, _ = single.reset()
        assert_equal(seen[row], now)
        np.testing.assert_allclose(env.unwrapped.state[:, row], single.unwrapped.state, **CLOSE)
    return seen, ended.sum()


def pair(name, seeds, limit=None, **arguments):
    """Our vector environment and Gymnasium's single ones, after their reset."""
    arguments |= {} if limit is None else {"max_episode_steps": limit}
    env = gym.make_vec(f"pg/{name}", len(seeds), **arguments)
    singles = [gym.make(name, **arguments) for _ in seeds]
    seen, _ = env.reset(seed=seeds)
    assert_equal(seen, np.stack([one.reset(seed=seed)[0] for one, seed in zip(singles, seeds, strict=True)]))
    return env, singles, seen


def assert_plays_alike(name, seeds, steps, noise, action_seed, **arguments):
    """The same actions, from a policy and partly at random, give the same transitions; return how many episodes end."""
    env, singles, seen = pair(name, seeds, **arguments)
    env.action_space.seed(action_seed)
    rng, count = np.random.default_rng(action_seed), 0
    for _ in range(steps):
        actions, random = POLICIES[name](seen), env.action_space.sample()
        chosen = rng.random(len(seeds)) < noise
        actions[chosen] = random[chosen]
        seen, ended = assert_step(env, singles, actions)
        count += ended
    return count
