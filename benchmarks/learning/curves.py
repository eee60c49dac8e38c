"""Pictures of learning: curves with bands over seeds, what is known, and each seed's evaluation at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.learning.protocol import Cell, Result
from benchmarks.learning.scores import agent_of, known, short
from benchmarks.suite.pictures import BANDS, colours_of, count_in_thousands, draw_curves, draw_level, panels
from benchmarks.suite.tables import Measured, by_cell, results

MANY = 5  # lines beside which a legend has room within the panel
LOW, HIGH = 3.3, 4.3  # of a panel, inches, without and with a legend below
LEVELS = {
    "optimal": ("best policy", "--"),
    "memoryless": ("best without memory", "-."),
    "random": ("random policy", ":"),
}


def plot(
    cells: Sequence[Cell], records: Iterable[Measured], title: str, *, steps: str = "environment steps"
) -> Figure | None:
    """Draw a panel an environment, with the training returns of its agents; None if nothing has been run.

    Args:
        cells: of the experiment.
        records: of its runs.
        title: of the picture.
        steps: what is counted on the horizontal axes.
    """
    found = by_cell(records)
    environments = by_environment([cell for cell in cells if results(found.get(cell.name, {}))])
    figure = None
    high = HIGH if any(len(some) > MANY - len(LEVELS) for some in environments.values()) else LOW
    heading = f"{title}\n{BANDS}; dots: greedy evaluations"
    drawn = panels(len(environments), heading, size=(3.9, high)) if environments else ()
    for axes, some in zip(drawn, environments.values(), strict=True):
        figure = axes.figure
        colours = colours_of([agent_of(cell) for cell in some])
        for cell in some:
            draw_agent(axes, agent_of(cell), results(found[cell.name]), colours[agent_of(cell)])
        for name, (label, style) in LEVELS.items():
            draw_level(
                axes,
                next((value for c in some if (value := known(found[c.name], name)) is not None), None),
                label,
                style,
            )
        finish(axes, short(some[0].env), steps)
    assert figure is None or isinstance(figure, Figure)
    return figure


def by_environment(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return the cells of each environment, in the order of their first ones."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.env, []).append(cell)
    return found


def draw_agent(axes: Axes, label: str, runs: Sequence[Result], colour: str) -> None:
    """Draw the curves of an agent's runs and, as dots, their evaluations."""
    curves = [[(float(step), float(value)) for step, value in run["curve"]] for run in runs if len(run["curve"]) > 1]
    if curves:
        draw_curves(axes, curves, label, colour=colour)
    ends = [(run["steps"], run["score"]) for run in runs]
    axes.plot(*zip(*ends, strict=True), ".", color=colour, markersize=6, label=f"_{label}")


def finish(axes: Axes, title: str, steps: str) -> None:
    """Name a panel, its axes and its lines: below it where they are many, whose bands are fainter."""
    axes.set(title=title, xlabel=steps, ylabel="mean return of 100 training episodes")
    count_in_thousands(axes)
    if len(axes.get_legend_handles_labels()[1]) <= MANY:
        axes.legend(fontsize=6)
        return
    axes.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=6, ncols=2)
    for band in axes.collections:
        band.set_alpha(0.09)
