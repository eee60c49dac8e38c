"""Environments that were given in Python: what config.json says of them, and whether an id makes such a one again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

GIVEN = "env_object"  # the key in config.json
USUAL = {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "Autoreset"}  # wrappers of gymnasium.make


def given_env(env: gym.Env | VectorEnv) -> dict[str, Any]:
    """Return what config.json says of an environment that was given: its class, and wrappers around it."""
    one: Any = env.unwrapped
    if isinstance(one, SyncVectorEnv):
        one = one.envs[0]
    elif isinstance(one, AsyncVectorEnv):
        return {GIVEN: {"class": _of_id(one.spec.id) if one.spec else None, "wrappers": []}}
    around = [name for name in _wrappers(one) if name not in USUAL] + list(_wrappers(env))
    own = [name for name in dict.fromkeys(around) if name not in USUAL]
    return {GIVEN: {"class": _path(type(one.unwrapped)), "wrappers": own}}


def _wrappers(env: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the names of the wrappers around an environment, the outermost first."""
    while env is not env.unwrapped:
        yield type(env).__name__
        env = env.env


def made_again(env_id: str, given: dict[str, Any]) -> bool | None:
    """Return whether an id makes an environment of the class that was given; None: nobody knows.

    It does not say that arguments and wrappers are the same.
    """
    spec = gym.registry.get(env_id)
    if spec is None:
        return False
    entries = [entry for entry in (spec.entry_point, spec.vector_entry_point) if entry is not None]
    makers = [load_env_creator(entry) if isinstance(entry, str) else entry for entry in entries]
    if given.get("class") in [_path(maker) for maker in makers if isinstance(maker, type)]:
        return True
    return False if makers and all(isinstance(maker, type) for maker in makers) else None


def _of_id(env_id: str) -> str | None:
    """Return the class that an id makes; None where that is not written."""
    spec = gym.registry.get(env_id)
    entry = None if spec is None else spec.entry_point
    maker = load_env_creator(entry) if isinstance(entry, str) else entry
    return _path(maker) if isinstance(maker, type) else None


def _path(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
