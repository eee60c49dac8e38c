"""Lines to compare a run's curve with: the returns of the best and of the random policy, and the chart of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium as gym
import pg_envs
from gymnasium.vector import VectorEnv

from pg_agents.training.appended import Value

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

CHARTS = {  # of the tab CUSTOM SCALARS: title → tags, as regular expressions
    "return of an episode": ["rollout/ep_rew_mean$", "eval/ep_rew_mean$", "known/.*_return$"],
    "reward of a step, in tasks that never end": ["train/gain$", "known/.*_gain$"],
}


def known_lines(env: gym.Env | VectorEnv) -> dict[str, Value]:
    """Return what `pg_envs.known_returns` knows: known/optimal_return, known/random_return, …; per step …_gain."""
    known = pg_envs.known_returns(env)
    unit = "return" if known.per == "episode" else "gain"
    values = {"optimal": known.optimal, "memoryless": known.memoryless, "random": known.random}
    return {f"known/{name}_{unit}": value for name, value in values.items() if value is not None}


def chart_of_returns() -> Summary.Value:
    """Return the record with which the tab CUSTOM SCALARS shows return, evaluation and known returns in one chart."""
    from torch.utils.tensorboard.summary import custom_scalars

    return custom_scalars({"learning": {title: ["Multiline", tags] for title, tags in CHARTS.items()}}).value[0]
