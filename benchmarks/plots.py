"""Draws pictures from the files in results/."""

from __future__ import annotations

import json
from typing import Any

import matplotlib
import numpy as np

from benchmarks.experiments import iqm
from benchmarks.records import RESULTS

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

COLOURS = {
    "reinforce": "#d1495b",
    "reinforce-baseline": "#00798c",
    "actor-critic": "#edae49",
    "ppo": "#30638e",
    "ppo with a GRU": "#d17a22",
    "ppo; flattened": "#2e933c",
    "trpo": "#8e5ea2",
    "npg": "#c77dff",
    "a2c": "#6b705c",
    "grpo": "#2e933c",
    "rloo": "#edae49",
}
BANDITS = ("#00798c", "#d1495b", "#2e933c")


def read(name: str) -> dict[str, Any]:
    """Return the contents of results/`name`.json."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def plot_bandits() -> None:
    """Draw figures 1 and 2: π(0) over pulls, median and bands over learners, and the scores of figure 1."""
    bandits = read("bandits")
    figure, (one, scores, two) = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    pulls = np.arange(bandits["pulls"] / bandits["every"] + 1) * bandits["every"]
    for axes, titles in ((one, list(bandits["settings"])[:1]), (two, list(bandits["settings"])[1:])):
        for title in titles:
            draw_quantiles(
                axes, pulls, bandits["settings"][title], title, BANDITS[list(bandits["settings"]).index(title)]
            )
        axes.set(ylim=(0, 1), xlabel="pulls", ylabel="π(0), the better arm")
        axes.legend(loc="lower right", fontsize=8)
    first = bandits["settings"][list(bandits["settings"])[0]]
    for arm, values in enumerate(first["scores"]):
        scores.plot(pulls, values, color=BANDITS[arm], label=f"θ of arm {arm}, mean")
    scores.set(xlabel="pulls", title="Figure 1: scores")
    scores.legend(fontsize=8)
    one.set_title("Figure 1: probability of the better arm")
    two.set_title("Figure 2: without and with a baseline")
    figure.suptitle(f"{bandits['learners']} independent learners: median, 25–75 % and 10–90 %")
    figure.savefig(RESULTS / "bandits.png", dpi=110)


def by_environment(results: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the cells of each environment, in the order of their first ones."""
    panels: dict[str, list[dict[str, Any]]] = {}
    for cell in results:
        panels.setdefault(cell["env"], []).append(cell)
    return list(panels.values())


def draw_quantiles(axes: Axes, pulls: np.ndarray, setting: dict[str, Any], title: str, colour: str) -> None:
    """Draw the median and two bands."""
    low, lower, median, upper, high = np.array(setting["quantiles"])
    axes.fill_between(pulls, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.fill_between(pulls, lower, upper, color=colour, alpha=0.25, linewidth=0)
    axes.plot(pulls, median, color=colour, label=title.split(": ")[1])


def label_of(cell: dict[str, Any]) -> str:
    """Return an agent's name, with what tells it from the same agent beside it."""
    flat = "; flattened" if "FlattenObservation" in cell.get("wrappers", ()) else ""
    return cell["agent"] + (" with a GRU" if "recurrent" in cell["arguments"] else "") + flat


def draw_curves(axes: Axes, results: list[dict[str, Any]]) -> None:
    """Draw the training return of the agents in one environment: interquartile mean and range over seeds."""
    for cell in results:
        curves = [np.array(run["curve"]) for run in cell["runs"]]
        steps = np.linspace(max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves), 150)
        values = np.stack([np.interp(steps, c[:, 0], c[:, 1]) for c in curves])
        label = label_of(cell)
        colour = COLOURS[label]
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.plot(steps, [iqm(list(column)) for column in values.T], color=colour, label=label)
    for name, style in (("optimal", "--"), ("memoryless", "-."), ("random", ":")):
        if results[0].get(name) is not None:
            axes.axhline(results[0][name], color="grey", linestyle=style, linewidth=1, label=f"{name} policy")
    axes.set(title=results[0]["env"], xlabel="environment steps")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f} k")
    axes.legend(fontsize=7)


def plot_learning() -> None:
    """Draw the learning curves of every environment that was run, a panel each."""
    panels = by_environment([cell for name in ("cartpole", "tabular", "recall") for cell in read(name)["results"]])
    figure, grid = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.4), layout="constrained")
    for axes, results in zip(grid, panels, strict=True):
        draw_curves(axes, results)
    grid[0].set_ylabel("mean return of the last 100 episodes")
    figure.savefig(RESULTS / "learning.png", dpi=110)


def draw_ends(axes: Axes, results: list[dict[str, Any]]) -> None:
    """Draw each seed's evaluation at the end."""
    for cell in results:
        ends, scores = zip(*((one["total_steps"], one["after"]) for one in cell["runs"]), strict=True)
        axes.plot(ends, scores, ".", color=COLOURS[label_of(cell)], markersize=7)


def plot_control() -> None:
    """Draw the learning curves of the tuned agents, their evaluations at the end, and the scores to compare with."""
    panels = by_environment(read("control")["results"])
    figure, grid = pyplot.subplots(2, -(-len(panels) // 2), figsize=(15, 7), layout="constrained")
    for axes, results in zip(grid.flat, panels, strict=False):
        draw_curves(axes, results)
        draw_ends(axes, results)
        for asked in sorted({cell["asked"] for cell in results}):
            axes.axhline(asked, color="grey", linestyle="--", linewidth=1, label=f"asked, {asked:g}")
        axes.legend(fontsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel("mean return of 100 episodes")
    figure.savefig(RESULTS / "control.png", dpi=110)


def plot_tokens() -> None:
    """Draw the learning curves of transformers that begin at random, and their greedy scores at the end."""
    panels = by_environment(read("tokens")["results"])
    figure, grid = pyplot.subplots(
        1, len(panels), figsize=(3.4 * len(panels), 3.4), layout="constrained", sharey=True, squeeze=False
    )
    for axes, results in zip(grid[0], panels, strict=True):
        draw_curves(axes, results)
        draw_ends(axes, results)
        axes.axhline(0.95, color="grey", linestyle="-.", linewidth=1, label="0.95")
        axes.set(xlabel="tokens", ylim=(0, 1.03))
        axes.legend(fontsize=7, loc="lower right")
    grid[0, 0].set_ylabel("mean score of the last 100 texts")
    figure.savefig(RESULTS / "tokens.png", dpi=110)


def plot_overview() -> None:
    """Draw the README's picture: a bandit, an MDP, token generation and CartPole."""
    bandits = read("bandits")
    figure, (one, two, three, four) = pyplot.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
    pulls = np.arange(bandits["pulls"] / bandits["every"] + 1) * bandits["every"]
    for colour, title in list(zip(BANDITS, bandits["settings"], strict=True))[1:]:
        draw_quantiles(one, pulls, bandits["settings"][title], title, colour)
    one.set(ylim=(0, 1), xlabel="pulls", ylabel="π(better arm)", title="two-armed bandit, p = (0.96, 0.94)")
    one.legend(fontsize=7, loc="lower right")
    choices = (("tabular", "FrozenLake-v1"), ("tokens", "pg/Reverse-v0"), ("cartpole", "CartPole-v1"))
    for axes, (name, env) in zip((two, three, four), choices, strict=True):
        draw_curves(axes, [cell for cell in read(name)["results"] if cell["env"] == env])
    two.set_ylabel("mean return of 100 episodes")
    figure.savefig(RESULTS / "overview.png", dpi=110)
