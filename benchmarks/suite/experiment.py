"""An experiment: one question, the cells that answer it, and how a cell is measured."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

from benchmarks.suite.records import Record, latest
from pg_agents.extras import install_line


@dataclass(frozen=True)
class Experiment:
    """One question, the cells that answer it, and how a cell is measured.

    Attributes:
        name: unique among all experiments; its records are in the file of this name.
        source: where `load` finds it: a dotted module, or a file.
        question: what it asks.
        cells: frozen dataclasses with a unique `name`.
        seeds: the seeds of each cell that are measured unless others are asked for.
        run: measures a cell with one seed.
        run_seeds: measures a cell with several seeds as one batch; None: each by itself.
        together: whether the seeds of a cell are such a batch; None: those of every cell.
        exclusive: whether nothing else of the suite may run beside it; its seeds are rounds, in each of which all cells
            run one after the other.
        extras: modules that must be importable.
        module: where its `table`, `plot` and `numbers` are; None: it has none.
        sources: experiments whose records it shows; it has no cells of its own then.
        shown: the names of those cells of its sources that it shows; (): all.
        code: of one in a user's files, a hash of these and of the modules that they name; None: a commit has it.
        check: raises an error about a cell that cannot be measured, before anything is; None: nothing is looked at.
    """

    name: str
    source: str
    question: str
    cells: tuple[Any, ...]
    seeds: tuple[int, ...]
    run: Callable[[Any, int], dict[str, Any]]
    run_seeds: Callable[[Any, Sequence[int]], Mapping[int, dict[str, Any]]] | None = None
    together: Callable[[Any], bool] | None = None
    exclusive: bool = False
    extras: tuple[str, ...] = ()
    module: ModuleType | SimpleNamespace | None = None
    sources: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    check: Callable[[Any], None] | None = None
    code: str | None = None

    @property
    def missing(self) -> str | None:
        """How to install what the experiment needs and is not there; None: all is."""
        absent = [name for name in self.extras if importlib.util.find_spec(name) is None]
        return f"needs {absent[0]}: {install_line(absent[0])}" if absent else None

    def batches(self, cell: Any, seeds: tuple[int, ...]) -> list[tuple[int, ...]]:  # noqa: ANN401
        """Return the seeds that are measured in one call: all of them, or each by itself."""
        if seeds and self.run_seeds is not None and (self.together is None or self.together(cell)):
            return [seeds]
        return [(seed,) for seed in seeds]

    def current(self, records: Sequence[Record]) -> list[Record]:
        """Return the latest record of each seed of cells and code as they are now, in the order of the cells."""
        contents = {cell.name: content(cell) for cell in self.cells}
        found = [r for r in records if contents.get(r.cell.get("name")) == r.cell and r.code == self.code]
        order = {name: place for place, name in enumerate(contents)}
        return sorted(latest(found), key=lambda record: (order[record.cell["name"]], record.seed))

    def reported(self, records: Sequence[Record]) -> list[Record]:
        """Return the current records of `seeds`, since with others settings may have been chosen; of all rounds."""
        return [record for record in self.current(records) if self.exclusive or record.seed in self.seeds]


def content(cell: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a cell as its records hold it: what JSON makes of it."""
    return json.loads(json.dumps(asdict(cell)))
