"""Pages in Markdown: what stands between their markers, and which of their tables are measured.

A table or a picture stands between `<!-- benchmarks: NAME -->` and `<!-- /benchmarks -->`, a number in a sentence
between `<!--{{NAME/KEY}}-->` and `<!--/-->`. Markers in code are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^(?P<fence>```|~~~)(?P<language>[^\n]*)\n(?P<content>.*?)^(?P=fence)[ \t]*$", re.M | re.S)
CODE = re.compile(BLOCK.pattern + r"|`[^`\n]+`", re.M | re.S)
TEXTS = ("", "text", "console")  # languages of blocks that may be results
NUMBER = re.compile(r"(?<![\w.])[-−~±]?\d[\d.,]*(?!\w)")
MARKER = re.compile(
    r"<!-- benchmarks: (?P<block>\S+) -->|(?P<end>[ \t]*<!-- /benchmarks -->)"
    r"|<!--\{\{(?P<number>[^{}\s]+)\}\}-->|(?P<stop><!--/-->)"
)
NOT_MEASURED = "<!-- not measured -->"
OPENING, CLOSING = ("block", "number"), {"end": "block", "stop": "number"}
CLOSED_BY = {"block": "<!-- /benchmarks -->", "number": "<!--/-->"}
NUMBERS_OF_A_RESULT = 2  # in each of as many lines of a block of text, to be a table of results
LINES_OF_RESULTS = 3


@dataclass(frozen=True)
class Fault:
    """Something on a page, or a file, that is not as it should be."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class PageError(Exception):
    """A page whose markers do not pair: its first argument is the line."""


@dataclass(frozen=True)
class Place:
    """What stands between a pair of markers: `text[start:end]` of its page."""

    kind: str
    """ "block", or "number" in a sentence."""
    name: str
    start: int
    end: int


def without_code(text: str) -> str:
    """Return a page with blanks where code stands, each line where it was."""
    return CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def line_of(text: str, position: int) -> int:
    """Return the line of a position, from 1."""
    return text.count("\n", 0, position) + 1


def places(text: str) -> list[Place]:
    """Return what stands between markers, in order.

    Raises:
        PageError: a marker is not closed, or closes nothing.
    """
    found, opened = [], None
    for marker in MARKER.finditer(without_code(text)):
        kind = marker.lastgroup or ""
        if kind in OPENING:
            if opened:
                raise _unclosed(text, opened)
            opened = marker
        elif opened and opened.lastgroup == CLOSING[kind]:
            found.append(Place(CLOSING[kind], opened[CLOSING[kind]], opened.end(), marker.start()))
            opened = None
        else:
            raise PageError(line_of(text, marker.start()), f"{marker[0].strip()} closes nothing")
    if opened:
        raise _unclosed(text, opened)
    return found


def _unclosed(text: str, opened: re.Match[str]) -> PageError:
    closing = CLOSED_BY[opened.lastgroup or ""]
    return PageError(line_of(text, opened.start()), f"{opened[0]} is not closed by {closing}")


def filled(text: str, render: Callable[[Place], str | None]) -> str:
    """Return a page with what `render` says between its markers; None: what stands there.

    A block stands on lines of its own, a number as it is.
    """
    for place in reversed(places(text)):
        content = render(place)
        if content is not None:
            text = text[: place.start] + framed(place, content) + text[place.end :]
    return text


def framed(place: Place, content: str) -> str:
    """Return what stands between the markers of a place: a block has an empty line on either side."""
    return f"\n\n{content.strip()}\n\n" if place.kind == "block" else content


def tables(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, why it is one) of every table with numbers that stands outside markers, unless a mark is above it.

    Such a table is one in Markdown with a digit in a cell below its head, outside of code; one in HTML; or three lines
    one after the other in a block of text, with two numbers or more in each. `<!-- not measured -->` stands above the
    one table that it is about.
    """
    inside = set[int]()
    for place in places(text):
        inside |= set(range(line_of(text, place.start), line_of(text, place.end) + 1))
    yield from (
        (line, why)
        for line, why in sorted([*_of_markdown(text), *_of_text(text)])
        if line not in inside and _above(text, line) != NOT_MEASURED
    )


def _above(text: str, line: int) -> str:
    """Return the last line with something in it above a line."""
    above = [other.strip() for other in text.splitlines()[: line - 1]]
    return next((other for other in reversed(above) if other), "")


def _of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line of every table in Markdown or HTML that has numbers."""
    lines = without_code(text).splitlines()
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*<table\b", line):
            yield number, "a table in HTML"
        if not re.fullmatch(r"\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?)?\s*", line) or number < 2:
            continue
        body = []
        for row in lines[number:]:
            if "|" not in row:
                break
            body.append(row)
        if any(re.search(r"\d", re.sub(r"\]\([^)]*\)", "]", row)) for row in body):
            yield number - 1, "a table with numbers"


def _of_text(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line of every block of text that is a table of numbers."""
    for block in BLOCK.finditer(text):
        if block["language"].strip() not in TEXTS:
            continue
        run = 0
        for line in block["content"].splitlines():
            run = run + 1 if len(NUMBER.findall(line)) >= NUMBERS_OF_A_RESULT else 0
            if run >= LINES_OF_RESULTS:
                yield line_of(text, block.start()), "a table of numbers in a block of text"
                break
