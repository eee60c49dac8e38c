"""The folder of a run, as `train` wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pg_agents.cli.environments import UserError
from pg_agents.record import empty_folder, fresh_run_dir


@contextmanager
def run_folder(typed: Path | None, name: str) -> Iterator[Path]:
    """A context with the folder of a new run: the one that was typed, else a fresh one called after `name`.

    It is there before anything is computed, and goes again where nothing was written into it.

    Raises:
        ValueError: it is not empty, or cannot be made.
    """
    made = typed is None or not typed.exists()
    run_dir = fresh_run_dir(name) if typed is None else empty_folder(typed)
    try:
        yield run_dir
    finally:
        if made and not any(run_dir.iterdir()):
            run_dir.rmdir()


def run_and_agent(path: Path) -> tuple[Path, Path]:
    """Return the folders of a run and of its agent, the last or the best, whichever of them was typed."""
    inside = path.name in ("agent", "best") and (path.parent / "config.json").exists()
    return (path.parent, path) if inside else (path, path / "agent")


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return a run's config.json.

    Raises:
        UserError: there is no run in the folder, or its file is damaged.
    """
    path = run_dir / "config.json"
    try:
        config = json.loads(path.read_text())
        found = {key: config[key] for key in ("agent", "env")}
        return {**found, "env_args": dict(config.get("env_args", {})), "num_envs": int(config["num_envs"])}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"path: {run_dir} holds no run (no config.json); give a folder that train wrote") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"path: {path} is damaged or not of this program ({error!r})") from error
