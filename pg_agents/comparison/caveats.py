"""What is to be known before a comparison is believed."""

from __future__ import annotations

from collections.abc import Iterator

from pg_agents.comparison.groups import Group, Panel, twins
from pg_agents.comparison.measures import span
from pg_agents.comparison.runs import STOPPED, UNFINISHED
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
    ended = [run for run in panel.runs if run.state.startswith(STOPPED) and not run.reached]
    if others := [f"{run.name} ({run.state})" for run in ended]:
        yield f"stopped before all their steps, and what they have reached counts: {some(others)}"
    if any(run.reached for run in panel.runs):
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
    uneven = [
        f"runs of {label} have {min(ends):,.0f} to {max(ends):,.0f} steps"
        for label, ends in steps.items()
        if max(ends) > ALIKE * min(ends)
    ]
    least, most = (choose(steps, key=lambda label: max(steps[label])) for choose in (min, max))
    if max(steps[most]) > ALIKE * max(steps[least]):
        uneven.append(f"{most} has up to {max(steps[most]):,.0f} steps and {least} {max(steps[least]):,.0f}")
    if uneven:
        begin, end = span(panel.runs)
        over = f"means over steps are over {begin:,.0f} to {end:,.0f}, which all have"
        over = over if begin < end else "there are no steps that all have"
        yield f"{some(uneven)}: last values are not after as many; {over}"


def _steps(group: Group) -> list[float]:
    """Return the steps of runs, of those that were not ended by what they reached if there are any."""
    going = [run for run in group.runs if not run.reached]
    return [float(run.curve.steps[-1]) for run in going or group.runs]
