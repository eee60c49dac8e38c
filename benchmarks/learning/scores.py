"""Tables of scores: every cell with an interval, failed and missing ones too, and where another library is ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean

from benchmarks.learning.protocol import Cell
from benchmarks.suite.samples import Row, Sample, statistics_table
from benchmarks.suite.tables import MISSING, NONE, Measured, Named, by_cell, failures, markdown, number, results
from pg_agents.statistics import interquartile_mean

LIBRARIES = {"stable-baselines3": "Stable-Baselines3, "}
Runs = Mapping[int, Measured]  # by seed


def table(cells: Sequence[Cell], seeds: Sequence[int], records: Iterable[Measured]) -> str:
    """Return the table of the cells' scores: interquartile means over seeds with intervals, and the errors of runs."""
    found = by_cell(records)
    rows = []
    for cell in cells:
        runs = found.get(cell.name, {})
        sample = Sample.of(scores(runs), asked=len(seeds), worst=lowest(cells, found, cell.env))
        labels = short(cell.env), code(agent_of(cell)), f"{cell.total_steps / 1000:,.0f} k", mean(runs, "untrained")
        rows.append(Row(labels, sample, known(runs, "random"), known(runs, "optimal")))
    said = statistics_table(("environment", "agent", "steps", "untrained"), rows)
    return "\n\n".join([said, *errors(cells, found)])


def comparison(cells: Sequence[Cell], records: Iterable[Measured]) -> str:
    """Return, for each cell of another library, with which probability a run of ours returns more than one of theirs.

    Ours are those with its environment and its algorithm. Where the probability is below ½ we are behind.
    """
    found = by_cell(records)
    rows = [_versus(ours, theirs, found, lowest(cells, found, ours.env)) for ours, theirs in pairs(cells)]
    behind = [f"{row[0]} ({row[1]})" for row in rows if row[-1] == "behind"]
    measured = sum(row[4] != NONE for row in rows)
    said = f"Behind in {', '.join(behind)}." if behind else f"Behind in none of {measured} that have been measured."
    heads = ("environment", "agent", "ours, IQM", "theirs, IQM", "P(ours > theirs)", "95 % interval", "runs", "")
    return f"{markdown(heads, rows, 2)}\n\n{said}"


def scores(runs: Runs, key: str = "score") -> list[float | None]:
    """Return a number of each run in the order of seeds, None of one that failed."""
    each = [runs[seed].result for seed in sorted(runs)]
    return [None if result is None else float(result[key]) for result in each]


def lowest(cells: Iterable[Cell], found: Mapping[str, Runs], env: str) -> float | None:
    """Return the worst score in an environment: the lowest that any run, untrained or trained, or chance has had."""
    runs = chain.from_iterable(results(found.get(cell.name, {})) for cell in cells if cell.env == env)
    values = [value for run in runs for value in (run["score"], run.get("untrained"), run["known"]["random"])]
    return min((float(value) for value in values if value is not None), default=None)


def known(runs: Runs, name: str) -> float | None:
    """Return the mean over runs of a return that is known, "random" or "optimal": it may depend on the episodes."""
    values = [run["known"][name] for run in results(runs)]
    return fmean(values) if values and None not in values else None


def mean(runs: Runs, key: str) -> str:
    """Return the mean of a number over runs, as a text."""
    values = [run[key] for run in results(runs) if run.get(key) is not None]
    return number(fmean(values)) if values else NONE


def errors(cells: Iterable[Named], found: Mapping[str, Runs]) -> list[str]:
    """Return a line about each cell in which runs failed; they count as the worst score there is."""
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
    shown = f", {special}" if cell.library == "pg_agents" and special else ""
    return f"{LIBRARIES.get(cell.library, '')}{cell.agent}{shown}"


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


def _versus(ours: Cell, theirs: Cell, found: Mapping[str, Runs], worst: float | None) -> list[str]:
    made = [found.get(one.name, {}) for one in (ours, theirs)]
    both = [completed(runs, worst) for runs in made]
    lacking = ["failed" if runs else MISSING for runs in made]
    means = [number(interquartile_mean(some)) if some else no for some, no in zip(both, lacking, strict=True)]
    head = [short(ours.env), code(agent_of(ours)), *means]
    counts = " and ".join(str(len(some)) for some in both)
    if min(map(len, both)) < 2:
        return [*head, NONE, NONE, counts, ""]
    from pg_agents.statistics import improvement_interval, probability_of_improvement

    probability, (low, high) = probability_of_improvement(*both), improvement_interval(*both)
    return [*head, f"{probability:.2f}", f"{low:.2f} … {high:.2f}", counts, "behind" if probability < 0.5 else ""]
