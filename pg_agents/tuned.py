"""Settings that suit an agent and an environment better than the defaults do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """Settings of a run.

    Attributes:
        num_envs: environments that are stepped together.
        total_steps: to learn from.
        arguments: of `Agent.for_env`.
    """

    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)


TUNED: dict[tuple[str, str], Tuned] = {
    ("ppo", "CartPole-v1"): Tuned(
        num_envs=64,
        total_steps=200_000,
        arguments={
            "num_steps": 32, "minibatch_size": 512, "epochs": 10, "learning_rate": "1e-3:0", "gae_lambda": 0.8,
            "discount": 0.98,
        },
    ),
}  # fmt: skip


def tuned_settings(agent: str, env: str) -> Tuned:
    """Return the tuned settings for an agent in an environment.

    Raises:
        ValueError: there are none; the message names those there are for this agent.
    """
    if (agent, env) in TUNED:
        return TUNED[agent, env]
    known = [known_env for known_agent, known_env in TUNED if known_agent == agent]
    there = f"there are some for {', '.join(known)}" if known else "there are none for any environment"
    raise ValueError(f"tuned: there are no tuned settings for {agent} in {env}; {there}; leave --tuned out")
