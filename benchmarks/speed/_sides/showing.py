"""Tables, numbers and a picture of sides that do the same work."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed._sides.comparing import (
    Ratio,
    Runs,
    compared,
    made,
    memory,
    middle,
    peak,
    runs_of,
    share,
    speed,
    versions,
)
from benchmarks.speed._sides.workload import Workload, name_of
from benchmarks.suite.pictures import panels, scale_by_logarithms
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, NONE, by_cell, failures, markdown, number

Workloads = Mapping[str, Workload]
NAMES = {
    "sb3": "Stable-Baselines3",
    "cleanrl": "CleanRL",
    "floor": "loop without abstractions",
    "bare": "bare `env.step`",
    "ours, in turn": "ours, one after the other",
    "sb3, two processes": "Stable-Baselines3, two processes",
    "sb3, workers": "Stable-Baselines3, workers",
    "rejax": "rejax, with compiling",
    "rejax, compiled": "rejax, compiled before",
    "trl": "TRL",
    "trl, no checkpointing": "TRL, no checkpointing",
    "sb3, 1 thread": "Stable-Baselines3, 1 thread",
    "sb3, 2 threads": "Stable-Baselines3, 2 threads",
}
OURS = "ours"
A_THOUSAND = 1000
ROUNDS = 3  # with fewer it is said how many there are
COLOURS = {"as fast as asked": "#00798c", "slower than asked": "#d1495b", "only compared": "#9a9a9a"}


@dataclass(frozen=True)
class Comparison:
    """What an experiment whose cells are sides of workloads shows of its records: its `table`, `numbers` and `plot`.

    Attributes:
        workloads: by name.
        title: of the picture.
    """

    workloads: Workloads
    title: str

    def table(self, records: Sequence[Record]) -> dict[str, str]:
        """Return all ratios, and the sides of each workload."""
        return tables(self.workloads, records)

    def numbers(self, records: Sequence[Record]) -> dict[str, str]:
        """Return ratios, seconds and gigabytes."""
        return numbers(self.workloads, records)

    def plot(self, records: Sequence[Record]) -> Figure | None:
        """Draw the ratios."""
        return plot(self.workloads, records, self.title)


def tables(workloads: Workloads, records: Sequence[Record]) -> dict[str, str]:
    """Return a table of all ratios, called "ratios", and one of the sides of each workload, by its name."""
    each = {name: _table(name, workload, records) for name, workload in workloads.items()}
    said = ", ".join(f"{name} {version}" for name, version in sorted(versions(records).items()))
    ratios = ratio_table(workloads, records) + (f"\n\nVersions: {said}." if said else "")
    return {"ratios": ratios} | each


def ratio_table(workloads: Workloads, records: Sequence[Record]) -> str:
    """Return a row for every pair of sides that are compared."""
    rows = []
    for name, workload in workloads.items():
        runs = runs_of(name, workload, records)
        own = _pace(workload, runs[workload.subject])
        for side, ratio in compared(workload, runs).items():
            work = f"`{name}`: {workload.title}"
            rows.append([work, _against(workload, side), own, _pace(workload, runs[side]), *_ratio_texts(ratio)])
    heads = ("work", "against", "we", "they", "as fast, median of rounds", "range", "by processor time", "asked")
    return markdown(heads, rows, 2)


def _against(workload: Workload, side: str) -> str:
    """Return the name of a side, and where "we" are not this library, who is meant."""
    we = "" if workload.subject == OURS else f" (we: {NAMES.get(workload.subject, workload.subject)})"
    return NAMES.get(side, side) + we


def _pace(workload: Workload, runs: Mapping[int, dict | None]) -> str:
    """Return the median seconds, or steps a second."""
    done = made(runs)
    rate = speed(done)
    if rate is None:
        return "failed" if runs else MISSING
    if workload.by_time:
        return f"{number(middle(done, 'seconds'), 2)} s"
    if rate < 1:
        return f"{number(1 / rate, 3)} s/step"
    return f"{rate / 1000:,.1f} k/s" if rate >= A_THOUSAND else f"{rate:.0f}/s"


def _ratio_texts(ratio: Ratio) -> list[str]:
    if ratio.median is None or ratio.by_processor is None:
        return [NONE, NONE, NONE, _asked(ratio)]
    ends = f"{min(ratio.each):.2f} … {max(ratio.each):.2f}" if len(ratio.each) > 1 else "one round"
    return [f"**{ratio.median:.2f} ×**", ends, f"{ratio.by_processor:.2f} ×", _asked(ratio)]


def _asked(ratio: Ratio) -> str:
    if not ratio.at_least:
        return NONE
    few = f" in {len(ratio.each)} round{'s' * (len(ratio.each) > 1)}" if len(ratio.each) < ROUNDS else ""
    met = "" if ratio.median is None else f", met{few}" if ratio.met else f", **not met**{few}"
    return f"{ratio.at_least:g} ×{met}"


def _table(name: str, workload: Workload, records: Sequence[Record]) -> str:
    """Return a row for every side of a workload, below its title."""
    runs = runs_of(name, workload, records)
    ratios = compared(workload, runs)
    failed = {side: failures(by_cell(records).get(name_of(name, side), {})) for side in workload.sides}
    who = "we are" if workload.subject == OURS else "the bold one is"
    columns = {
        "seconds": [number(middle(made(runs[side]), "seconds"), 3) for side in runs],
        "steps/s": [number(speed(made(runs[side])), 3) for side in runs],
        "steps/s and core": [_a_core(runs, side) for side in runs],
        "on a processor": [_share(made(runs[side]), workload.quiet) for side in runs],
        "peak memory, MB": [number(peak(made(runs[side])), 3) for side in runs],
        f"{who} as fast": [_ratio_texts(ratios[side])[0] if side in ratios else "" for side in runs],
        "range": [_ratio_texts(ratios[side])[1] if side in ratios else "" for side in runs],
        "by processor time": [_ratio_texts(ratios[side])[2] if side in ratios else "" for side in runs],
        "asked": [_ratio_texts(ratios[side])[3] if side in ratios else "" for side in runs],
        "rounds": [str(len(made(runs[side]))) if runs[side] else MISSING for side in runs],
        "failed": [failed[side] or NONE for side in runs],
    }
    kept = {head: cells for head, cells in columns.items() if set(cells) - {NONE, ""}}
    sides = [f"**{NAMES.get(side, side)}**" if side == workload.subject else NAMES.get(side, side) for side in runs]
    rows = [[side, *(cells[i] for cells in kept.values())] for i, side in enumerate(sides)]
    return "\n\n".join([f"{workload.title}.", markdown(["side", *kept], rows, 1), *_asked_besides(workload, runs)])


def _a_core(runs: Runs, side: str) -> str:
    """Return the steps per second and core, where a side of the workload has several processes."""
    several = any(run.get("processes", 1) > 1 for each in runs.values() for run in made(each))
    return number(speed(made(runs[side]), a_core=True), 3) if several else NONE


def _share(runs: list[dict], quiet: float) -> str:
    found = share(runs)
    return NONE if found is None else f"{found:.0%}" + (" (busy)" if found < quiet else "")


def _asked_besides(workload: Workload, runs: Runs) -> Iterator[str]:
    """Yield what is asked of memory and of steps per second, and whether it is met."""
    for side, times in memory(workload, runs).items():
        at_most = workload.memory_at_most[side]
        met = "met" if times <= at_most else "**not met**"
        yield f"Ours holds {times:.2f} × the memory of {NAMES.get(side, side)} (asked: {at_most:g} × at most, {met})."
    rate = speed(made(runs[workload.subject]))
    if workload.steps_per_second and rate is not None:
        met = "met" if rate >= workload.steps_per_second else "**not met**"
        yield f"Asked: {workload.steps_per_second:,.0f} steps/s, {met}."


def numbers(workloads: Workloads, records: Sequence[Record]) -> dict[str, str]:
    """Return ratios and their ranges, seconds, and gigabytes, as "language-trl-ratio"."""
    found: dict[str, str] = {}
    for name, workload in workloads.items():
        runs = runs_of(name, workload, records)
        for side, ratio in compared(workload, runs).items():
            if ratio.median is not None:
                ends = {"ratio": ratio.median, "least": min(ratio.each), "most": max(ratio.each)}
                found |= {_key(name, side, what): f"{value:.2f}" for what, value in ends.items()}
        for side, each in runs.items():
            done, held = made(each), peak(made(each))
            if done:
                found[_key(name, side, "seconds")] = number(middle(done, "seconds"), 3)
                found[_key(name, side, "step")] = number(1 / (speed(done) or math.inf), 3)
            if held is not None:
                found[_key(name, side, "gigabytes")] = f"{held / 1000:.1f}"
    return found


def _key(*parts: str) -> str:
    return "-".join(parts).replace(", ", "-").replace(" ", "-").replace("'", "")


def plot(workloads: Workloads, records: Sequence[Record], title: str) -> Figure | None:
    """Draw a bar for every ratio that was measured, the range over rounds, and a mark where it was asked to be."""
    bars = []
    for name, workload in workloads.items():
        for side, ratio in compared(workload, runs_of(name, workload, records)).items():
            if ratio.median:  # 0: ours did not get there, which has no place on this axis
                bars.append((f"{name}: {NAMES.get(side, side).replace('`', '')}", ratio))
    if not bars:
        return None
    (axes,) = panels(1, title, size=(9.5, 1.2 + 0.42 * len(bars)))
    ends = [end for _, ratio in bars for end in (*_shown(ratio), ratio.at_least) if end]
    scale_by_logarithms(axes, min(ends), max(ends))
    for place, (_, ratio) in enumerate(bars):
        _draw_bar(axes, place, ratio)
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.invert_yaxis()
    axes.axvline(1.0, color="grey", linewidth=0.8, label="as fast as the other")
    axes.set_xlabel("times as fast as … (bar: median over rounds; black line: their range)")
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each label once
    axes.legend(named.values(), named.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def _draw_bar(axes: Axes, place: int, ratio: Ratio) -> None:
    middle_one = ratio.median or 0.0
    what = "only compared" if not ratio.at_least else "as fast as asked" if ratio.met else "slower than asked"
    axes.barh(place, middle_one, color=COLOURS[what], height=0.6, label=what)
    shown = _shown(ratio)
    axes.plot([min(shown), max(shown)], [place, place], color="black", linewidth=1.2, label="_range")
    if ratio.at_least:
        asked = [ratio.at_least] * 2, [place - 0.4, place + 0.4]
        axes.plot(*asked, color="#edae49", linewidth=2.5, label="asked")
    at = max(*ratio.each, ratio.at_least)
    axes.text(at, place, f"  {middle_one:.2f}", va="center", fontsize=8)


def _shown(ratio: Ratio) -> list[float]:
    """Return the rounds' ratios that have a place on an axis of logarithms: not 0, where a run of ours failed."""
    return [value for value in ratio.each if value]
