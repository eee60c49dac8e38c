"""A user's experiment as a TOML file: cells of learning, by their agents and environments."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

from benchmarks.learning import curves, protocol, scores
from benchmarks.learning.protocol import Cell
from benchmarks.peers import PEERS
from benchmarks.processes import python_of
from benchmarks.suite.experiment import Experiment
from pg_agents.errors import UserError
from pg_agents.shown import nearest, shown

TOP = ("question", "seeds", "defaults", "cells")
KINDS = {str: "a text", int: "a whole number above 0", dict: "a table", list: "a list"}


def from_toml(path: Path) -> Experiment:
    """Return the experiment of a TOML file.

    `[cells.NAME]` has the fields of `benchmarks.learning.protocol.Cell`, as far as `[defaults]` does not have them
    (tables, such as `arguments`, have the entries of both); `seeds` is their number or a list, `question` what the
    experiment asks. Modules that agents and environments name, "module:Class", are looked for beside the file, too.

    Raises:
        UserError: the file does not exist, or says what it cannot; the message names file, key, value and fix.
    """
    content = _read(path)
    _known(path, "", content, TOP)
    defaults = _table(path, "defaults", content.get("defaults", {}))
    tables = _table(path, "cells", content.get("cells", {}))
    if not tables:
        raise UserError(f"{path}: cells: there are none; add a table [cells.NAME] with agent, env and so on")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    cells = tuple(_cell(path, name, defaults, _table(path, f"cells.{name}", given)) for name, given in tables.items())
    seeds = _seeds(path, content.get("seeds", len(protocol.SEEDS)))
    question = content.get("question", "How do these agents learn?")
    if not isinstance(question, str):
        raise UserError(f"{path}: question must be a text, got {shown(question)}")
    made = SimpleNamespace(
        __doc__=question,
        table=lambda records: scores.table(cells, seeds, records),
        plot=lambda records: curves.plot(cells, records, path.stem),
    )
    how = protocol.run, protocol.run_seeds, protocol.together
    also = {"check": partial(check, path), "code": code_of(cells)}
    return Experiment(path.stem, str(path), question, cells, seeds, *how, module=made, **also)


def code_of(cells: Sequence[Cell]) -> str | None:
    """Return a hash of the sources of the modules that cells name, "module:Class"; None: they name none.

    What these modules import is not looked at.
    """
    names = [name for cell in cells for name in (cell.agent, cell.env, *cell.wrappers) if ":" in name]
    sources = []
    for module in sorted({name.partition(":")[0] for name in names}):
        try:
            found = find_spec(module)
        except (ImportError, ValueError):  # `check` says what is wrong with it
            continue
        if found is not None and found.origin is not None and Path(found.origin).is_file():
            sources.append(Path(found.origin).read_bytes())
    return hashlib.sha256(b"\0".join(sources)).hexdigest()[:16] if sources else None


def check(path: Path, cell: Cell) -> None:
    """Make a cell's environments and agent, so that what is wrong is said before anything is measured.

    Raises:
        UserError: one cannot be made, or the cell's library has no such thing; the message names file and cell.
    """
    try:
        protocol.check_library(cell)
        if cell.library != "pg_agents":
            python_of(PEERS)
            return
        if own := [name for name in ("seed", "seeds", "env", "num_learners") if name in cell.arguments]:
            raise ValueError(f"arguments: {own[0]} is not theirs; leave it out, the suite gives it")
        env = protocol.training_env(cell)
        try:
            protocol.make_agent(cell, env, [0])
        finally:
            env.close()
        _check_evaluation(replace(cell, episodes=1))
    except Exception as error:  # the user's own classes may raise anything
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(f"{path}: cells.{cell.name}: {kind}{error}") from error


def _check_evaluation(cell: Cell) -> None:
    try:
        protocol.evaluation_env(cell).close()
    except ValueError as error:  # the same environment was made without its eval_args
        raise ValueError(str(error).replace("env_args:", "eval_args:", 1)) from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"experiment: there is no file {str(path)!r}; give the path of one that exists")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, or of UTF-8
        raise UserError(f"{path}: this is no TOML: {error}") from error


def _known(path: Path, where: str, content: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a key that has no meaning."""
    for key in content:
        if key not in known:
            meant = nearest(key, known, 1) or [", ".join(known)]
            raise UserError(f"{path}: {where}{key} is unknown; write {meant[0]}, or leave it out")


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key} must be a table, [{key}], got {shown(value)}")
    return value


def _seeds(path: Path, value: Any) -> tuple[int, ...]:  # noqa: ANN401
    numbers = list(range(value)) if type(value) is int else value
    whole = isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers)
    if not whole or not numbers or len(set(numbers)) < len(numbers):
        raise UserError(f"{path}: seeds must be a number above 0 or a list of different ones, got {shown(value)}")
    return tuple(numbers)


def _cell(path: Path, name: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Cell:
    """Return a cell.

    Raises:
        UserError: a key is unknown, missing, or of a wrong type.
    """
    own = [field for field in fields(Cell) if field.name != "name"]
    names = tuple(field.name for field in own)
    _known(path, "defaults.", defaults, names)
    _known(path, f"cells.{name}.", given, names)
    hints = get_type_hints(Cell)
    for field in own:
        table, values = (f"cells.{name}", given) if field.name in given else ("defaults", defaults)
        if field.name in values:
            _check_type(path, f"{table}.{field.name}", values[field.name], hints[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{path}: cells.{name}.{field.name} is missing; write it there or in [defaults]")
    both = {key: defaults[key] | given[key] for key in defaults.keys() & given if isinstance(given[key], dict)}
    return Cell(name, **{**defaults, **given, **both})


def _check_type(path: Path, key: str, value: Any, hint: Any) -> None:  # noqa: ANN401
    kind = getattr(hint, "__origin__", hint)
    if type(value) is not kind or (kind is int and value < 1):
        raise UserError(f"{path}: {key} must be {KINDS[kind]}, got {shown(value)}")
