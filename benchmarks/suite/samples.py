"""What several runs of a cell scored, and a table of it: interquartile means, their intervals, how many runs failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.suite.tables import MISSING, NONE, markdown, number
from pg_agents.statistics import caution, interquartile_mean, interval

FEW = 5  # runs; intervals of fewer hold less often than they say


@dataclass(frozen=True)
class Sample:
    """What the runs of a cell scored."""

    scores: tuple[float, ...]
    """One a run; a run that failed has the worst score there is, where that is known."""
    failed: int = 0
    missing: int = 0
    complete: bool = True
    """Whether every run that was made has a score: False where that of failed ones is not known."""

    @classmethod
    def of(cls, scores: Sequence[float | None], *, asked: int, worst: float | None = None) -> Sample:
        """Return the sample of the runs that were made, None for one that failed.

        Args:
            scores: of the runs that were made.
            asked: how many runs there were to be.
            worst: the score of a run that failed.
        """
        known = tuple(worst if score is None else score for score in scores)
        finite = tuple(score for score in known if score is not None)
        failed = sum(score is None for score in scores)
        return cls(finite, failed, max(asked - len(scores), 0), complete=len(finite) == len(scores))

    @property
    def usable(self) -> tuple[float, ...]:
        """The scores of which statistics can be told: none where the score of a failed run is not known."""
        return self.scores if self.complete else ()


@dataclass(frozen=True)
class Row:
    """A row of `statistics_table`: a cell's labels, what its runs scored, and what there is to compare it with."""

    labels: Sequence[str]
    sample: Sample
    random: float | None = None
    optimum: float | None = None


def statistics_table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table of cells and the statistics of their runs: columns that no row fills are left out.

    A cell without a run is there as missing; one in which runs failed whose score is not known has no statistic.
    """
    columns = {
        "IQM": [_mean(row.sample) for row in rows],
        "95 % interval": [interval_text(row.sample.usable) for row in rows],
        "worst … best": [_range(row.sample.usable) for row in rows],
        "runs": [runs_text(row.sample) for row in rows],
        "random policy": [number(row.random) for row in rows],
        "best policy": [number(row.optimum) for row in rows],
    }
    kept = {head: cells for head, cells in columns.items() if head in ("IQM", "runs") or set(cells) != {NONE}}
    body = [[*row.labels, *(cells[i] for cells in kept.values())] for i, row in enumerate(rows)]
    return "\n\n".join([markdown([*heads, *kept], body, len(heads)), *few_runs(len(row.sample.usable) for row in rows)])


def interval_text(scores: Sequence[float]) -> str:
    """Return the 95 % interval of the interquartile mean, marked where it is one of few runs."""
    if len(scores) < 2:
        return NONE
    low, high = interval(scores)
    return f"{number(low)} … {number(high)}" + ("\\*" if len(scores) < FEW else "")


def few_runs(counts: Iterable[int]) -> list[str]:
    """Return the sentence below a table that has marked intervals, of so many runs each; [] where it has none."""
    marked = [count for count in counts if 2 <= count < FEW]
    return [f"\\* {caution(min(marked))}."] if marked else []


def runs_text(sample: Sample) -> str:
    """Return how many runs there are, how many of them failed, and how many are missing."""
    made = len(sample.scores) + (0 if sample.complete else sample.failed)
    parts = [str(made)]
    parts += [f"{sample.failed} failed"] * bool(sample.failed)
    parts += [f"{sample.missing} missing"] * bool(sample.missing)
    return ", ".join(parts)


def _mean(sample: Sample) -> str:
    if not sample.complete:
        return "failed"
    return f"**{number(interquartile_mean(sample.scores))}**" if sample.scores else MISSING


def _range(scores: Sequence[float]) -> str:
    return f"{number(min(scores))} … {number(max(scores))}" if len(scores) > 1 else NONE
