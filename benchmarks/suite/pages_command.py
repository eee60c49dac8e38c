"""`python -m benchmarks report` and `check`: what is typed."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.suite.book import Account, Book, SourceError
from benchmarks.suite.checking import faults
from benchmarks.suite.finding import find
from benchmarks.suite.pages import Fault
from benchmarks.suite.records import read
from benchmarks.suite.reporting import draw, report
from benchmarks.suite.selection import choose
from benchmarks.suite.stamps import drawn
from pg_agents.errors import UserError


def add_report(commands: argparse._SubParsersAction) -> None:
    """Add the command `report`."""
    about = (
        "Write tables, numbers and pictures from records: those in benchmarks/results into README.md, benchmarks/ and "
        "docs/; with --out, those in a folder into a page beside them."
    )
    parser = commands.add_parser("report", help="write tables and pictures from records", description=about)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="whose pictures are drawn again (those with new records)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of results that are not published; NAME.md and pictures go there"
    )
    parser.set_defaults(work=lambda options, _: _report(options))


def add_check(commands: argparse._SubParsersAction) -> None:
    """Add the command `check`."""
    about = "Fail where a page or a picture is not what the records in benchmarks/results say, or stands beside them."
    parser = commands.add_parser("check", help="compare pages and pictures with the records", description=about)
    parser.set_defaults(work=lambda options, _: _check(Book()))


def _report(options: argparse.Namespace) -> int:
    """Carry `report` out; return 1 where something cannot be said.

    Raises:
        UserError: nothing can be said of what is named.
    """
    chosen = [one.experiment for one in choose(options.names or list(find() if options.out else ()))]
    if options.out is None:
        if strange := [one.name for one in chosen if one.name not in find()]:
            raise UserError(f"report: no page of the suite shows {strange[0]!r}; add --out and its folder")
        return _told(report(Book(), [one.name for one in chosen]))
    records = {one.name: one.current(read(options.out / f"{one.name}.jsonl")) for one in chosen}
    if not any(records.values()):
        raise UserError(f"out: there are no records of it in {str(options.out)!r}; give the folder that `run` wrote to")
    accounts = [Account(one, records[one.name]) for one in chosen if records[one.name]]
    return _told([problem for account in accounts for problem in written_beside(account, options.out)])


def written_beside(account: Account, folder: Path) -> list[Fault]:
    """Write a page of one experiment, and its pictures, beside its records; return what is wrong with them."""
    page = folder / f"{account.experiment.name}.md"
    try:
        problems = draw(account, folder)
        tables = [account.table()] if account.has_table else []
    except SourceError as error:
        return [Fault(page, 1, str(error))]
    pictures = [
        f"![{stamp.title}]({path.name})"
        for path, stamp in drawn(folder).items()
        if stamp.experiment == account.experiment.name
    ]
    page.write_text("\n\n".join([f"# {account.experiment.name}", account.about, *tables, *pictures]) + "\n")
    print(page)
    return [Fault(page, 1, problem) for problem in problems]


def _check(book: Book) -> int:
    return _told(list(faults(book)))


def _told(found: list[Fault]) -> int:
    """Print what is wrong; return the exit code."""
    for fault in found:
        print(fault)
    return int(bool(found))
