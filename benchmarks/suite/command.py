"""`python -m benchmarks list` and `run`: what is typed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite import on_this_machine
from benchmarks.suite.listing import listed
from benchmarks.suite.provenance import CHANGES, commit, typed
from benchmarks.suite.runner import Backend, run
from benchmarks.suite.selection import choose
from pg_agents.cli.seed_list import seeds_typed
from pg_agents.errors import UserError
from pg_agents.extras import install_line

OUT = Path("benchmark-results")


def add_list(commands: argparse._SubParsersAction) -> None:
    """Add the command `list`."""
    about = "Show groups, experiments, their questions, cells and seeds, and which are measured."
    parser = commands.add_parser("list", help="show experiments and what of them is measured", description=about)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of experiments or suites, whose cells are shown, too")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results ({OUT})")
    parser.set_defaults(work=lambda options, _: print("\n".join(listed(options.names, options.out))) or 0)


def add_run(commands: argparse._SubParsersAction) -> None:
    """Add the command `run`."""
    about = "Measure what has no good record yet. Interrupted or killed, the same command goes on."
    parser = commands.add_parser("run", help="measure cells that have no result yet", description=about)
    parser.add_argument("names", nargs="+", metavar="NAME", help="a suite, an experiment, or a file: .toml, .py")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help='cells, as "ppo*"; repeatable')
    parser.add_argument("--seeds", metavar="N|LIST", help="so many seeds from 0 (10), or which (3,5,9)")
    parser.add_argument("--jobs", type=_count, help="tasks at a time (1; ray: all the cluster can); timings run alone")
    parser.add_argument("--backend", choices=("joblib", "ray"), default="joblib", help="this machine, or a Ray cluster")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="of the cluster (the variable RAY_ADDRESS)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results and run.log ({OUT})")
    parser.add_argument("--publish", action="store_true", help="results go to benchmarks/results, those in --out too")
    parser.set_defaults(work=_run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Carry `run` out; return 1 where a task failed.

    Raises:
        UserError: what is typed cannot be carried out; nothing has been measured.
    """
    if options.publish and (now := commit()).endswith(CHANGES):
        before = now.removesuffix(CHANGES)
        raise UserError(f"publish: files differ from {before}, the commit of the records; commit them")
    chosen = choose(options.names, options.only, seeds_typed(options.seeds, None))
    for one in chosen:
        for cell in one.cells if one.experiment.check else ():
            one.experiment.check(cell)
    backend = _backend(options.backend, options.ray_address)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: {str(options.out)!r} cannot be a folder ({error.strerror}); give another") from error
    failed = run(chosen, backend, options.jobs, options.out, typed("", arguments), publish=options.publish)
    return int(failed > 0)


def _backend(name: str, address: str | None) -> Backend:
    """Return what carries tasks out.

    Raises:
        UserError: Ray is not installed, or an address has no effect.
    """
    if name == "joblib":
        if address is not None:
            raise UserError("ray-address has no effect without --backend ray; add it, or leave the address out")
        return on_this_machine.carry_out
    try:
        from benchmarks.suite.on_ray import cluster
    except ModuleNotFoundError as error:
        raise UserError(f"backend: ray needs {error.name!r}: {install_line('ray')}") from error
    return cluster(address)
