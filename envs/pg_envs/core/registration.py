"""Ids of environments that have a vector form."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from pg_envs.core.rows import RowsVectorEnv


def register(
    name: str,
    form: type[gym.Env],
    *,
    max_episode_steps: int | None = None,
    reward_threshold: float | None = None,
    **arguments: Any,  # noqa: ANN401
) -> None:
    """Register `form` and its `vector_form` with Gymnasium as pg/`name` (the name ends in its version: Chain-v0)."""
    vector_form: type[RowsVectorEnv] = form.vector_form  # type: ignore[attr-defined]
    gym.register(
        f"pg/{name}",
        entry_point=f"{form.__module__}:{form.__name__}",
        vector_entry_point=f"{vector_form.__module__}:{vector_form.__name__}",
        max_episode_steps=max_episode_steps,
        reward_threshold=reward_threshold,
        kwargs=arguments,
    )
