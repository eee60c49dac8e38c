"""Finding experiments: modules that say what they ask, of which cells, with which seeds, and measure one.

An experiment is benchmarks/GROUP/NAME.py, or a user's file, with `CELLS` and `SEEDS` at its top level, and
`run(cell, seed)`; see benchmarks/README.md. One with `SOURCES` in their place, names of experiments, measures nothing
and shows what these have measured.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.suite.experiment import Experiment
from pg_agents.errors import UserError
from pg_agents.shown import shown

ROOT = Path(__file__).parent.parent
GROUPS = ("learning", "correctness", "speed", "language", "durability")
NEEDED = ("CELLS", "SEEDS", "run")


@cache
def find() -> Mapping[str, str]:
    """Return the group of every experiment, by its name, in the groups' order."""
    paths = [path for group in GROUPS for path in sorted((ROOT / group).glob("*.py")) if _is_experiment(path)]
    return {path.stem: path.parent.name for path in paths}


def _is_experiment(path: Path) -> bool:
    """Return whether a file has CELLS and SEEDS, or SOURCES, at its top level, without importing it."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return {"CELLS", "SEEDS"} <= names or "SOURCES" in names


def named(name: str) -> Experiment:
    """Return an experiment of the suite by its name.

    Raises:
        UserError: there is none, or its module does not say what an experiment is to say.
    """
    if name not in (known := find()):
        raise UserError(f"experiment: there is no {name!r}; there are {', '.join(known)}")
    return load(f"benchmarks.{known[name]}.{name}")


@cache
def load(source: str) -> Experiment:
    """Return the experiment of a dotted module or of a file.

    Raises:
        UserError: the file does not exist or fails, or does not say what an experiment is to say.
    """
    if source.endswith(".toml"):
        from benchmarks.suite.user_files import from_toml  # what it needs takes time to import

        return from_toml(Path(source))
    return _checked(_imported(Path(source)) if source.endswith(".py") else importlib.import_module(source), source)


def _imported(path: Path) -> ModuleType:
    """Import a user's file, beside which modules are found, too."""
    if not path.is_file():
        raise UserError(f"experiment: there is no file {str(path)!r}; give the path of one that exists")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # where dataclasses and pickles look for it
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path}: importing it failed: {type(error).__name__}: {error}") from error
    return module


def _checked(module: ModuleType, source: str) -> Experiment:
    """Return what a module says as an experiment."""
    where = source if source.endswith(".py") else f"{source.replace('.', '/')}.py"
    name = Path(source).stem if source.endswith(".py") else source.rpartition(".")[2]
    lines = (module.__doc__ or "").strip().splitlines() or ["(no question: the file has no docstring)"]
    if sources := tuple(getattr(module, "SOURCES", ())):
        what = {"sources": sources, "shown": tuple(getattr(module, "SHOWN", ()))}
        return Experiment(name, source, lines[0], (), (), _measure_nothing, module=module, **what)
    if absent := [name for name in NEEDED if not hasattr(module, name)]:
        raise UserError(f"{where}: there is no {absent[0]}; an experiment defines {', '.join(NEEDED)}")
    cells, seeds = tuple(module.CELLS), tuple(module.SEEDS)
    for cell in cells:
        if not is_dataclass(cell) or not isinstance(getattr(cell, "name", None), str):
            raise UserError(f"{where}: CELLS: {shown(cell)} is no cell; a cell is a frozen dataclass with a `name`")
    names = [cell.name for cell in cells]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{where}: CELLS: two cells have the name {twice[0]!r}; give each its own")
    if not all(isinstance(seed, int) for seed in seeds) or not seeds:
        raise UserError(f"{where}: SEEDS must be a sequence of whole numbers, got {shown(seeds)}")
    return Experiment(
        name,
        source,
        lines[0],
        cells,
        seeds,
        module.run,
        getattr(module, "run_seeds", None),
        getattr(module, "together", None),
        getattr(module, "EXCLUSIVE", False),
        tuple(getattr(module, "EXTRAS", ())),
        module,
    )


def _measure_nothing(cell: Any, seed: int) -> dict[str, Any]:  # noqa: ANN401
    raise AssertionError("it shows what others have measured")
