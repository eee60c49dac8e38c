"""What environments need: modules that register their ids, packages that are missing and how to install them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

import gymnasium as gym

from pg_agents.errors import UserError

EXTRAS = {
    "box2d": "box2d", "mujoco": "mujoco", "pygame": "video", "moviepy": "video", "opencv": "atari", "ale_py": "atari",
    "optuna": "tune",
}  # fmt: skip
REGISTERED_BY = {"ALE/": "ale_py", "MiniGrid-": "minigrid", "BabyAI-": "minigrid"}  # how ids begin → their module

FORMER_GAME = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?(-v\d+)?\Z")


def import_module(env_id: str, argument: str = "env") -> str:
    """Import the module that registers an environment, and return the environment's id.

    It is the module of "module:id", for which the present folder is searched last, or an installed one of
    `REGISTERED_BY`. One that is imported already leaves the search path as it is: what is missing is not to be found in
    this folder.

    Raises:
        UserError: there is no such module, it needs one that is missing, or it refuses its own tables.
    """
    named, colon, name = env_id.rpartition(":")
    module = named if colon else registering_module(env_id)
    if module is None or module in sys.modules:
        return name
    if not colon and importlib.util.find_spec(module) is None:
        return name
    _import(module, f"{argument}: {env_id!r}", os.getcwd() if colon else None)
    return name


def import_named(named: str, argument: str = "import") -> None:
    """Import a module of the user's, which registers environments, agents or tasks: "mine", or a file like "mine.py".

    The present folder, or the file's, is searched last.

    Raises:
        UserError: there is no such module or file, another module has its name, or as `import_module`.
    """
    if not named.endswith(".py") and os.sep not in named:
        _import(named, f"{argument}: {named!r}", os.getcwd())
        return
    file = Path(named).expanduser().resolve()
    if not file.is_file() or file.suffix != ".py":
        raise UserError(
            f"{argument}: {named!r}: there is no file of Python there; give a module, or a file like mine.py"
        )
    known = sys.modules.get(file.stem)
    found = importlib.util.find_spec(file.stem) if known is None and file.stem.isidentifier() else None
    places = [getattr(known, "__file__", None)] if known is not None else [found.origin] if found is not None else []
    if not file.stem.isidentifier() or any(place is None or Path(place).resolve() != file for place in places):
        raise UserError(f"{argument}: {named!r}: another module is called {file.stem!r}; give the file another name")
    _import(file.stem, f"{argument}: {named!r}", str(file.parent))


def _import(module: str, said: str, folder: str | None) -> None:
    """Import a module; `folder` is searched last. What is wrong becomes a UserError that begins with what was said."""
    if folder is not None and module not in sys.modules and folder not in sys.path:
        sys.path.append(folder)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            reason = f"there is no module {module!r} to import; install it, or start from the folder it is in"
        else:
            reason = f"module {module!r} needs {error.name!r}, which is not installed: pip install {error.name}"
        raise UserError(f"{said}: {reason}") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{said}: importing {module!r} failed: {error}") from error


def registering_module(env_id: str) -> str | None:
    """Return the known module that registers ids which begin as `env_id` does; None for Gymnasium's own and unknown."""
    return next((module for beginning, module in REGISTERED_BY.items() if env_id.startswith(beginning)), None)


def game_of(env_id: str) -> str | None:
    """Return the id of the game of Atari that is meant by a former id, like PongNoFrameskip-v4, or a part of it."""
    name = FORMER_GAME.sub("", env_id.removeprefix("ALE/")).lower()
    if importlib.util.find_spec("ale_py") is None:
        return None
    importlib.import_module("ale_py")
    known = {known_id.lower(): known_id for known_id in gym.registry if known_id.startswith("ALE/")}
    return known.get(f"ale/{name}-v5")


def untrusted_module(env_id: str) -> str | None:
    """Return the module that making the environment "module:id" would import, None where nothing would be.

    Those of `REGISTERED_BY` are no foreign ones: no folder and nobody's text names them.
    """
    module, colon, _ = env_id.rpartition(":")
    return module if colon and module not in sys.modules else None


def install_line(module: str) -> str:
    """Return the command that installs a module: this package's extra, if there is one."""
    return f'pip install "pg-agents[{EXTRAS[module]}]"' if module in EXTRAS else f"pip install {module}"


def how_to_install(message: str) -> str:
    """Return how to install a package that Gymnasium misses: by this package's extra, if there is one."""
    for word in EXTRAS:
        if word in message.lower():
            return f"Install it with: {install_line(word)}"
    return message
