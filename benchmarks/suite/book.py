"""What pages say of experiments: their tables, numbers and pictures, made of their records once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.suite import finding
from benchmarks.suite.experiment import Experiment
from benchmarks.suite.origin import origin
from benchmarks.suite.pages import Place
from benchmarks.suite.records import Record, read
from benchmarks.suite.stamps import fingerprint, read_stamp
from pg_agents.errors import UserError
from pg_agents.shown import nearest

ROOT = Path(__file__).parent.parent.parent


class SourceError(Exception):
    """What a marker names cannot be said."""


class Account:
    """What is to be said of one experiment.

    Args:
        experiment: what was measured.
        records: of it, as they are now.
    """

    def __init__(self, experiment: Experiment, records: list[Record]) -> None:
        self.experiment = experiment
        self.records = records

    @cached_property
    def tables(self) -> dict[str, str]:
        """The tables by their names; the only one is called ""."""
        return _named(self._said("table"))

    @cached_property
    def numbers(self) -> dict[str, str]:
        """Numbers that stand in sentences."""
        return dict(self._said("numbers") or {})

    def figures(self) -> dict[str, Any]:
        """Return the figures by their names, drawn now; the only one is called ""."""
        return _named(self._said("plot"))

    @cached_property
    def origin(self) -> str:
        """Where the numbers come from, and what is missing or failed."""
        return origin(self.experiment, self.records)

    @property
    def about(self) -> str:
        """What the experiment asks, and how, in its module's words."""
        return inspect.cleandoc(self.experiment.module.__doc__ or "") if self.experiment.module else ""

    @property
    def has_table(self) -> bool:
        """Whether it has a table to show."""
        return hasattr(self.experiment.module, "table")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the records."""
        return fingerprint(self.records)

    def _said(self, name: str) -> Any:  # noqa: ANN401
        function: Callable[[list[Record]], Any] | None = getattr(self.experiment.module, name, None)
        try:
            return function(self.records) if function else None
        except Exception as error:
            message = f"{self.experiment.name}: {name} failed: {type(error).__name__}: {error}"
            raise SourceError(message) from error

    def table(self, name: str | None = None) -> str:
        """Return a table, or all of them below each other for None, with their origin.

        Of an experiment that has not been measured at all there is no more to say than that.
        """
        if not self.tables:
            raise SourceError(f"{self.experiment.name} has no table")
        if name is None:
            if not self.records:
                return self.origin
            titled = [f"**{title}**\n\n{table}" if title else table for title, table in self.tables.items()]
            return "\n\n".join([*titled, self.origin])
        if name not in self.tables:
            raise SourceError(f"{self.experiment.name} has no table {name!r}; it has {_listed(self.tables)}")
        return f"{self.tables[name]}\n\n{self.origin}"

    def number(self, key: str) -> str:
        """Return a number for a sentence."""
        if key not in self.numbers:
            raise SourceError(f"{self.experiment.name} has no number {key!r}; it has {_listed(self.numbers)}")
        return self.numbers[key]


class Book:
    """The pages, and what they say of the experiments whose records are published.

    Args:
        root: the folder of the pages.
        names: of the experiments, with their groups.
        named: returns an experiment by its name.
    """

    def __init__(
        self,
        root: Path = ROOT,
        names: Mapping[str, str] | None = None,
        named: Callable[[str], Experiment] = finding.named,
    ) -> None:
        self.root = root.resolve()
        self.results = self.root / "benchmarks" / "results"
        self.overview = self.root / "docs" / "benchmarks.md"
        self.names = finding.find() if names is None else names
        self._named = named
        self._accounts: dict[str, Account] = {}

    @property
    def pages(self) -> list[Path]:
        """The pages that have markers; that of all experiments is one of them."""
        found = [
            self.root / "README.md",
            *(self.root / "benchmarks").rglob("README.md"),
            *self.root.glob("docs/**/*.md"),
        ]
        return sorted({*(page for page in found if page.exists()), self.overview})

    def __getitem__(self, name: str) -> Account:
        """Return what is to be said of an experiment."""
        if name not in self.names:
            known = nearest(name, list(self.names)) or list(self.names)
            raise SourceError(f"there is no experiment {name!r}; there is {_listed(known)}")
        if name not in self._accounts:
            try:
                experiment = self._named(name)
            except (UserError, ImportError) as error:
                raise SourceError(f"{name} cannot be imported: {error}") from error
            theirs = [one for source in experiment.sources for one in self[source].records]
            theirs = [one for one in theirs if not experiment.shown or one.cell["name"] in experiment.shown]
            own = experiment.reported(read(self.results / f"{name}.jsonl"))
            self._accounts[name] = Account(experiment, [*own, *theirs])
        return self._accounts[name]

    def content(self, place: Place, page: Path) -> str:
        """Return what is to stand between the markers of a place.

        Raises:
            SourceError: there is no such experiment, table, picture or number.
        """
        name, _, part = place.name.partition("/")
        if place.kind == "number":
            return self[name].number(part)
        if place.name.endswith(".png"):
            return self._picture(place.name, page)
        return self[name].table(part if "/" in place.name else None)

    def _picture(self, name: str, page: Path) -> str:
        path = self.results / name
        stamp = read_stamp(path) if path.exists() else None
        if stamp is None:
            raise SourceError(f"there is no picture {name} of an experiment in benchmarks/results")
        return f"![{stamp.title}]({Path(os.path.relpath(path, page.parent)).as_posix()})"


def _named(found: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what a table or plot returned by names: one that has none is called ""."""
    if found is None:
        return {}
    return dict(found) if isinstance(found, Mapping) else {"": found}


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
