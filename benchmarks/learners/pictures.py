"""The picture of what several learners cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

SIDES = {"ours": ("ours", "#00798c"), "floor": ("loop without abstractions", "#edae49")}


def plot_costs(folder: Path) -> None:
    """Draw seconds a learner and a million steps against the number of learners, a panel for each agent."""
    rows = json.loads((folder / "learners-cost.json").read_text())["rows"]
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    figure, grid = pyplot.subplots(
        1, len(agents), figsize=(4.6 * len(agents), 3.6), layout="constrained", squeeze=False
    )
    for axes, agent in zip(grid[0], agents, strict=True):
        draw_costs(axes, [row for row in rows if row["agent"] == agent])
        axes.set(title=agent)
    grid[0, 0].set_ylabel("seconds a learner and a million steps")
    figure.savefig(folder / "learners-cost.png", dpi=110)
    pyplot.close(figure)


def draw_costs(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw the costs of one agent: medians, the range over rounds, and our cost of learners one after the other."""
    for side, (label, colour) in SIDES.items():
        mine = [row for row in rows if row["side"] == side]
        counts = [row["learners"] for row in mine]
        axes.plot(counts, [row["seconds"] for row in mine], "o-", color=colour, label=label, markersize=4)
        low, high = ([extreme(row["each"]) for row in mine] for extreme in (min, max))
        axes.fill_between(counts, low, high, color=colour, alpha=0.2, linewidth=0)
    alone = next(row["seconds"] for row in rows if (row["side"], row["learners"]) == ("ours", 1))
    axes.axhline(alone, color="grey", linestyle="--", linewidth=1, label="ours one after the other")
    axes.set(xscale="log", yscale="log", xlabel="learners in one batch")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if min(low) / 2 < tick < 2 * alone]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.legend(fontsize=7)
