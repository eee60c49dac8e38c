"""`python -m benchmarks durability …`: list the cells, run them, write what was found as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.durability.cells import FULL, chosen
from benchmarks.durability.running import append, newest, read, run
from benchmarks.durability.table import good, listed, table
from benchmarks.peers.machine import PEERS, facts
from benchmarks.records import RESULTS, commit, typed


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks durability", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("cells", help="list the cells, and how often each has been run")
    running = commands.add_parser("run", help="run cells that have not been run as often; each is written at once")
    for command in (listing, running):
        command.add_argument(
            "--only", nargs="+", default=[], metavar="WORD", help="cells whose name holds all of these"
        )
    full = ", ".join(f"{fault} {count}" for fault, count in FULL.items())
    running.add_argument("--count", type=int, help=f"how often the fault happens, at most ({full})")
    running.add_argument("--again", action="store_true", help="also cells that have been run")
    running.add_argument("--peers", type=Path, default=PEERS, help="folder of the peers' virtual environment")
    written = commands.add_parser("table", help="write durability.md from what has been run")
    for command in (listing, running, written):
        command.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return top


def run_cells(options: argparse.Namespace, arguments: list[str]) -> bool:
    """Run cells, and append what is found to durability.jsonl; return whether none failed."""
    file = options.out / "durability.jsonl"
    done, fine = newest(read(file)), True
    for cell in chosen(options.only):
        count = min(FULL[cell.fault], options.count or FULL[cell.fault])
        if not options.again and cell.name in done and sum(done[cell.name]["found"].values()) >= count:
            continue
        try:
            record = run(cell, count, options.peers)
        except (RuntimeError, FileNotFoundError) as error:  # one side's failure is not the others'
            print(error, file=sys.stderr)
            fine = False
            continue
        if "not_run" in record:
            print(f"{cell.name}: not run, {record['not_run']}", flush=True)
            continue
        command = typed("durability", arguments)
        append(file, {"cell": cell.name, "command": command, "commit": commit(), "machine": facts()} | record)
        print(
            f"{cell.name}: {good(cell.fault, record['found'])} of {count} good ({listed(record['found'])})", flush=True
        )
    return fine


def main(arguments: list[str]) -> int:
    """Run the command; return 1 if a cell failed, 2 if there is none of the name."""
    options = parser().parse_args(arguments)
    found = newest(read(options.out / "durability.jsonl"))
    if options.command == "table":
        text = table(found)
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "durability.md").write_text(text)
        print(text)
        return 0
    if not chosen(options.only):
        print(f"--only: no cell's name holds {' and '.join(options.only)}: see `cells`", file=sys.stderr)
        return 2
    if options.command == "run":
        return 0 if run_cells(options, arguments) else 1
    for cell in chosen(options.only):
        times = sum(found[cell.name]["found"].values()) if cell.name in found else 0
        print(f"{cell.name:70} {times:4} of {FULL[cell.fault]}")
    return 0
