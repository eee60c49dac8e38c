"""What is looked at while an agent learns, besides its metrics: small functions (agent, rollout) → values by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.agents.agent import Agent
from pg_agents.policies import TabularPolicy
from pg_agents.record import Value
from pg_agents.rollout import Rollout, TokenBlock
from pg_agents.schedules import Linear

CURVES = 12  # up to that many probabilities are drawn as curves, more as an image
PIXELS = 1000  # larger tables are not drawn


def default_probes(agent: Agent, env: gym.Env | VectorEnv) -> list[Callable[[Agent, Rollout], Mapping[str, Value]]]:
    """Return the probes that suit the policy: a table's probabilities, or samples of tokens; schedules."""
    if isinstance(agent.policy, TabularPolicy):
        return [schedules, policy_probabilities]
    if "append_only" in env.metadata:
        return [schedules, token_samples(getattr(env.unwrapped, "decode", None))]
    return [schedules]


def schedules(agent: Agent, rollout: Rollout) -> dict[str, Value]:
    """Return what the agent's schedules have come to, by the names of its arguments."""
    names = [name for name, value in vars(agent).items() if isinstance(value, Linear)]
    return {f"train/{name}": agent.current(name) for name in names}


def policy_probabilities(agent: Agent, rollout: Rollout) -> dict[str, Value]:
    """Return π(a|s) of a tabular policy: curves where there are few, an image [states, actions] where there are more.

    Of independent learners the mean over learners is drawn.
    """
    assert isinstance(agent.policy, TabularPolicy)
    table = agent.policy.probabilities().mean(0).numpy(force=True)  # [S, A]
    if table.size <= CURVES:
        states = [f"state_{s}/" if len(table) > 1 else "" for s in range(len(table))]
        return {f"policy/{states[s]}action_{a}": float(p) for (s, a), p in np.ndenumerate(table)}
    return {"policy/probabilities": heat_map(table)} if len(table) <= PIXELS else {}


def heat_map(table: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return numbers in [0, 1], [rows, columns], as an image: white is 0, dark blue is 1; a row of pixels a state."""
    scale = max(1, 256 // max(table.shape))
    low, high = np.array([255, 255, 255]), np.array([8, 48, 107])
    colours = low + table[..., None] * (high - low)
    return np.kron(colours, np.ones((scale, scale, 1))).astype(np.uint8)


def token_samples(decode: Callable[[Sequence[int]], str] | None, count: int = 4) -> Callable[..., dict[str, Value]]:
    """Return a probe that shows `count` generated texts with their scores (the sum of their rewards)."""
    show = decode or (lambda ids: " ".join(map(str, ids)))

    def probe(agent: Agent, rollout: Rollout) -> dict[str, Value]:
        if not isinstance(rollout.observations, TokenBlock):
            return {}
        texts, scores = [], (rollout.rewards * rollout.mask).sum(0)
        for row in range(min(count, rollout.actions.shape[1])):
            prompt = rollout.observations.tokens[row, : int(rollout.observations.lengths[0, row])]
            completion = rollout.actions[:, row][rollout.mask[:, row]]
            texts.append(f"`{show(_ids(prompt))}` → `{show(_ids(completion))}`  {float(scores[row]):.2f}")
        return {"samples": "\n\n".join(texts)}

    return probe


def _ids(tokens: Tensor) -> list[int]:
    return [int(token) for token in tokens]
