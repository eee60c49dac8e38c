"""The table of the environments pg/… and what is known of them, from their registrations, in the place of a mark."""

from __future__ import annotations

import inspect

import gymnasium as gym
import pg_envs
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

MARK = "<!-- environments -->"
HEAD = "| id | what | observations | actions | random policy | best policy |\n|---|---|---|---|---:|---:|"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the table where the mark is."""
    return markdown.replace(MARK, table()) if MARK in markdown else markdown


def table() -> str:
    """Return a row for each id, in the order of registration."""
    return "\n".join([HEAD, *(row(name) for name, spec in gym.registry.items() if spec.namespace == "pg")])


def row(name: str) -> str:
    """Return what an environment says of itself, and what is known of it."""
    env = gym.make(name)
    known = pg_envs.known_returns(env)
    about = (inspect.getdoc(type(env.unwrapped)) or "").split("\n\n")[0]
    per = " per step" if known.per == "step" else ""
    best = [_number(known.optimal) + (per if known.optimal is not None else "")]
    best += [f"{_number(known.memoryless)} without memory"] if known.memoryless is not None else []
    chance = _number(known.random) + (per if known.random is not None else "")
    cells = f"`{name}`", " ".join(about.split()), _space(env.observation_space), _space(env.action_space), chance
    return "| " + " | ".join([*cells, "; ".join(best)]) + " |"


def _space(space: gym.Space) -> str:
    """Return a space in a few words."""
    if isinstance(space, gym.spaces.Discrete):
        return f"{space.n}"
    if isinstance(space, gym.spaces.Dict):
        return "Dict of " + ", ".join(space.spaces)
    shape = " × ".join(map(str, space.shape or ()))
    return f"{type(space).__name__}{f' of {shape}' if shape else ''}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("-", "−")
