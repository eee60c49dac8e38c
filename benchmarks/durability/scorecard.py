"""Is what is promised of runs that fail kept, and how often was it tried?

A promise of docs/durability.md names its tests, which are run with all of their cases, and its control arms, the tests
in which the same fault meets something without protection. What is counted is recorded by the tests themselves
(`record_property`): numbers under one name are added.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.durability._promises import PROMISES
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, by_cell, failures, markdown, results

ROOT = Path(__file__).parents[2]
CELL = "cell"  # the property that says which agent and environment were resumed
COLUMNS = (  # of what is resumed
    *("cuts before the first update", "cuts between episodes", "cuts in the middle of episodes"),
    *("kills of one run with equal bits in the end", "command lines killed with equal bits in the end"),
)


@dataclass(frozen=True)
class Cell:
    """A promise.

    Attributes:
        name: its number.
        promise: in one sentence.
    """

    name: str
    promise: str


CELLS = [Cell(name, promise.text) for name, promise in PROMISES.items()]
SEEDS = (0,)
EXCLUSIVE = True  # some tests hold us to seconds


@dataclass
class Found:
    """What the cases of one test did.

    Attributes:
        outcomes: how many cases passed, failed and were skipped.
        properties: what each case recorded.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    properties: list[dict[str, str]] = field(default_factory=list)


def read(report: Path) -> dict[str, Found]:
    """Return what JUnit's XML says of each test, by its node id without parameters."""
    found: dict[str, Found] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = "/".join(case.attrib["classname"].split(".")) + ".py"
        one = found.setdefault(f"{file}::{case.attrib['name'].partition('[')[0]}", Found())
        kinds = {child.tag for child in case}
        outcome = "skipped" if "skipped" in kinds else "failed" if kinds & {"failure", "error"} else "passed"
        one.outcomes[outcome] = one.outcomes.get(outcome, 0) + 1
        one.properties.append({each.attrib["name"]: each.attrib["value"] for each in case.iter("property")})
    return found


def check(tests: Iterable[str]) -> None:
    """Raise a ValueError if a test is not there."""
    for test in tests:
        file, name = test.split("::")
        path = ROOT / file
        tree = ast.parse(path.read_text()).body if path.exists() else []
        made = {node.name for node in tree if isinstance(node, ast.FunctionDef)}
        made |= {ast.unparse(node.targets[0]) for node in tree if isinstance(node, ast.Assign)}  # test_seeded_bugs
        if name not in made:
            raise ValueError(f"tests: {test} is not there; correct benchmarks/durability/_promises.py")


def tested(tests: Iterable[str]) -> dict[str, Found]:
    """Run tests with all of their cases, and return what each of them did.

    Raises:
        ValueError: a test is not there.
    """
    tests = list(dict.fromkeys(tests))
    check(tests)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--everything", "-n", "2", f"--junit-xml={report}"]
        subprocess.run([*command, "-o", "junit_family=xunit2", *tests], cwd=ROOT, check=False)
        found = read(report) if report.exists() else {}
    if stale := [test for test in tests if test not in found]:
        raise ValueError(f"tests: {stale[0]} did not run")
    return found


def added(tests: Iterable[str], found: dict[str, Found]) -> dict[str, float]:
    """Return the sum of the numbers that tests recorded under each name."""
    total: dict[str, float] = {}
    for test in tests:
        for properties in found[test].properties:
            for name, value in properties.items():
                if name != CELL:
                    total[name] = total.get(name, 0) + float(value)
    return total


def outcomes(tests: Iterable[str], found: dict[str, Found]) -> dict[str, int]:
    """Return how many cases of tests passed, failed and were skipped."""
    kinds = ("passed", "failed", "skipped")
    return {kind: sum(found[test].outcomes.get(kind, 0) for test in tests) for kind in kinds}


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Run a promise's tests and control arms; return what became of their cases, and what these counted.

    Raises:
        ValueError: a test is not there, or did not run.
    """
    promise = PROMISES[cell.name]
    return result_of(promise.tests, promise.controls, tested((*promise.tests, *promise.controls)))


def result_of(tests: Sequence[str], controls: Sequence[str], found: dict[str, Found]) -> dict[str, Any]:
    """Return the result of a promise from what its tests did."""
    arms = {"tests": tests, "control": controls}
    sums = {name: outcomes(arm, found) | {"counted": added(arm, found)} for name, arm in arms.items()}
    return sums | {"resumed": resumed(tests, found)}


def resumed(tests: Iterable[str], found: dict[str, Found]) -> dict[str, dict[str, float]]:
    """Return for each agent and environment how many cuts of each kind went on with the same bits."""
    cells: dict[str, dict[str, float]] = {}
    for properties in (each for test in tests for each in found[test].properties if CELL in each):
        cell = cells.setdefault(properties[CELL], {})
        for name, value in properties.items():
            if name != CELL:
                cell[name] = cell.get(name, 0) + float(value)
    return cells


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return the promises with what was counted, what was resumed with equal bits, and the tests of each promise."""
    found = by_cell(records)
    promises = [row for cell in CELLS for row in _promise(cell, found.get(cell.name, {}))]
    return {
        "promises": markdown(("", "promise", "count", "result", "control arm"), promises),
        "resumed": markdown(("agent and environment", *COLUMNS), _resumed(records), 1),
        "tests": "<details><summary>the tests of each promise</summary>\n\n" + "\n".join(_tests()) + "\n\n</details>",
    }


def _promise(cell: Cell, records: dict[int, Record]) -> Iterator[list[str]]:
    for one in results(records):
        control = counts(one["control"])
        control += f", **{one['control']['failed']} failed**" if one["control"]["failed"] else ""
        yield [cell.name, cell.promise, counts(one["tests"]), verdict(one["tests"]), control]
    if failures(records) or not records:
        yield [cell.name, cell.promise, failures(records) or MISSING]


def counts(arm: dict[str, Any]) -> str:
    """Return what was counted, in words."""
    words = [f"{arm['passed']} cases"] + [f"{name} {value:,.12g}" for name, value in arm["counted"].items()]
    return "; ".join(words)


def verdict(arm: dict[str, Any]) -> str:
    """Return in one word what became of an arm's cases."""
    if arm["failed"]:
        return f"**{arm['failed']} failed**"
    return f"kept, {arm['skipped']} skipped" if arm["skipped"] else "kept"


def _resumed(records: Sequence[Record]) -> Iterator[list[str]]:
    cells: dict[str, dict[str, float]] = {}
    for one in (one for mine in by_cell(records).values() for one in results(mine)):
        for name, found in one["resumed"].items():
            cells[name] = cells.get(name, {}) | found
    for name, cell in sorted(cells.items()):
        yield [name, *(f"{cell[column]:g}" if column in cell else "" for column in COLUMNS)]


def _tests() -> Iterator[str]:
    for name, promise in PROMISES.items():
        yield f"- {name}: " + ", ".join(f"`{test}`" for test in promise.tests)
        if promise.controls:
            yield f"  - control arm: {', '.join(f'`{test}`' for test in promise.controls)}"


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
