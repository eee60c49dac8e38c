"""`python -m benchmarks learners …`: what several learners cost, and whether they learn as single runs do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learners.alike import CELLS, LEARNERS, run_alike
from benchmarks.learners.costs import measure_costs
from benchmarks.learners.pictures import plot_alike, plot_costs
from benchmarks.peers.machine import facts
from benchmarks.records import RESULTS, typed, write


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks learners", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost", help="seconds a learner and a million steps, 1 to 64 learners, on one thread")
    cost.add_argument("--rounds", type=int, default=3, help="runs of each")
    cost.add_argument("--scale", type=float, default=1.0, help="of the numbers of steps")
    alike = commands.add_parser("alike", help="learners of one batch against single runs; what is missing is run")
    alike.add_argument("--learners", type=int, default=LEARNERS, help="of the batch, and single runs")
    alike.add_argument("--workers", type=int, default=2, help="processes side by side")
    drawn = commands.add_parser("plot", help="draw the pictures from what is there")
    for command in (cost, alike, drawn):
        command.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return top


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    command = typed("learners", arguments)
    if options.command == "cost":
        rows = measure_costs(options.rounds, options.scale)
        write("learners-cost", command, {"machine": facts(), "rows": rows}, indent=1, folder=options.out)
    elif options.command == "alike":
        for cell in run_alike(CELLS, options.learners, options.workers, options.out, command)["results"]:
            for what, found in cell["differences"].items():
                numbers = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
                print(f"{cell['agent']:14} {cell['env']:16} {what:8} {numbers}")
    for name, plot in (("cost", plot_costs), ("alike", plot_alike)):
        if (options.out / f"learners-{name}.json").exists():
            plot(options.out)
    return 0
