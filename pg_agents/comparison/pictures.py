"""Pictures of learning curves: a panel for each environment, a line with a band for each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import repeat
from textwrap import fill
from typing import Any

import numpy as np

from pg_agents.comparison.curve import Numbers
from pg_agents.comparison.measures import Measured
from pg_agents.comparison.words import in_words, number, one_line, without_places

COLOURS = ("#2a78d6", "#e2672a", "#12966a", "#c98500", "#8455c9", "#d1457e", "#5f7d1e", "#0f8fa8")
DASHES = ((), (4, 1.6), (1, 1.6), (7, 1.6, 1, 1.6), (8, 2, 1, 2, 1, 2), (1, 4))  # of groups beyond as many; (): none
LOOKS = len(COLOURS) * len(DASHES)  # groups that can be told apart
SIDES = {"optimum": 2, "random": -3}  # points from a line to its name: above it, below it
MARKS = {"optimum": (0, (6, 3)), "random": (0, (1, 2))}
POINTS, LINES = 300, 40  # of a line; runs of a panel that have lines of their own
WIDTH, HEIGHT, LINE = 4.8, 3.2, 0.22  # of a panel, and of a line of the legend, in inches
LONG, LONGEST = 46, 400  # characters of a line of the legend, and of a name in it


Looks = Mapping[str, Mapping[str, Any]]  # a line's colour and dashes, by the group's label


@dataclass(frozen=True)
class Theme:
    """Colours of everything but the groups."""

    page: str
    ink: str
    faint: str


LIGHT, DARK = Theme("#ffffff", "#20242b", "#e3e6ea"), Theme("#14171c", "#e4e7ec", "#2c323b")


def looks_of(panels: Sequence[Measured]) -> Looks:
    """Return the colour and the dashes of each group, which are the same in all panels."""
    labels = dict.fromkeys(row.label for panel in panels for row in panel.scores)
    return {
        label: {"color": COLOURS[i % len(COLOURS)], "dashes": DASHES[i // len(COLOURS) % len(DASHES)]}
        for i, label in enumerate(labels)
    }


def draw(
    panels: Sequence[Measured],
    metric: str,
    looks: Looks,
    title: str | None = None,
    theme: Theme = LIGHT,
) -> Any:  # noqa: ANN401 - a matplotlib figure
    """Return a figure: in each panel a line for each group, with its band, and thin lines for its runs."""
    from matplotlib import rc_context  # takes half a second to import: only where it is used
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(3, len(panels), math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / columns)
    labels = list(dict.fromkeys(row.label for panel in panels for row in panel.scores))
    names = [fill(_text(label, LONGEST), LONG) for label in labels]
    longest = max(len(line) for name in names for line in name.splitlines())
    beside = min(len(names), max(1, int(columns * 56 / (8 + longest))))  # in a row of the legend
    lines = max(map(str.count, names, repeat("\n"))) + 1
    height = rows * HEIGHT + LINE * lines * math.ceil(len(names) / beside)
    with rc_context(_style(theme)):
        figure = Figure(figsize=(columns * WIDTH, height), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, one in zip(panels, axes, strict=False):
            _panel(one, panel, looks, theme)
            one.set(xlabel="environment steps", ylabel=_text(in_words(metric)))
        for one in axes[len(panels) :]:
            one.remove()
        drawn = [Line2D([], [], linewidth=2, **looks[label]) for label in labels]
        figure.legend(drawn, names, loc="outside lower center", ncols=beside, handlelength=3, frameon=False)
        if title:
            figure.suptitle(_text(title, 120))
    return figure


def picture(figure: Any, kind: str) -> bytes:  # noqa: ANN401
    """Return a figure as a file: png, svg or pdf. The same figure gives the same bytes."""
    from matplotlib import rc_context

    buffer = BytesIO()
    undated = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "pg_agents"}):
        figure.savefig(buffer, format=kind, dpi=200, metadata=undated[kind])
    return buffer.getvalue()


def _panel(axes: Any, panel: Measured, looks: Looks, theme: Theme) -> None:  # noqa: ANN401
    from matplotlib.ticker import EngFormatter

    for name, value in panel.known.items():
        axes.axhline(value, color=theme.ink, linewidth=1, linestyle=MARKS[name], alpha=0.7, zorder=1)
        where = {"xy": (1, value), "xycoords": ("axes fraction", "data"), "xytext": (-3, SIDES[name])}
        how = {"textcoords": "offset points", "ha": "right", "va": "bottom" if SIDES[name] > 0 else "top"}
        axes.annotate(f"{name} {number(value)}", **where, **how, fontsize=8, zorder=4)
    few = len(panel.panel.runs) <= LINES
    for group, band, row in zip(panel.panel.groups, panel.bands, panel.scores, strict=True):
        look = looks[row.label]
        colour = look["color"]
        if len(group.runs) > 1:
            axes.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.18, linewidth=0, zorder=2)
            for run in group.runs if few else ():
                axes.plot(*_thinned(run.curve.steps, run.curve.values), color=colour, linewidth=0.6, alpha=0.35)
        dot = "o" if len(band.steps) == 1 else None  # a line of one point cannot be seen
        axes.plot(*_thinned(band.steps, band.values), **look, linewidth=2, marker=dot, markersize=5, zorder=3)
    axes.set_title(_text(panel.panel.title), fontsize=10)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _thinned(steps: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Return a line of no more points than can be seen."""
    kept = np.unique(np.linspace(0, len(steps) - 1, POINTS).astype(int)) if len(steps) > POINTS else slice(None)
    return steps[kept], values[kept]


def _text(text: str, most: int = 60) -> str:
    """Return a text that can be drawn; a name that begins with _ would be left out of a legend."""
    text = without_places(one_line(text, most))
    return f" {text}" if text.startswith("_") else text


def _style(theme: Theme) -> Any:  # noqa: ANN401 - matplotlib's names are a type of its own
    edges = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(edges, theme.ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.page),
        "axes.grid": True,
        "grid.color": theme.faint,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
        "text.parse_math": False,  # names may hold dollars
    }
