"""Writes what records say: pictures, and the tables and numbers between the markers of pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.suite.book import Account, Book, SourceError
from benchmarks.suite.overview import skeleton
from benchmarks.suite.pages import Fault, PageError, Place, filled, line_of
from benchmarks.suite.stamps import Stamp, drawn

DPI = 110


def report(book: Book, names: Sequence[str] = ()) -> list[Fault]:
    """Draw the pictures of the experiments named, and those that are older than their records; write all pages.

    Args:
        book: the pages, and what they say.
        names: of experiments; none: only what is older than its records is drawn.

    Returns:
        What could not be written.
    """
    faults = list(_draw(book, names))
    for page in book.pages:
        text = skeleton(book) if page == book.overview else page.read_text()
        written, wrong = said(book, page, text)
        faults += wrong.values()
        if not page.exists() or written != page.read_text():
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(written)
    return faults


def said(book: Book, page: Path, text: str) -> tuple[str, dict[str, Fault]]:
    """Return a page with what the records say between its markers, and what is wrong with these, by their names."""
    wrong: dict[str, Fault] = {}

    def render(place: Place) -> str | None:
        try:
            return book.content(place, page)
        except SourceError as error:
            wrong[place.name] = Fault(page.relative_to(book.root), line_of(text, place.start), str(error))
            return None

    try:
        return filled(text, render), wrong
    except PageError as error:
        return text, {"": Fault(page.relative_to(book.root), *error.args)}


def _draw(book: Book, names: Sequence[str]) -> Iterator[Fault]:
    """Draw pictures; yield those that could not be drawn, or do not say what they show."""
    of = [(stamp.experiment, stamp.records) for stamp in drawn(book.results).values()]
    for name in book.names:
        account = book[name]
        older = {records for experiment, records in of if experiment == name} != {account.fingerprint}
        if not account.records or not (older or name in names):
            continue
        try:
            yield from (_fault(account, problem) for problem in draw(account, book.results))
        except SourceError as error:
            yield _fault(account, str(error))


def _fault(account: Account, problem: str) -> Fault:
    return Fault(Path(account.experiment.source.replace(".", "/") + ".py"), 1, problem)


def draw(account: Account, folder: Path) -> list[str]:
    """Draw an experiment's pictures into a folder, delete those that it draws no more; return what they do not say."""
    from benchmarks.suite.pictures import unclear

    figures, problems, kept = account.figures(), [], set()
    for key, figure in figures.items():
        path = folder / (f"{account.experiment.name}-{key}.png" if key else f"{account.experiment.name}.png")
        problems += [f"{path.name}: {problem}" for problem in unclear(figure)]
        stamp = Stamp(account.experiment.name, key, figure.get_suptitle(), account.fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI, metadata=stamp.metadata())
        kept.add(path)
    for path, stamp in drawn(folder).items():
        if stamp.experiment == account.experiment.name and path not in kept:
            path.unlink()
    return problems
