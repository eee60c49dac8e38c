"""Environments from what is typed: an id and key=value arguments; whatever is wrong with them becomes one sentence."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs  # noqa: F401 - registers the pg/ ids
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import DependencyNotInstalled, Error, NamespaceNotFound, UnregisteredEnv
from gymnasium.vector import VectorEnv

from pg_agents.collection.vectors import takes_seeds
from pg_agents.shown import shown
from pg_agents.training.writers import writable

EXTRAS = {"box2d": "box2d", "mujoco": "mujoco", "pygame": "video", "moviepy": "video"}
NAMESPACES = {"ALE": "ale_py"}  # the module that registers the ids that begin so
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
WORDS = {"true": True, "false": False, "none": None}


TRUST = "--trust-run-folder"  # what lets a run's folder name modules to import


class UserError(ValueError):
    """Something that was typed cannot be done; the message names the argument, its value and the way out.

    Args:
        message: that.
        again: what makes the same line do it, typed at its end.
    """

    def __init__(self, message: str, again: str = "") -> None:
        super().__init__(message)
        self.again = again


def make_env(env_id: str, num_envs: int, arguments: dict[str, Any], *, a_seed_each: bool = False) -> VectorEnv:
    """Return `num_envs` copies of an environment: its own vector form where it has one, else a SyncVectorEnv.

    Args:
        env_id: of Gymnasium's registry; "module:id" imports the module first.
        num_envs: how many.
        arguments: for the environment's constructor.
        a_seed_each: they are to take a seed each, as groups that begin alike need it; a vector form that takes one for
            all is then not used.

    Raises:
        UserError: an unknown id, a module or dependency that is missing, arguments the environment refuses.
    """
    if num_envs < 1:
        raise UserError(f"num_envs must be a whole number, 1 or above, got {num_envs}")
    name = _import_module(env_id)
    env = _made(lambda: gym.make_vec(name, num_envs, **arguments), env_id, arguments)
    if not a_seed_each or takes_seeds(env):
        return env
    env.close()
    return _made(lambda: gym.make_vec(name, num_envs, "sync", **arguments), env_id, arguments)


def make_single_env(env_id: str, arguments: dict[str, Any]) -> gym.Env:
    """Return one environment.

    Raises:
        UserError: as `make_env`.
    """
    name = _import_module(env_id)
    return _made(lambda: gym.make(name, **arguments), env_id, arguments)


def make_video_env(env_id: str, arguments: dict[str, Any], folder: str) -> gym.Env:
    """Return one environment of which episodes 0, 1, 8, 27, … are filmed into `folder`.

    Raises:
        UserError: as `make_env`; an environment that draws no pictures; a missing package.
    """
    name = _import_module(env_id)
    single = _made(lambda: gym.make(name, **arguments), env_id, arguments)
    modes = single.metadata.get("render_modes") or ["none"]
    single.close()
    if "rgb_array" not in modes:
        raise UserError(f"video: {env_id} draws no pictures (its render modes: {', '.join(modes)}); leave --video out")
    with writable("video", Path(folder)):
        Path(folder).mkdir(exist_ok=True)

    def film() -> gym.Env:
        env = gym.make(name, **{**arguments, "render_mode": "rgb_array"})
        env.reset()
        env.render()  # asks for the package that draws now, not in the middle of an episode
        return gym.wrappers.RecordVideo(env, folder)

    return _made(film, env_id, arguments)


def _import_module(env_id: str) -> str:
    """Import the module of "module:id", if there is one, and return the id; the present folder is searched last.

    One that is imported already leaves the search path as it is: what is missing is not to be found in this folder.

    Raises:
        UserError: there is no such module, it needs one that is missing, or it refuses its own tables.
    """
    module, colon, name = env_id.rpartition(":")
    if not colon or module in sys.modules:
        return name
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            reason = f"there is no module {module!r} to import; install it, or start from the folder it is in"
        else:
            reason = f"module {module!r} needs {error.name!r}, which is not installed: pip install {error.name}"
        raise UserError(f"env: {env_id!r}: {reason}") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"env: {env_id!r}: importing {module!r} failed: {error}") from error
    return name


def untrusted_module(env_id: str) -> str | None:
    """Return the module that making the environment "module:id" would import, None where nothing would be."""
    module, colon, _ = env_id.rpartition(":")
    return module if colon and module not in sys.modules else None


def _unknown(env_id: str, error: Error) -> UserError:
    name = env_id.rpartition(":")[2]
    module = NAMESPACES.get(name.partition("/")[0]) if isinstance(error, NamespaceNotFound) else None
    near = nearest(name, gym.registry)
    if module is not None:
        install = "" if importlib.util.find_spec(module) else f" after pip install {module.replace('_', '-')}"
        way_out = f"{module} registers it: write {module}:{name}{install}"
    else:
        way_out = f"did you mean {' or '.join(near)}?" if near else f"`pg-agents list` shows some ({error})"
    return UserError(f"env: there is no environment {env_id!r}; {way_out}")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of `known` that look like `name`, the most similar first; case does not matter."""
    by_lower = {known_name.lower(): known_name for known_name in known}
    without = {lower.rpartition("/")[2]: lower for lower in by_lower}  # pg/Chain-v0 is found as Chain-v0 too
    found = difflib.get_close_matches(name.lower(), by_lower, count)
    found += [without[match] for match in difflib.get_close_matches(name.lower(), without, count)]
    return [by_lower[lower] for lower in dict.fromkeys(found)][:count]


def with_tokenizer(env_id: str, arguments: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return `arguments` with the tokenizer in a language model's `folder`, where the environment takes one.

    One that was typed stays.
    """
    if folder is None or "tokenizer" in arguments or not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return arguments
    spec = gym.registry.get(_import_module(env_id))
    for entry in (spec.vector_entry_point, spec.entry_point) if spec is not None else ():
        if entry is not None:
            made_by: Any = load_env_creator(entry) if isinstance(entry, str) else entry
            if "tokenizer" in inspect.signature(getattr(made_by, "make_task", made_by)).parameters:
                return {**arguments, "tokenizer": str(folder)}
    return arguments


def parse_arguments(pairs: Sequence[str], flag: str = "env_arg") -> dict[str, Any]:
    """Return {"k": v} for texts "k=v", typed as `flag`; a value is a Python literal, true, false, none, or else a text.

    Raises:
        UserError: no "=", no name before it, or a name that comes twice.
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


def _made(make: Callable[[], Any], env_id: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return `make()`, an environment's constructor, with what it raises turned into a sentence."""
    given = f" with {', '.join(f'{k}={shown(v)}' for k, v in arguments.items())}" if arguments else ""
    try:
        return make()
    except UnregisteredEnv as error:
        raise _unknown(env_id, error) from error
    except DependencyNotInstalled as error:
        raise UserError(f"env: {env_id} needs a package that is not installed. {_install(str(error))}") from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"env: {env_id} needs {error.name!r}, which is not installed: pip install {error.name}"
        ) from error
    except (TypeError, LookupError, AttributeError) as error:
        if not arguments:  # nobody's arguments: a mistake in the environment's code, to be seen in full
            raise
        raise UserError(f"env_arg: {env_id} cannot be made{given}: {error}") from error
    except SystemExit as error:
        raise UserError(f"env: {env_id!r} cannot be made{given}: it called sys.exit({error.code!r})") from error
    except (EOFError, ConnectionError) as error:
        raise UserError(f"env: {env_id!r} cannot be made{given}: one of its processes has ended") from error
    except (ValueError, ArithmeticError, AssertionError, ImportError, OSError, MemoryError, Error) as error:
        raise UserError(f"env: {env_id!r} cannot be made{given}: {error}") from error


def _install(message: str) -> str:
    """Return the line that installs what Gymnasium misses, in words of ours where we have an extra for it."""
    for word, extra in EXTRAS.items():
        if word in message.lower():
            return f'Install it with: pip install "pg-agents[{extra}]"'
    return message
