"""Work in which tricks are used: one step of each is an update, or a few, with the rollouts that it learns from.

Learning rates are so small that policies stay what they were, and every step is as much work as the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from pg_envs import TokenVectorEnv

import pg_agents as pg
from benchmarks.speed._sides.making import make_env
from benchmarks.speed._sides.workload import Workload
from benchmarks.speed._tricks.replaced import Make
from benchmarks.speed.same_work import A2C_SAME_WORK, COLLECTION_NATIVE, SAME_WORK
from pg_agents.policies import MLPPolicy
from pg_agents.training.progress import RunProgress

Step = Callable[[], object]
STILL = 1e-12  # a learning rate


def learning(agent: pg.Agent, env: Any, updates: int) -> Step:  # noqa: ANN401
    """Return a function that collects and learns so many times."""
    cadence = agent.cadence
    steps = isinstance(cadence, pg.StepCadence)
    rollouts: Iterator[pg.Rollout] = (
        pg.collect_steps(env, agent.policy, cadence.num_steps)
        if steps
        else pg.collect_episodes(env, agent.policy, group_size=cadence.group_size)
    )

    def step() -> None:
        for _ in range(updates):
            agent.update(next(rollouts))

    return step


def of_peers(workload: Workload, updates: int = 1, **changes: Any) -> Step:  # noqa: ANN401
    """Return our side of a workload that peers do too."""
    side = workload.settings | workload.sides["ours"].settings
    env = make_env(side)
    agent = pg.AGENTS[side["agent"]].for_env(env, seed=0, **side["arguments"] | {"learning_rate": STILL} | changes)
    return learning(agent, env, updates)


def collection() -> Step:
    """Return a function that collects 16 steps of 1,024 environments which take hardly any time themselves."""
    settings = COLLECTION_NATIVE.settings
    env = make_env(settings)
    assert isinstance(env, VectorEnv)
    torch.manual_seed(0)
    policy = MLPPolicy(env.single_observation_space, env.single_action_space)
    rollouts = pg.collect_steps(env, policy, 16)
    return lambda: next(rollouts)


def tabular() -> Step:
    """Return a function that learns in an environment of tables, which takes hardly any time itself."""
    env = gym.make_vec("pg/Chain-v0", 16)
    return learning(pg.A2C.for_env(env, seed=0, num_steps=16, learning_rate=STILL, critic_learning_rate=STILL), env, 2)


def single_steps() -> Step:
    """Return a function that learns 64 times from a step of 16 environments, and then reads the metrics."""
    env = gym.make_vec("pg/CartPole-v1", 16)
    agent = pg.ActorCritic.for_env(env, seed=0, learning_rate=STILL, critic_learning_rate=STILL)
    rollouts = pg.collect_steps(env, agent.policy, 1)

    def step() -> None:
        progress = RunProgress()
        for _ in range(64):
            progress.learned(agent.update(next(rollouts)))
        progress.since_row()

    return step


def texts() -> Step:
    """Return a function that writes 16 of 256 symbols behind each of 64 prompts, and learns from them."""
    prompts = np.random.default_rng(0).integers(1, 256, size=(8, 8))
    task = {"prompts": prompts, "score": lambda _, text: float(text[0] % 2), "vocabulary": 256, "eos": 0}
    env = TokenVectorEnv(64, max_new_tokens=16, **task)
    return learning(pg.RLOO.for_env(env, seed=0, learning_rate=STILL), env, 1)


WORKLOADS: dict[str, Make] = {
    "PPO": lambda: of_peers(SAME_WORK),
    "small parts": lambda: of_peers(SAME_WORK, num_steps=32, minibatch_size=64, epochs=10),
    "A2C": lambda: of_peers(A2C_SAME_WORK, updates=8),
    "GRU": lambda: of_peers(SAME_WORK, recurrent=64),
    "collection": collection,
    "single steps": single_steps,
    "tables": tabular,
    "tokens": texts,
}
