"""What is to be known before a comparison is believed."""

from __future__ import annotations

from collections.abc import Iterator

from pg_agents.comparison.groups import Group, Panel, twins
from pg_agents.comparison.measures import span
from pg_agents.comparison.runs import UNFINISHED
from pg_agents.comparison.words import some
from pg_agents.statistics import caution

ALIKE = 1.05  # how many times the fewest steps the most may be, without a word


def caveats_of(panel: Panel) -> list[str]:
    """Return sentences about what is doubtful in a panel: few runs, unfinished ones, different numbers of steps."""
    where = f"{panel.title}: " if panel.title else ""
    return [f"{where}{text}" for text in (*_few(panel), *_of_runs(panel), *_lengths(panel))]


def _few(panel: Panel) -> Iterator[str]:
    counts = {group.label: len(group.runs) for group in panel.groups}
    for few in sorted(set(counts.values())):
        if said := caution(few):
            yield f"{said} ({some(label for label, count in counts.items() if count == few)})"


def _of_runs(panel: Panel) -> Iterator[str]:
    if cut := [run.name for run in panel.runs if run.state.startswith(UNFINISHED)]:
        yield f"not finished, and what they have reached counts: {some(cut)}"
    if any(run.stopped for run in panel.runs):
        yield (
            "some runs ended once they had reached what they were to, and stay there in curves and means over steps; "
            "last values say little of them"
        )
    if unfit := [run.name for run in panel.runs if run.curve.unfit]:
        yield f"the newest values are not finite, and the last finite one counts: {some(unfit)}"
    if twice := [run.name for group in panel.groups for run in twins(group.runs)]:
        yield f"settings and seed are those of another run of their group, so that it counts twice: {some(twice)}"


def _lengths(panel: Panel) -> Iterator[str]:
    steps = {group.label: _steps(group) for group in panel.groups}
    least, most = min(steps, key=steps.__getitem__), max(steps, key=steps.__getitem__)
    if steps[most] > ALIKE * steps[least]:
        begin, end = span(panel.runs)
        means = "means over steps are over those that all have" if begin < end else "there are no steps that all have"
        yield (
            f"{most} has up to {steps[most]:,.0f} steps and {least} {steps[least]:,.0f}: last values are not after as "
            f"many; {means}"
        )


def _steps(group: Group) -> float:
    """Return the most steps of a run, of those that were not ended by what they reached if there are any."""
    going = [run for run in group.runs if not run.stopped]
    return max(float(run.curve.steps[-1]) for run in going or group.runs)
