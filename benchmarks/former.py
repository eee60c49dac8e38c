"""Commands of experiments that the one runner does not run yet: an entry goes with the experiment's move.

`python -m benchmarks NAME …` runs the experiments named and draws what they found.

`python -m benchmarks peers …` runs peers and us in turns: see benchmarks/peers. `… tricks` measures what each trick of
`pg_agents._fast` saves: see benchmarks/tricks. `… decoding` times how a pretrained language model generates: see
benchmarks/decoding.py. `… pong` plays Pong for as long as there is time: see benchmarks/pong.py. `… intervals` counts
how often intervals hold what they are to hold: see benchmarks/intervals.py. `… learners` measures what several learners
cost: see benchmarks/learners.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module

from benchmarks.continuing import plot_continuing, run_continuing
from benchmarks.control import run_control
from benchmarks.experiments import EXPERIMENTS, run_all
from benchmarks.figures import run_figures
from benchmarks.pixels import plot_pixels, run_pixels
from benchmarks.plots import plot_bandits, plot_control, plot_learning, plot_overview, plot_tokens
from benchmarks.tokens import markdown, run_tokens


def report_continuing() -> None:
    """Run agents of the average reward and print how near they came to the optimum."""
    for cell in run_continuing()["results"]:
        worst = min(one["share_of_optimum"] for one in cell["runs"])
        error = max(abs(one["estimate_over_gain"] - 1) for one in cell["runs"])
        print(f"{cell['env']:20} worst gain {worst:.2%} of the optimum, worst error of λ {error:.2%}")


def report_control() -> None:
    """Run the tuned agents and print their scores beside those that were asked."""
    for cell in run_control()["results"]:
        print(f"{cell['agent']:5} {cell['env']:26} {cell['iqm']:9.1f} (IQM), asked {cell['asked']:g}")


def report_pixels() -> None:
    """Run agents on pictures and print what they return beside the optimum and a random policy."""
    for cell in run_pixels()["results"]:
        beside = f"worst {cell['worst']:.1%} of the optimum, random {cell['random']:.3f}"
        print(f"{cell['agent']:5} {cell['env']:26} {cell['iqm']:7.3f} (IQM), {beside}")


def report_tokens() -> None:
    """Train transformers that begin at random and print the README's table of what they write afterwards."""
    for row in markdown(run_tokens()["results"]):
        print(row)


def report_experiment(name: str) -> None:
    """Run an experiment and print the returns before and after."""
    for cell in run_all(name)["results"]:
        before = sum(one["before"] for one in cell["runs"]) / len(cell["runs"])
        print(f"{cell['agent']:20} {cell['env']:16} {before:8.3f} → {cell['iqm']:8.3f} (IQM)")


REPORTS: dict[str, Callable[[], object]] = {
    "bandits": run_figures,
    **{name: partial(report_experiment, name) for name in EXPERIMENTS},
    "tokens": report_tokens,
    "continuing": report_continuing,
    "control": report_control,
    "pixels": report_pixels,
}
COMMANDS = {  # with arguments of their own; imported where they are asked for, as some need the extra `llm`
    "peers": "benchmarks.peers.command",
    "tricks": "benchmarks.tricks.command",
    "decoding": "benchmarks.decoding",
    "pong": "benchmarks.pong",
    "learners": "benchmarks.learners.command",
    "intervals": "benchmarks.intervals",
}
PLOTS = {
    "bandits": plot_bandits,
    "learning": plot_learning,
    "overview": plot_overview,
    "continuing": plot_continuing,
    "control": plot_control,
    "pixels": plot_pixels,
    "tokens": plot_tokens,
}


NAMES = (*REPORTS, *COMMANDS, "plots")


def main(names: list[str]) -> int:
    """Run the experiments `names` and draw all pictures; "plots" draws them from what is there."""
    if names and names[0] in COMMANDS:
        return import_module(COMMANDS[names[0]]).main(names[1:])
    unknown = [name for name in names if name not in (*REPORTS, "plots")]
    if unknown:
        print(f"unknown experiment {unknown[0]!r}: choose from {', '.join((*REPORTS, 'plots'))}", file=sys.stderr)
        return 2
    for name in names:
        started = time.perf_counter()
        REPORTS.get(name, lambda: None)()
        print(f"{name}: {time.perf_counter() - started:.0f} s")
    for plot in PLOTS.values():
        plot()
    return 0
