"""Tables of scores: every cell with an interval, failed and missing ones too, and where another library is ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from statistics import fmean
from typing import Any

from benchmarks.learning.protocol import Cell
from benchmarks.suite.samples import Row, Sample, few_runs, statistics_table
from benchmarks.suite.tables import (
    MISSING,
    NONE,
    Measured,
    Named,
    by_cell,
    cell_rows,
    failures,
    markdown,
    number,
    results,
)
from pg_agents.statistics import improvement_interval, interquartile_mean, probability_of_improvement

LIBRARIES = {"stable-baselines3": "Stable-Baselines3, "}
AHEAD, UNDECIDED, BEHIND = "ahead", "undecided", "behind"
MANY = 10  # runs; with fewer an interval is marked
MISSING_PARTS = ("FileNotFoundError", "ModuleNotFoundError", "ImportError")
OF_MACHINES = (*MISSING_PARTS, "TimeoutExpired", "ProcessDied", "MemoryError")
"""Errors of runs that say nothing of how well an agent learns: these runs are missing."""
Runs = Mapping[int, Measured]  # by seed


def table(cells: Sequence[Cell], seeds: Sequence[int], records: Iterable[Measured]) -> str:
    """Return the table of the cells' scores: interquartile means over seeds with intervals, and the errors of runs."""
    found, rows = by_cell(records), []
    names = Counter((cell.env, agent_of(cell)) for cell in cells)
    for cell in cells:
        runs = of_learning(found.get(cell.name, {}))
        sample = Sample.of(scores(runs), asked=len(seeds), worst=lowest(cells, found, cell))
        agent = code(agent_of(cell)) if names[cell.env, agent_of(cell)] == 1 else f"`{cell.name}`"
        labels = short(cell.env), agent, steps(cell), mean(runs, "untrained")
        rows.append(Row(labels, sample, known(runs, "random"), known(runs, "optimal")))
    said = statistics_table(("environment", "agent", "steps", "untrained"), rows)
    return "\n\n".join([said, *errors(cells, found)])


def cell_table(
    heads: Sequence[str],
    cells: Sequence[Named],
    records: Sequence[Measured],
    measured: Callable[[list[dict[str, Any]]], Iterable[Sequence[str]]],
) -> str:
    """Return a table of an experiment's own columns, what marks at its intervals mean, and the errors of runs.

    Args:
        heads: of the columns, that of the cell's name first.
        cells: all that there are to be.
        records: what there is.
        measured: makes the rows of a cell, without its name, from the results of its seeds.
    """
    found = by_cell(records)
    rows = markdown(heads, cell_rows(cells, records, measured), 1)
    return "\n\n".join([rows, *few_runs(len(results(mine)) for mine in found.values()), *errors(cells, found)])


@dataclass(frozen=True)
class Versus:
    """A cell of ours beside one of another library: what their runs scored, a failed one the worst score there is.

    Attributes:
        ours: the cell.
        theirs: the other library's.
        scored: what the runs of each have scored; (): none ran, or all failed and the worst score is not known.
        lacking: the text for each where it has no scores.
    """

    ours: Cell
    theirs: Cell
    scored: tuple[list[float], list[float]]
    lacking: tuple[str, str]

    @property
    def fewest(self) -> int:
        """The number of runs of the side that has fewer."""
        return min(map(len, self.scored))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the probability that a run of ours returns more."""
        return improvement_interval(*self.scored)

    @property
    def name(self) -> str:
        """The environment, our agent and their steps."""
        return f"{short(self.ours.env)} ({code(agent_of(self.ours))}, their {steps(self.theirs)})"

    def row(self) -> list[str]:
        """Return the row of a table."""
        means = [
            number(interquartile_mean(some)) if some else lack
            for some, lack in zip(self.scored, self.lacking, strict=True)
        ]
        head = [short(self.ours.env), code(agent_of(self.ours)), *means, steps(self.theirs)]
        counts = " and ".join(str(len(some)) for some in self.scored)
        if self.fewest < 2:
            return [*head, NONE, NONE, counts, ""]
        low, high = self.interval
        interval = f"{low:.2f} … {high:.2f}" + "\\*" * (self.fewest < MANY)
        return [*head, f"{probability_of_improvement(*self.scored):.2f}", interval, counts, self.verdict()]

    def verdict(self) -> str:
        """Return who is ahead: behind is whose probability is below ½; its interval decides unless it holds ½."""
        low, high = self.interval
        if low > 0.5:
            return AHEAD
        if probability_of_improvement(*self.scored) >= 0.5:
            return UNDECIDED
        return BEHIND if high < 0.5 else f"{BEHIND}, {UNDECIDED}"


def comparison(cells: Sequence[Cell], records: Iterable[Measured]) -> str:
    """Return, for each cell of another library, with which probability a run of ours returns more than one of theirs.

    Ours are those with its environment and its algorithm.
    """
    found = by_cell(records)
    every = [_versus(ours, theirs, found, lowest(cells, found, ours)) for ours, theirs in pairs(cells)]
    heads = ("environment", "agent", "ours, IQM", "theirs, IQM", "their steps")
    heads += ("P(ours > theirs)", "95 % interval", "runs", "we are")
    return "\n\n".join([markdown(heads, [one.row() for one in every], 2), *_wide(every), _summary(every)])


def _wide(every: Sequence[Versus]) -> list[str]:
    """Return what the mark at an interval means, if there is one."""
    few = [one.fewest for one in every if 2 <= one.fewest < MANY]
    return [f"\\* An interval of as few as {min(few)} runs is wide: it wants at least {MANY} seeds."] if few else []


def _summary(every: Sequence[Versus]) -> str:
    """Return a sentence: where we are ahead, where nothing is decided, where we are behind."""
    measured = [one for one in every if one.fewest >= 2]
    names: dict[str, list[str]] = {}
    for one in measured:
        names.setdefault(one.verdict(), []).append(one.name)
    parts = [f"{verdict} in {', '.join(names[verdict])}" for verdict in sorted(names)]
    if not parts:
        return "Nothing has been measured on both sides."
    return f"Of {len(measured)} that have been measured, with 95 % confidence: {'; '.join(parts)}."


def scores(runs: Runs, key: str = "score") -> list[float | None]:
    """Return a number of each run in the order of seeds, None of one that failed."""
    each = [runs[seed].result for seed in sorted(runs)]
    return [None if result is None else float(result[key]) for result in each]


def of_learning(runs: Runs) -> Runs:
    """Return the runs without those that failed for a reason of the machine or of what is installed on it."""
    return {seed: run for seed, run in runs.items() if (run.error or "").partition(":")[0] not in OF_MACHINES}


def lowest(cells: Iterable[Cell], found: Mapping[str, Runs], like: Cell) -> float | None:
    """Return the worst score in a cell's environment: the lowest that any run, untrained or trained, or chance has had.

    Cells of the same id with other arguments or wrappers, which may change rewards, are of other environments.
    """
    same = [cell for cell in cells if _environment(cell) == _environment(like)]
    runs = chain.from_iterable(results(found.get(cell.name, {})) for cell in same)
    values = [value for run in runs for value in (run["score"], run.get("untrained"), run["known"]["random"])]
    return min((float(value) for value in values if value is not None), default=None)


def _environment(cell: Cell) -> tuple[object, ...]:
    return cell.env, cell.env_args, cell.eval_args, cell.wrappers if cell.library == "pg_agents" else []


def known(runs: Runs, name: str) -> float | None:
    """Return the mean over runs of a return that is known, "random" or "optimal": it may depend on the episodes."""
    values = [run["known"][name] for run in results(runs)]
    return fmean(values) if values and None not in values else None


def mean(runs: Runs, key: str) -> str:
    """Return the mean of a number over runs, as a text."""
    values = [run[key] for run in results(runs) if run.get(key) is not None]
    return number(fmean(values)) if values else NONE


def errors(cells: Iterable[Named], found: Mapping[str, Runs]) -> list[str]:
    """Return a line about each cell in which runs failed; they count as the worst score there is, or are missing."""
    return [f"{cell.name}: {failed}" for cell in cells if (failed := failures(found.get(cell.name, {})))]


def pairs(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Return (ours, theirs) of each cell of another library, with every cell of ours that it stands beside.

    Raises:
        ValueError: a cell of another library stands alone.
    """
    found = []
    for other in (cell for cell in cells if cell.library != "pg_agents"):
        same = [cell for cell in cells if cell.library == "pg_agents" and cell.env == other.env]
        beside = [(cell, other) for cell in same if cell.agent == other.agent.lower()]
        if not beside:
            raise ValueError(f"cells: none of ours stands beside {other.name}; add one")
        found += beside
    return found


def agent_of(cell: Cell) -> str:
    """Return an agent's name, its library before it and behind it what tells it from the same agent beside it."""
    special = cell.name.rpartition("/")[2].removeprefix(cell.agent).lstrip("-")
    if cell.library != "pg_agents":
        special = cell.name.partition(", ")[2]
    shown = f", {special}" if special else ""
    return f"{LIBRARIES.get(cell.library, '')}{cell.agent}{shown}"


def steps(cell: Cell) -> str:
    """Return how many steps a cell has, in thousands."""
    return f"{cell.total_steps / 1000:,.0f} k"


def code(name: str) -> str:
    """Return the name of an agent of ours as code."""
    first, comma, rest = name.partition(",")
    return name if first in ("Stable-Baselines3",) else f"`{first}`{comma}{rest}"


def short(env: str) -> str:
    """Return an environment's id without the module that registers it."""
    return env.rpartition(":")[2]


def completed(runs: Runs, worst: float | None) -> list[float]:
    """Return the scores of runs, those that failed with the worst; none if it is not known."""
    values = [worst if score is None else score for score in scores(runs)]
    return [value for value in values if value is not None] if None not in values else []


def _versus(ours: Cell, theirs: Cell, found: Mapping[str, Runs], worst: float | None) -> Versus:
    first, second = (of_learning(found.get(one.name, {})) for one in (ours, theirs))
    lacking = ("failed" if first else MISSING, "failed" if second else MISSING)
    return Versus(ours, theirs, (completed(first, worst), completed(second, worst)), lacking)
