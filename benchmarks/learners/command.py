"""`python -m benchmarks learners …`: what several learners cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learners.costs import measure_costs
from benchmarks.learners.pictures import plot_costs
from benchmarks.peers.machine import facts
from benchmarks.records import RESULTS, typed, write


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks learners", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost", help="seconds a learner and a million steps, 1 to 64 learners, on one thread")
    cost.add_argument("--rounds", type=int, default=3, help="runs of each")
    cost.add_argument("--scale", type=float, default=1.0, help="of the numbers of steps")
    drawn = commands.add_parser("plot", help="draw the picture from what is there")
    for command in (cost, drawn):
        command.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return top


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    command = typed("learners", arguments)
    if options.command == "cost":
        rows = measure_costs(options.rounds, options.scale)
        write("learners-cost", command, {"machine": facts(), "rows": rows}, indent=1, folder=options.out)
    plot_costs(options.out)
    return 0
