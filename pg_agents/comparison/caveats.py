"""What is to be known before a comparison is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pg_agents.comparison.groups import Group, Panel
from pg_agents.comparison.runs import Run

ENOUGH = 5  # runs: with fewer, an interval holds what it is to hold less often than it says
ALIKE = 1.05  # how many times the fewest steps the most may be, without a word
NAMED = 3  # runs in a sentence


def caveats_of(panel: Panel) -> Iterator[str]:
    """Yield sentences about what is doubtful in a panel: few runs, unfinished ones, different numbers of steps."""
    where = f"{panel.title}: " if panel.title else ""
    for group in panel.groups:
        yield from (f"{where}{text}" for text in _of_group(group))
    ends = {group.label: _steps(group) for group in panel.groups}
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    if ends[most] > ALIKE * ends[least]:
        yield (
            f"{where}{most} has up to {ends[most]:,.0f} steps and {least} {ends[least]:,.0f}: their last values are "
            "not after the same number of steps, but their areas are over the steps that all have"
        )


def _of_group(group: Group) -> Iterator[str]:
    count = len(group.runs)
    if count == 1:
        yield f"{group.label}: 1 run, so there is no interval"
    elif count < ENOUGH:
        held = ", of 3 about 75 % of the time" if count == 3 else ""
        yield f"{group.label}: only {count} runs: a 95 % interval holds what it is to hold less often than that{held}"
    if cut := [run for run in group.runs if run.state.startswith(("unfinished", "cut off"))]:
        yield f"{group.label}: {_names(cut)} did not finish, and counts with what it had reached"
    if unfit := [run for run in group.runs if run.curve.unfit]:
        yield f"{group.label}: the newest values of {_names(unfit)} are not finite; the last finite one counts"


def _steps(group: Group) -> float:
    """Return the most steps of a run, of those that were not ended by what they reached if there are any."""
    going = [run for run in group.runs if not run.stopped]
    return max(float(run.curve.steps[-1]) for run in going or group.runs)


def _names(runs: Sequence[Run]) -> str:
    more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return ", ".join(run.name for run in runs[:NAMED]) + more
