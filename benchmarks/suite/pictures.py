"""Pictures that experiments share: learning curves with bands over seeds, bars, and lines that say what they are."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from benchmarks.suite.samples import FEW
from benchmarks.suite.tables import number
from pg_agents.statistics import interquartile_mean, interval

COLOURS = {
    "reinforce": "#d1495b",
    "reinforce-baseline": "#00798c",
    "actor-critic": "#edae49",
    "ppo": "#30638e",
    "trpo": "#8e5ea2",
    "npg": "#c77dff",
    "a2c": "#6b705c",
    "grpo": "#2e933c",
    "rloo": "#d17a22",
    "average-reward": "#a44a3f",
    "Stable-Baselines3": "#222222",
}
MORE_COLOURS = ("#1b9aaa", "#ef476f", "#7a9e7e", "#5f0f40", "#b08968", "#4361ee")
POINTS = 100  # of a curve
LETTERS = 11  # of a title, an inch
BANDS = f"lines: interquartile means; bands: their 95 % intervals, of fewer than {FEW} runs the range"


def colour_of(label: str) -> str:
    """Return the colour of a label: that of its first word among `COLOURS`, else one of its own."""
    first = label.split(",")[0].split(" ")[0]
    return COLOURS.get(first) or MORE_COLOURS[sum(map(ord, label)) % len(MORE_COLOURS)]


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """Return the colours of a panel's labels, no two of which are the same while there are enough."""
    found: dict[str, str] = {}
    for label in labels:
        free = [colour for colour in (colour_of(label), *MORE_COLOURS) if colour not in found.values()]
        found[label] = free[0] if free else colour_of(label)
    return found


def panels(count: int, title: str, *, columns: int = 4, size: tuple[float, float] = (3.7, 3.3)) -> Iterator[Axes]:
    """Yield the axes of as many panels of one figure (`axes.figure`), in rows; the title is the picture's own.

    Args:
        count: of panels.
        title: stands above them all, and pages give it as the picture's text.
        columns: panels beside each other at most.
        size: of a panel, inches.
    """
    wide = min(count, columns)
    high = -(-count // wide)
    figure = Figure(figsize=(size[0] * wide, size[1] * high + 0.4), layout="constrained")
    figure.suptitle("\n".join(textwrap.fill(line, round(LETTERS * size[0] * wide)) for line in title.splitlines()))
    grid = figure.subplots(high, wide, squeeze=False)
    for axes in grid.flat[count:]:
        axes.remove()
    yield from grid.flat[:count]


def draw_curves(
    axes: Axes, runs: Sequence[Sequence[tuple[float, float]]], label: str, *, colour: str | None = None
) -> None:
    """Draw the interquartile mean over runs with its band, over what all of them have.

    Args:
        axes: where.
        runs: of each its (step, value), by step.
        label: what the line is; how many runs they are stands behind it.
        colour: of line and band; None: `colour_of` the label.
    """
    if not runs:
        axes.plot([], [], " ", label=f"{label}: missing")
        return
    curves = [np.asarray(run, dtype=float) for run in runs]
    steps = np.linspace(max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves), POINTS)
    values = np.stack([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in curves])
    colour = colour or colour_of(label)
    if len(runs) > 1:
        axes.fill_between(steps, *_band(values), color=colour, alpha=0.18, linewidth=0)
    axes.plot(steps, [interquartile_mean(column) for column in values.T], color=colour, label=f"{label} ({len(runs)})")


def _band(values: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the ends of the band over runs, [runs, points] → two of [points]."""
    if len(values) < FEW:
        return values.min(0), values.max(0)
    low, high = np.array([interval(column) for column in values.T]).T
    return low, high


def draw_level(axes: Axes, value: float | None, label: str, style: str = "--") -> None:
    """Draw a horizontal line that says what it is and where; nothing for None."""
    if value is not None:
        axes.axhline(value, color="grey", linestyle=style, linewidth=1, label=f"{label}, {number(value)}")


def draw_bars(
    axes: Axes,
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    ends: Sequence[tuple[float, float] | None] | None = None,
    logarithmic: bool = False,
) -> None:
    """Draw a horizontal bar a label, the first on top, with its number behind it; None is drawn as missing.

    Args:
        axes: where.
        labels: of the bars.
        values: their lengths; above 0 on a logarithmic axis, where a bar's length means nothing else than its end.
        ends: of an interval for each bar.
        logarithmic: whether the axis is, with its ticks at 1, 2 and 5.

    Raises:
        ValueError: a length on a logarithmic axis is not above 0.
    """
    known = [value for value in values if value is not None]
    if logarithmic and known and min(known) <= 0:
        raise ValueError(f"values must be above 0 on a logarithmic axis, got {min(known)}")
    if logarithmic:
        reach = [*known, *(end for pair in ends or () if pair for end in pair)] or [1, 10]
        scale_by_logarithms(axes, min(reach), max(reach))
    for place, (label, value) in enumerate(zip(labels, values, strict=True)):
        axes.barh(place, value or 0, color=colour_of(label), alpha=0.85)
        pair = ends[place] if ends else None
        if pair:
            axes.plot(pair, [place, place], color="black", linewidth=1.2, label="_interval")
        text = " missing" if value is None else f" {number(value, 3)}"
        at = max(value or axes.get_xlim()[0], pair[1] if pair else -math.inf)
        axes.text(at, place, text, va="center", fontsize=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()


def scale_by_logarithms(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis logarithmic from below `low` to above `high`, with plain numbers at 1, 2 and 5."""
    axes.set_xscale("log")
    axes.set_xlim(low / 1.6, high * max(1.8, (high / low) ** 0.25))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1_000 else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: number(x, 3))


def count_in_thousands(axes: Axes) -> None:
    """Write the numbers of the horizontal axis, of steps, as 200 k and 1 M."""
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g} M" if abs(x) >= 1e6 else f"{x / 1e3:g} k" if x else "0")


def unclear(figure: Figure) -> list[str]:
    """Return what a picture does not say: lines without a label or a legend, axes without a name.

    A line whose label begins with "_" is one of several that another label names.
    """
    found = [] if figure.get_suptitle() else ["the picture has no title"]
    for axes in figure.axes:
        name = f"the panel {axes.get_title()!r}"
        lines = axes.get_lines()
        nameless = [line for line in lines if str(line.get_label()).startswith("_child")]
        shown = [line for line in lines if not str(line.get_label()).startswith("_")]
        found += [f"{name} has {len(nameless)} lines without a label"] * bool(nameless)
        found += [f"{name} has labels and no legend"] * bool(shown and not (axes.get_legend() or figure.legends))
        found += [f"{name} has an axis without a name"] * (not axes.get_xlabel())
        looks = {str(line.get_label()): _look(line) for line in shown}
        found += [f"{name} has lines that look the same"] * (len(set(looks.values())) < len(looks))
    return found


def _look(line: Line2D) -> tuple[str, ...]:
    """Return what tells a line from others."""
    return to_hex(line.get_color()), str(line.get_linestyle()), str(line.get_marker())
