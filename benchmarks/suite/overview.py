"""The page of all experiments, docs/benchmarks.md, with places for what `report` fills in."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.suite.book import Book
from benchmarks.suite.finding import GROUPS
from benchmarks.suite.stamps import drawn
from benchmarks.suites import SUITES

TITLES = {
    "learning": "What agents learn",
    "correctness": "Whether it is right",
    "speed": "How fast it is",
    "language": "Language models",
    "durability": "What faults leave",
}
HEAD = """\
# Benchmarks

All experiments, with what they measured. `python -m benchmarks report` writes this page; below each table stand the
command that measured it, the commit, the machine, how many seeds there are, and what is missing or failed.
[How they are made and run](../benchmarks/README.md).

Scores of agents, unless a section says otherwise: the mean return of the greedy policy after its last update, over
100 episodes or more in fresh environments; higher is better. "Untrained" is that of samples of the policy before it
has learned anything. The IQM is the interquartile mean over runs, one run a seed. Means over episodes have luck in
them: a score may be above the best policy's expected return, and agents that find the same policy have the same
score, since all are evaluated in the same episodes. A run that failed has the worst score in its environment, or,
where that is not known, stands below its cell with its error.
"""


def skeleton(book: Book) -> str:
    """Return the page, with nothing between its markers."""
    return "\n".join([HEAD, *_suites(book), *_experiments(book)]).rstrip() + "\n"


def _suites(book: Book) -> Iterator[str]:
    """Yield the list of suites."""
    lines = []
    for suite, parts in SUITES.items():
        names = dict.fromkeys(part.experiment for part in parts if part.experiment in book.names)
        links = ", ".join(f"[{name}](#{name})" for name in names)
        lines += [f"- `python -m benchmarks run {suite}`: {links}"] if names else []
    if lines:
        yield "\n".join(["## Suites\n", *lines, ""])


def _experiments(book: Book) -> Iterator[str]:
    """Yield a section a group, with a section an experiment."""
    pictures: dict[str, list[str]] = {}
    for path, stamp in drawn(book.results).items():
        pictures.setdefault(stamp.experiment, []).append(path.name)
    for group in GROUPS:
        members = [name for name, its in book.names.items() if its == group]
        if members:
            yield f"## {TITLES[group]}\n"
        for name in members:
            yield f"### {name}\n\n{book[name].about}\n"
            for place in [name] * book[name].has_table + pictures.get(name, []):
                yield f"<!-- benchmarks: {place} -->\n<!-- /benchmarks -->\n"
