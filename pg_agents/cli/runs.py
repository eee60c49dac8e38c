"""A run's folder: making a new one, and reading one that `train` wrote."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent
from pg_agents.checks import whole_number
from pg_agents.cli.environments import TRUST, with_tokenizer
from pg_agents.errors import UserError
from pg_agents.shown import shown
from pg_agents.spaces.environments import open_env
from pg_agents.spaces.given_envs import GIVEN, made_again
from pg_agents.spaces.packages import import_module, untrusted_module
from pg_agents.spaces.wrappers import Wrapper
from pg_agents.training.evaluations import rows_of
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


def seeds_in(run_dir: Path) -> list[int]:
    """Return the seeds of the learners that have a folder in a run's, in order."""
    found = (re.fullmatch(r"seed-(\d+)", path.name) for path in run_dir.iterdir()) if run_dir.is_dir() else ()
    return sorted(int(match[1]) for match in found if match)


@dataclass
class RunConfig:
    """A run's environments, and how it was made, as its config.json describes them; see `RunOptions`."""

    env: str
    env_args: dict[str, Any]
    num_envs: int
    wrappers: list[Wrapper]
    eval_env_args: dict[str, Any] | None = None
    eval_every: int | None = None
    eval_episodes: int = 10
    step_timeout: float | None = None
    total_steps: int = 1
    seed: int = 0
    log_every: int | None = None
    stop_return: float | None = None
    checkpoint_every: int | str | None = None
    keep_checkpoints: int = 3
    threads: int = 1
    device: str = "cpu"
    shard: bool = False
    track: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.env, str) or not isinstance(self.env_args, dict):
            raise TypeError("env must be a text and env_args a table")
        if not isinstance(self.eval_env_args, dict | None) or not isinstance(self.device, str):
            raise TypeError("eval_env_args must be a table and device a text")
        if not isinstance(self.track, str | None) or not isinstance(self.shard, bool):
            raise TypeError("track must be a text and shard true or false")
        for name in ("num_envs", "total_steps", "threads"):
            whole_number(name, getattr(self, name), 1)

    def open(
        self, opened: ExitStack, groups: bool, folder: Path | None, num_learners: int = 1
    ) -> tuple[VectorEnv, VectorEnv | None]:
        """Return the environments to learn and to evaluate in, which `opened` closes.

        Args:
            opened: closes them.
            groups: whether each needs a seed of its own.
            folder: of a language model, whose tokenizer they get if they take one; None: there is none.
            num_learners: who share `num_envs`, and are evaluated in as many environments each.
        """
        how: dict[str, Any] = {"wrappers": self.wrappers, "step_timeout": self.step_timeout}

        def made(count: int, given: dict[str, Any], **more: Any) -> VectorEnv:  # noqa: ANN401
            env_args = with_tokenizer(self.env, given, folder)
            return opened.enter_context(open_env(self.env, count, env_args, **how, **more))

        env = made(self.num_envs, self.env_args, a_seed_each=groups)
        evaluated = self.env_args | (self.eval_env_args or {})
        return env, None if self.eval_every is None else made(rows_of(self.eval_episodes, num_learners), evaluated)


@dataclass(frozen=True)
class Made:
    """What is made for a run: how, and of what.

    Attributes:
        config: how.
        agent: the agent, new or as it was when the run began.
        env: the environment to learn in.
        eval_env: that to evaluate in; None: there are no evaluations.
    """

    config: RunConfig
    agent: Agent
    env: VectorEnv
    eval_env: VectorEnv | None


def read_config(run_dir: Path, *, trusted: bool) -> RunConfig:
    """Return how a run was made, from its config.json.

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
        known = {field.name: values[field.name] for field in fields(RunConfig) if field.name in values}
        config = RunConfig(**{"env_args": {}, **known, "wrappers": wrappers})
    except OSError as error:
        raise UserError(f"path: {run_dir} holds no run (no config.json); give a folder that train wrote") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"path: {path} is damaged or not of this program ({shown(error)})") from error
    module = untrusted_module(config.env)
    if module is not None and not trusted:
        names = f"path: {path} names a module, {shown(module)}, and importing it runs its code"
        raise UserError(f"{names}; if you trust the folder", TRUST)
    if "env_args" not in values and isinstance(given := values.get(GIVEN), dict):
        _check_given(run_dir, config.env, given)
    return config


def _check_given(run_dir: Path, env_id: str, given: dict[str, Any]) -> None:
    """Raise UserError if a run's environment was given in Python, and its name makes another one or none."""
    env_id = import_module(env_id)
    what = f"the environment of {run_dir} was an object in Python ({shown(given.get('class'))})"
    agent = f"pg_agents.load({str(run_dir / 'agent')!r})"
    if (same := made_again(env_id, given)) is False:
        why = "makes another one" if env_id in gym.registry else "is no registered id"
        raise UserError(
            f"path: {what}, and {shown(env_id)} {why}; in Python: pg_agents.evaluate({agent}, env), or train(…, env, "
            f"run_dir={str(run_dir)!r}, resume=True)"
        )
    own = [name for name in given.get("wrappers") or () if isinstance(name, str)]
    if own or same is None:
        without = f", without {', '.join(own)} around it" if own else ""
        warnings.warn(f"{what}; it is made of the id {shown(env_id)}{without}", RuntimeWarning, stacklevel=3)
