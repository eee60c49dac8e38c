"""Environments for the command line: typed name=value arguments, a language model's tokenizer, videos of episodes."""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from pg_agents.errors import UserError
from pg_agents.shown import nearest as nearest
from pg_agents.spaces import atari
from pg_agents.spaces.environments import refusals
from pg_agents.spaces.packages import import_module
from pg_agents.spaces.wrappers import WORDS, Wrapper
from pg_agents.training.run_files import writable
from pg_agents.training.tuned import Tuned

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
TOGETHER = ("vectorization_mode", "vector_kwargs", *atari.TOGETHER)  # of environments that are stepped together
DRIVERS = ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER")  # environment variables of the library with which pygame draws
TRUST = "--trust-run-folder"  # the option with which modules that a run's folder names are imported


def make_video_env(env_id: str, arguments: Mapping[str, Any], wrappers: Sequence[Wrapper], folder: str) -> gym.Env:
    """Return a wrapped environment that records videos of episodes 0, 1, 8, 27, … in `folder`.

    Raises:
        UserError: as `make_env`; an environment that cannot be drawn; a missing package.
    """
    name = import_module(env_id)
    arguments = {key: value for key, value in arguments.items() if key not in TOGETHER}
    given, applied = atari.one_by_one(name, arguments, wrappers)
    with refusals(env_id, arguments):
        single = gym.make(name, **given)
    modes = single.metadata.get("render_modes") or ["none"]
    single.close()
    if "rgb_array" not in modes:
        raise UserError(f"video: {env_id} cannot be drawn (its render modes: {', '.join(modes)}); leave --video out")
    _check_folder(Path(folder))
    for driver in DRIVERS:  # pictures need no screen, and looking for one prints an error where there is none
        os.environ.setdefault(driver, "dummy")
    with refusals(env_id, arguments):
        env = gym.make(name, **{**given, "render_mode": "rgb_array"})
        for wrapper in applied:
            env = wrapper(env)
        env.reset()
        env.render()  # now, so that a missing package is noticed before the first episode
        return gym.wrappers.RecordVideo(env, folder)


def _check_folder(folder: Path) -> None:
    """Raise an error unless videos can be written into `folder`; an empty one is removed, so that it counts as new."""
    with writable("video", folder):
        folder.mkdir(exist_ok=True)
        if not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()


def with_tokenizer(env_id: str, arguments: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return `arguments`, with the tokenizer in a language model's `folder` added if the environment takes one.

    A typed tokenizer stays.
    """
    if folder is None or "tokenizer" in arguments or not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return arguments
    spec = gym.registry.get(import_module(env_id))
    for entry in (spec.vector_entry_point, spec.entry_point) if spec is not None else ():
        if entry is not None:
            made_by: Any = load_env_creator(entry) if isinstance(entry, str) else entry
            if "tokenizer" in inspect.signature(getattr(made_by, "make_task", made_by)).parameters:
                return {**arguments, "tokenizer": str(folder)}
    return arguments


def with_tuned_env(env_id: str, typed: Sequence[str], wrappers: Sequence[str], tuned: Tuned) -> dict[str, Any]:
    """Return a run's `env_arg` and `wrapper` with tuned ones of the environment; an argument or wrapper typed wins.

    Raises:
        UserError: wrappers typed beside tuned arguments, which are for environments without them.
    """
    names = {pair.partition("=")[0] for pair in typed}
    added = [f"{name}={value!r}" for name, value in tuned.env_args.items() if name not in names]
    if wrappers and added and not tuned.wrappers:
        raise UserError(
            f"wrapper: {', '.join(wrappers)} does not go with the tuned settings of {env_id}, which make it without "
            f"wrappers and with {', '.join(added)}; leave out --wrapper, or --tuned"
        )
    return {"env_arg": (*added, *typed), "wrapper": wrappers or tuned.wrappers}


def parse_arguments(pairs: Sequence[str], flag: str = "env_arg") -> dict[str, Any]:
    """Return {"k": v} for texts "k=v", typed after `flag`; v is a Python literal, true, false or none, else a text.

    Raises:
        UserError: no "=", no name before it, or a name given twice.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"{flag} must be name=value, got {pair!r}; for example --env-arg is_slippery=False")
        if name in arguments:
            raise UserError(f"{flag}: {name!r} is given twice; leave one out")
        arguments[name] = _value(value)
    return arguments


def _value(text: str) -> Any:  # noqa: ANN401
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
