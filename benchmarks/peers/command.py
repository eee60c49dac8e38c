"""`python -m benchmarks peers …`: install the peers, run workloads, measure costs and options, profile, draw."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.compare import compare
from benchmarks.peers.costs import measure_costs
from benchmarks.peers.machine import PEERS, facts, install
from benchmarks.peers.options import measure_options
from benchmarks.peers.pictures import plot_peers
from benchmarks.peers.profiling import profile
from benchmarks.peers.workloads import WORKLOADS
from benchmarks.records import RESULTS, commit, typed


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    made = commands.add_parser("install", help="make the peers' virtual environment")
    run = commands.add_parser("run", help="run workloads, sides in turns")
    run.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; none: all")
    run.add_argument("--rounds", type=int, help="runs of each side, one a seed (the workload's own number)")
    run.add_argument("--sides", nargs="+", help="only these")
    run.add_argument("--steps", type=int, help="environment steps of a run (the workload's own number)")
    for command in (made, run):
        command.add_argument("--peers", type=Path, default=PEERS, help="folder of the peers' virtual environment")
    costs = commands.add_parser("costs", help="cost against steps and environments, memory over a long run")
    costs.add_argument("--scale", type=float, default=1.0, help="of the numbers of steps")
    options = commands.add_parser("options", help="what torch.compile, a second thread and a GPU change")
    profiled = commands.add_parser("profile", help="where the time of one iteration goes")
    profiled.add_argument("--name", default="now", help="of the profile: before, after, …")
    profiled.add_argument("--iterations", type=int, default=60)
    drawn = commands.add_parser("plot", help="draw the picture from what is there")
    for command in (run, costs, options, profiled, drawn):
        command.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return top


def store(folder: Path, name: str, arguments: list[str], content: dict[str, Any]) -> None:
    """Write a result as JSON, with the command it comes from and what it depends on."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"command": typed("peers", arguments), "commit": commit(), "machine": facts()} | content
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def run_workload(name: str, options: argparse.Namespace, arguments: list[str]) -> bool:
    """Run one workload, print and store the result; return whether it is as fast as asked."""
    workload = WORKLOADS[name]
    print(f"{name}: {workload.title}")
    overrides = {} if options.steps is None else {"total_steps": options.steps}
    seeds = range(options.rounds or workload.rounds)
    found = compare(workload, peers=options.peers, seeds=seeds, sides=options.sides, overrides=overrides)
    for side, row in found["medians"].items():
        print(f"  {side:23} {row['steps_per_second']:9,.0f} steps/s, a core {row['steps_per_second_and_core']:9,.0f}")
    for row in found["ratios"]:
        asked = f"asked: {row['at_least']:g} ×, {'met' if row['met'] else 'NOT MET'}" if row["at_least"] else ""
        print(
            f"  {workload.subject} is {row['median']:.2f} × as fast as {row['over']} "
            f"(of medians {row['of_medians']:.2f}, by processor time {row['of_processor_time']:.2f})  {asked}"
        )
    for row in found["memory"]:
        asked = f"asked: {row['at_most']:g} × at most, {'met' if row['met'] else 'NOT MET'}"
        print(f"  {workload.subject} holds {row['times']:.2f} × the memory of {row['over']} at its peak  {asked}")
    if found["steps_per_second"]:
        asked = found["steps_per_second"]
        print(f"  asked: {asked['at_least']:,.0f} steps/s, {'met' if asked['met'] else 'NOT MET'}")
    kept = {"workload": name, "title": workload.title, "subject": workload.subject, "by_time": workload.by_time}
    settings = {side: workload.settings | workload.sides[side].settings | overrides for side in found["runs"]}
    store(options.out, f"peers-{name}", arguments, kept | {"settings": settings} | found)
    absolute = found["steps_per_second"]
    return all(row["met"] for row in found["ratios"] + found["memory"]) and (absolute is None or absolute["met"])


def main(arguments: list[str]) -> int:
    """Run the command; return 1 if a workload is not as fast as asked, 2 if its name is unknown."""
    options = parser().parse_args(arguments)
    started, good = time.perf_counter(), True
    if options.command == "install":
        install(options.peers)
    elif options.command == "run":
        unknown = [name for name in options.workloads if name not in WORKLOADS]
        if unknown:
            print(f"unknown workload {unknown[0]!r}: choose from {', '.join(WORKLOADS)}", file=sys.stderr)
            return 2
        for name in options.workloads or WORKLOADS:
            try:
                good = run_workload(name, options, arguments) and good
            except (RuntimeError, FileNotFoundError) as error:  # one side's failure is not the others'
                print(error, file=sys.stderr)
                good = False
        plot_peers(options.out)
    elif options.command == "costs":
        store(options.out, "peers-costs", arguments, measure_costs(options.scale))
    elif options.command == "options":
        store(options.out, "peers-options", arguments, measure_options())
    elif options.command == "profile":
        store(options.out, f"profile-{options.name}", arguments, profile(options.name, options.iterations, options.out))
    else:
        plot_peers(options.out)
    print(f"peers {options.command}: {time.perf_counter() - started:.0f} s")
    return 0 if good else 1
