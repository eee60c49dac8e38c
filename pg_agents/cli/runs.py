"""The folder of a run, as `train` wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pg_agents.cli.environments import UserError


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
