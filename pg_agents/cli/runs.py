"""A run's folder: making a new one, and reading one that `train` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_agents.checks import whole_number
from pg_agents.cli.environments import TRUST
from pg_agents.errors import UserError
from pg_agents.shown import shown
from pg_agents.spaces.packages import untrusted_module
from pg_agents.spaces.wrappers import Wrapper
from pg_agents.training.writers import empty_folder, fresh_run_dir


@contextmanager
def run_folder(typed: Path | None, name: str) -> Iterator[Path]:
    """A context with the folder of a new run: the typed one, else a new one whose name begins with `name`.

    It is made before anything is computed, and removed at the end if nothing was written into it.

    Raises:
        ValueError: the folder is not empty, or cannot be made.
    """
    made = typed is None or not typed.exists()
    run_dir = fresh_run_dir(name) if typed is None else empty_folder(typed)
    try:
        yield run_dir
    finally:
        if made and not any(run_dir.iterdir()):
            run_dir.rmdir()


def run_and_agent(path: Path) -> tuple[Path, Path]:
    """Return the folders of a run and of its agent, given the path of either (run, run/agent or run/best)."""
    inside = path.name in ("agent", "best") and (path.parent / "config.json").exists()
    return (path.parent, path) if inside else (path, path / "agent")


@dataclass
class RunConfig:
    """A run's environment, as its config.json describes it."""

    env: str
    env_args: dict[str, Any]
    num_envs: int
    wrappers: list[Wrapper]

    def __post_init__(self) -> None:
        if not isinstance(self.env, str) or not isinstance(self.env_args, dict):
            raise TypeError("env must be a text and env_args a table")
        whole_number("num_envs", self.num_envs, 1)


def read_config(run_dir: Path, *, trusted: bool) -> RunConfig:
    """Return the environment that a run's config.json describes.

    Args:
        run_dir: the run's folder.
        trusted: allow the environment's id to name a module, which will be imported and so runs its code.

    Raises:
        UserError: the folder holds no run, config.json is damaged, or it names a module and is not trusted.
    """
    path = run_dir / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        wrappers = [Wrapper(**wrapper) for wrapper in values.get("wrappers", ())]
        config = RunConfig(values["env"], values.get("env_args", {}), values["num_envs"], wrappers)
    except OSError as error:
        raise UserError(f"path: {run_dir} holds no run (no config.json); give a folder that train wrote") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"path: {path} is damaged or not of this program ({shown(error)})") from error
    module = untrusted_module(config.env)
    if module is not None and not trusted:
        names = f"path: {path} names a module, {shown(module)}, and importing it runs its code"
        raise UserError(f"{names}; if you trust the folder", TRUST)
    return config
