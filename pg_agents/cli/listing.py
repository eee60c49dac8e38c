"""`pg-agents list`: the agents and the pg/ environments."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pg_envs

from pg_agents.agents import AGENTS, PUBLISHED
from pg_agents.cli.agent_options import described, summary
from pg_agents.policies import is_token_window

WIDTH = 80  # columns of a terminal
_PER = {"episode": "ep.", "step": "step"}


def show_list(*, as_json: bool) -> None:
    """Print the agents and the pg/ environments."""
    environments = [describe(env_id) for env_id in gym.registry if env_id.startswith("pg/")]
    agents: list[dict[str, Any]] = [
        {"name": name, "description": summary(agent), "arguments": agent.argument_names()}
        for name, agent in AGENTS.items()
    ]
    published = [[one.command, described(one)] for one in PUBLISHED.values()]
    if as_json:
        print(json.dumps({"agents": agents, "environments": environments}, indent=2))
        return
    print(wrapped(["agent", "what it does"], [[agent["name"], agent["description"]] for agent in agents]), end="\n\n")
    print(wrapped(["published as", "by"], published), end="\n\n")
    head = ["environment", "observed", "done", "random", "optimal", "per"]
    rows = [
        [env["id"], *map(_short, (env["observation"], env["action"])), *numbers(env), _PER[env["per"]]]
        for env in environments
    ]
    print(columns(head, rows, right=(3, 4)), end="\n\n")
    print("random, optimal: mean return of the random and of the best policy, an episode\n(ep.) or a step.")
    print("ENV can be the id of any Gymnasium environment, or module:id.")


def numbers(env: dict[str, Any]) -> list[str]:
    """Return the random and the optimal return as text."""
    return ["–" if env[key] is None else f"{env[key]:.4g}" for key in ("random", "optimal")]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return a table as text; the columns with numbers in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = zip(range(len(row)), row, widths, strict=True)
        lines.append("  ".join(f"{cell:>{width}}" if i in right else f"{cell:<{width}}" for i, cell, width in cells))
    return "\n".join(line.rstrip() for line in lines)


def wrapped(head: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Return a table as text of at most `width` characters a line; the last column is wrapped."""
    indent = sum(2 + max(map(len, column)) for column in list(zip(head, *rows, strict=True))[:-1])
    lines: list[Sequence[str]] = []
    for *cells, last in rows:
        first, *others = textwrap.wrap(last, width - indent, break_on_hyphens=False) or [""]
        lines += [[*cells, first], *([*("" for _ in cells), other] for other in others)]
    return columns(head, lines)


def describe(env_id: str) -> dict[str, Any]:
    """Return what `pg-agents list` shows of an environment."""
    env = gym.make(env_id)
    known = pg_envs.known_returns(env)
    return {
        "id": env_id,
        "description": summary(type(env.unwrapped)),
        "observation": _space(env.observation_space),
        "action": _space(env.action_space),
        "random": known.random,
        "optimal": known.optimal,
        "per": known.per,
    }


def _short(space: str) -> str:
    """Return a space's description without a box's bounds and type: Box(20, 20)."""
    shape = re.search(r"\(([\d, ]*)\), \w+\)\Z", space)
    return f"Box({shape[1].rstrip(',')})" if shape is not None else space.replace("up to ", "≤ ")


def _space(space: gym.Space) -> str:
    """Return a short description of a space."""
    if is_token_window(space):
        return f"up to {space['length'].n - 1} tokens"  # type: ignore[attr-defined]
    if isinstance(space, gym.spaces.Box) and (len(np.unique(space.low)) > 1 or len(np.unique(space.high)) > 1):
        return f"Box({space.shape}, {space.dtype})"  # bounds of each number would fill a line
    return str(space)
