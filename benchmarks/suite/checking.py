"""Checks without drawing that pages and pictures are what records say, and that nothing stands beside them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from pathlib import Path

from benchmarks.suite.book import Book
from benchmarks.suite.overview import skeleton
from benchmarks.suite.pages import Fault, PageError, line_of, places, tables, without_code
from benchmarks.suite.reporting import said
from benchmarks.suite.stamps import drawn

LINK = re.compile(r"\]\(([^)#\s]+)")
SHOWN = 70  # characters of a line
WRITE = "run `python -m benchmarks report`"


def faults(book: Book) -> Iterator[Fault]:
    """Yield all that is wrong: in the pages, by their lines, then in the pictures and the files of results."""
    for page in book.pages:
        yield from _of_page(book, page)
    yield from _of_pictures(book)
    yield from _unreached(book)


def _of_page(book: Book, page: Path) -> Iterator[Fault]:
    where = page.relative_to(book.root)
    text = page.read_text() if page.exists() else ""
    try:
        outside = list(tables(text))
    except PageError as error:
        yield Fault(where, *error.args)
        return
    for line, why in outside:
        mark = "<!-- not measured -->"
        yield Fault(where, line, f"{why} outside markers: let an experiment write it, or put {mark} above it")
    written, wrong = said(book, page, skeleton(book) if page == book.overview else text)
    yield from wrong.values()
    yield from _differences(where, text, written, wrong)


def _differences(where: Path, text: str, written: str, unknown: Container[str]) -> Iterator[Fault]:
    """Yield the first line of each place that is not what the records say, but of those that none is known of."""
    if text == written:
        return
    pairs = list(zip(places(text), places(written), strict=False))
    if [one.name for one, _ in pairs] != [other.name for _, other in pairs] or len(places(text)) != len(pairs):
        yield _difference(where, "the page", text, written, 0)
        return
    same = True
    for one, other in pairs:
        stands, is_to_stand = text[one.start : one.end], written[other.start : other.end]
        if stands != is_to_stand:
            same = False
        if stands != is_to_stand and one.name not in unknown:
            yield _difference(where, one.name, stands, is_to_stand, line_of(text, one.start) - 1)
    if same:
        yield _difference(where, "the page", text, written, 0)


def _difference(where: Path, name: str, stands: str, is_to_stand: str, before: int) -> Fault:
    """Return where two texts differ first."""
    theirs, ours = stands.split("\n"), is_to_stand.split("\n")
    same = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(theirs), len(ours)) if same is None else same
    found, due = ((lines[at][:SHOWN] if at < len(lines) else "") for lines in (theirs, ours))
    message = f"{name} is not what its records say: {found!r} stands where {due!r} should; {WRITE}"
    return Fault(where, before + at + 1, message)


def _of_pictures(book: Book) -> Iterator[Fault]:
    """Yield pictures that are older than their records."""
    for path, stamp in drawn(book.results).items():
        where = path.relative_to(book.root)
        if stamp.experiment not in book.names:
            yield Fault(where, 1, f"is of {stamp.experiment!r}, which is no experiment: delete it")
        elif book[stamp.experiment].fingerprint != stamp.records:
            yield Fault(where, 1, f"was drawn from other records than {stamp.experiment} has now; {WRITE}")


def _unreached(book: Book) -> Iterator[Fault]:
    """Yield results that no page leads to."""
    reached = set().union(*(_reached(book, page) for page in book.pages if page.exists()))
    for path in sorted({*book.results.iterdir(), *reached}):
        where = path.relative_to(book.root)
        if path not in reached:
            yield Fault(where, 1, "no page leads to it: delete it, or let a page link it or show its experiment")
        elif not path.exists() and path.suffix != ".jsonl":
            yield Fault(where, 1, "a page leads to it, and it is not there: delete the link")


def _reached(book: Book, page: Path) -> set[Path]:
    """Return the files that a page links, and the records of what its markers name."""
    text = page.read_text()
    linked = {(page.parent / link).resolve() for link in LINK.findall(without_code(text))}
    try:
        named = {place.name.partition("/")[0] for place in places(text)}
    except PageError:
        named = set()
    within = {path for path in linked if book.results in path.parents}
    return within | {book.results / f"{name}.jsonl" for name in named if name in book.names}
