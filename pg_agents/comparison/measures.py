"""What is measured of runs: curves on common steps, scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pg_agents.comparison.curve import Numbers
from pg_agents.comparison.groups import Group, Panel
from pg_agents.comparison.runs import Run
from pg_agents.statistics import (
    area_under_curve,
    improvement_interval,
    interquartile_mean,
    interval,
    median,
    probability_of_improvement,
)

POINTS = 50  # of a curve over several runs, each with an interval
LEVEL = 0.95


@dataclass(frozen=True)
class Band:
    """A group's curve: at each step the interquartile mean over its runs, and the ends of its interval, [P] each.

    It begins where all runs have begun, and ends where the shortest run does; runs that ended before since they had
    reached what they were to stay at their last value. Of one run there is no interval: its ends are the value.
    """

    steps: Numbers
    values: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Scores:
    """A group's row of the table.

    Attributes:
        label: the group's.
        each: the last value of each run.
        middle: their interquartile mean.
        interval: its 95 % interval; None: of one run.
        median: theirs.
        area: the interquartile mean of the runs' mean values over the steps that all runs of the panel have; None:
            there are none.
        better: the probability that the last value of a run is higher than that of a run of the group it is held
            against; None: it is that group.
        better_interval: its 95 % interval; None: one of the two groups is of one run.
    """

    label: str
    each: tuple[float, ...]
    middle: float
    interval: tuple[float, float] | None
    median: float
    area: float | None
    better: float | None
    better_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Measured:
    """What is shown of a panel.

    Attributes:
        panel: the groups.
        bands: a curve for each group.
        scores: a row for each group.
        common: the first and the last of the steps that all runs have.
        known: the returns of the optimum and of a random policy, as far as they are known.
        against: the label of the group that the others are held against.
    """

    panel: Panel
    bands: tuple[Band, ...]
    scores: tuple[Scores, ...]
    common: tuple[float, float]
    known: Mapping[str, float]
    against: str


def measure(panel: Panel, known: Mapping[str, float], against: str | None = None) -> Measured:
    """Return what is shown of a panel.

    Args:
        panel: the groups.
        known: the returns of the optimum and of a random policy, as far as they are known.
        against: the label of the group that the others are held against; None, or if there is none of it in this
            panel: the first.
    """
    common = span(panel.runs)
    bands = tuple(band_of(group.runs) for group in panel.groups)
    other = next((group for group in panel.groups if group.label == against), panel.groups[0])
    scores = tuple(scores_of(group, other, common) for group in panel.groups)
    return Measured(panel, bands, scores, common, known, other.label)


def span(runs: Sequence[Run]) -> tuple[float, float]:
    """Return the first and the last of the steps that all runs have; those that are good early have all behind them."""
    going = [run for run in runs if not run.reached]
    end = min(run.curve.steps[-1] for run in going) if going else max(run.curve.steps[-1] for run in runs)
    return float(max(run.curve.steps[0] for run in runs)), float(end)


def band_of(runs: Sequence[Run]) -> Band:
    """Return the curve of a group, on steps at equal distances; of one run on its own steps."""
    if len(runs) == 1:
        curve = runs[0].curve
        return Band(curve.steps, curve.values, curve.values, curve.values)
    begin, end = span(runs)
    steps = np.linspace(begin, end, POINTS) if begin < end else np.array([end] if begin == end else [])
    table = np.array([np.interp(steps, run.curve.steps, run.curve.values) for run in runs])
    ends = np.array([interval(column, LEVEL) for column in table.T]).reshape(-1, 2)
    return Band(steps, np.array([interquartile_mean(column) for column in table.T]), ends[:, 0], ends[:, 1])


def scores_of(group: Group, other: Group, common: tuple[float, float]) -> Scores:
    """Return a group's row, held against another group; areas are over the steps that are common to all."""
    each, others = last_values(group), last_values(other)
    areas = [area for run in group.runs if (area := height(run, *common)) is not None]
    same, several = group is other, len(each) > 1 and len(others) > 1
    return Scores(
        label=group.label,
        each=each,
        middle=interquartile_mean(each),
        interval=interval(each, LEVEL) if len(each) > 1 else None,
        median=median(each),
        area=interquartile_mean(areas) if areas else None,
        better=None if same else probability_of_improvement(each, others),
        better_interval=improvement_interval(each, others, LEVEL) if several and not same else None,
    )


def last_values(group: Group) -> tuple[float, ...]:
    """Return the last value of each run."""
    return tuple(float(run.curve.values[-1]) for run in group.runs)


def height(run: Run, begin: float, end: float) -> float | None:
    """Return the area under a run's curve over so many steps, divided by their number; None: there are none."""
    if begin >= end:
        return None
    steps, values = run.curve.steps, run.curve.values
    inside = steps[(steps > begin) & (steps < end)]
    at = np.concatenate([[begin], inside, [end]])
    return area_under_curve(at, np.interp(at, steps, values))
