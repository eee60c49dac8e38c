"""Episodes of every length: nothing that a run reports is NaN, and what it reports is what happened."""

import json
import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import pg_agents as pg

STEPS, KINDS = 320, ("one step", "half truncated", "mixed", "never ends")


class OfLengths(gym.Env):
    """Its episodes last as many steps as `kind` says; every step is worth 1."""

    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def __init__(self, kind):
        self.kind, self.episode = kind, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        lasts = {"one step": 1, "half truncated": 4, "mixed": 1 + 7 * self.episode % 30}
        over = self.time >= lasts.get(self.kind, 10**9)
        cut = over and self.kind == "half truncated" and self.episode % 2 == 0
        return np.zeros(2, np.float32), 1.0, over and not cut, cut, {}


OPTIONS = {
    "reinforce-baseline": {}, "grpo": {"group_size": 2}, "actor-critic": {"num_steps": 8}, "a2c": {"num_steps": 8},
    "ppo": {"num_steps": 8, "minibatch_size": 16, "epochs": 2},
}  # fmt: skip
WHOLE = ("reinforce-baseline", "grpo")  # they learn from whole episodes
CELLS = [(name, kind) for name in OPTIONS for kind in KINDS if kind != "never ends" or name not in WHOLE]


@pytest.mark.parametrize(("name", "kind"), CELLS)
def test_no_metric_is_nan(tmp_path, name, kind, record_property):
    env = gym.vector.SyncVectorEnv([lambda: OfLengths(kind)] * 4)
    agent = pg.AGENTS[name].for_env(env, hidden=(4,), **OPTIONS[name])
    pg.train(agent, env, total_steps=STEPS, log_every=40, run_dir=tmp_path / "r", progress=False)
    rows = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    numbers = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert len(rows) > 2 and len(numbers) > 20 and all(map(math.isfinite, numbers))
    ended = [row for row in rows if "rollout/ep_rew_mean" in row]
    assert bool(ended) == (kind != "never ends")
    assert all(row["rollout/ep_rew_mean"] == pytest.approx(row["rollout/ep_len_mean"]) for row in ended)
    record_property("rows of metrics", len(rows))
