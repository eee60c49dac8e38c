"""Lines to compare a run's curve with: the returns of the best and of the random policy, and the chart of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium as gym
import pg_envs
from gymnasium.vector import VectorEnv

from pg_agents.agents import AGENTS
from pg_agents.training.appended import Value

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

KnownReturns = pg_envs.KnownReturns
RETURNS = ["rollout/ep_rew_mean$", "eval/ep_rew_mean$", "rollout/.*_return$"]  # tags, as regular expressions
GAINS = ["train/gain$", "train/.*_gain$"]


def known_returns(env: gym.Env | VectorEnv) -> KnownReturns:
    """Return the known returns of an environment, as `pg_envs.known_returns` does."""
    return pg_envs.known_returns(env)


def known_lines(env: gym.Env | VectorEnv) -> dict[str, Value]:
    """Return what `pg_envs.known_returns` knows, beside the curves that it is compared with.

    It is rollout/optimal_return, rollout/random_return, … of an episode; train/optimal_gain, … of a step.
    """
    known = known_returns(env)
    tag = "rollout/{}_return" if known.per == "episode" else "train/{}_gain"
    values = {"optimal": known.optimal, "memoryless": known.memoryless, "random": known.random}
    return {tag.format(name): value for name, value in values.items() if value is not None}


def chart_of_returns(agent: str) -> Summary.Value:
    """Return the record with which the tab CUSTOM SCALARS shows an agent's curve and the known ones in one chart.

    They are returns of episodes, or gains if the agent of that name is one for tasks that never end.
    """
    from torch.utils.tensorboard.summary import custom_scalars

    continuing = agent in AGENTS and AGENTS[agent].continuing
    charts = {"reward of a step": ["Multiline", GAINS]} if continuing else {"return": ["Multiline", RETURNS]}
    return custom_scalars({"learning": charts}).value[0]
