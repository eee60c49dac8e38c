"""`python -m benchmarks scorecard`: run the tests of every promise at full counts, and write down what they counted.

Each promise names its tests and its control arms, the tests in which the same fault meets something without protection.
What is counted is recorded by the tests themselves (`record_property`): numbers under one name are added. Results are
results/scorecard.json and results/scorecard.md; --only R1 … runs some promises and keeps the others' results.
Each promise is written down when its tests have run.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.promises import PROMISES, RESUME, Promise
from benchmarks.records import RESULTS, commit, write

ROOT = Path(__file__).parent.parent
CELL = "cell"  # the property that says which agent and environment were resumed
RESUMED = ("cuts before the first update", "cuts between episodes", "cuts in the middle of episodes")
KILLED = ("kills of one run with equal bits in the end", "command lines killed with equal bits in the end")


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
            raise ValueError(f"tests: {test} is not there; correct benchmarks/promises.py")


def run(tests: Iterable[str], workers: int) -> dict[str, Found]:
    """Run tests with all of their cases, and return what each of them did.

    Raises:
        ValueError: a test is not there.
    """
    tests = list(dict.fromkeys(tests))
    check(tests)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--everything", "-n", str(workers), f"--junit-xml={report}"]
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


def row(promise: Promise, found: dict[str, Found]) -> dict[str, Any]:
    """Return the result of a promise."""
    arms = {"tests": promise.tests, "control": promise.controls}
    results = {name: outcomes(tests, found) | {"counted": added(tests, found)} for name, tests in arms.items()}
    return {"promise": promise.text, "commit": commit(), **results}


def resumed(found: dict[str, Found]) -> dict[str, dict[str, float]]:
    """Return for each agent and environment how many cuts of each kind went on with the same bits."""
    cells: dict[str, dict[str, float]] = {}
    for test in RESUME:
        for properties in found.get(test, Found()).properties:
            if CELL in properties:
                cell = cells.setdefault(properties[CELL], {})
                for name, value in properties.items():
                    if name != CELL:
                        cell[name] = cell.get(name, 0) + float(value)
    return cells


def merged(before: dict[str, dict[str, float]], new: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the cells of both, with what is new in the place of what was there."""
    return {cell: before.get(cell, {}) | new.get(cell, {}) for cell in before | new}


def counts(arm: dict[str, Any]) -> str:
    """Return what was counted, in words."""
    words = [f"{arm['passed']} cases"] + [f"{name} {value:,.12g}" for name, value in arm["counted"].items()]
    return "; ".join(words)


def verdict(arm: dict[str, Any]) -> str:
    """Return in one word what became of an arm's cases."""
    if arm["failed"]:
        return f"**{arm['failed']} failed**"
    return f"kept, {arm['skipped']} skipped" if arm["skipped"] else "kept"


def page(content: dict[str, Any]) -> str:
    """Return both tables as Markdown."""
    lines = ["# The scorecard", "", f"Made by `{content['command']}`.", ""]
    lines += ["| | promise | count | result | control arm |", "|---|---|---|---|---|"]
    for name, one in content["promises"].items():
        arms = [counts(one["tests"]), verdict(one["tests"]), counts(one["control"])]
        if one["control"]["failed"]:
            arms[2] += f", **{one['control']['failed']} failed**"
        lines.append(f"| {name} | {one['promise']} | {' | '.join(arms)} |")
    lines += ["", "## Resumed with equal bits", "", "Cuts and kills that ended with the same bits:", ""]
    columns = (*RESUMED, *KILLED)
    lines += [f"| agent and environment | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, cell in sorted(content["resumed"].items()):
        lines.append(f"| {name} | {' | '.join(f'{cell[one]:g}' if one in cell else '' for one in columns)} |")
    lines += ["", "## Tests", ""]
    for name, promise in PROMISES.items():
        lines.append(f"- {name}: " + ", ".join(f"`{test}`" for test in promise.tests))
        lines += [f"  - control arm: {', '.join(f'`{test}`' for test in promise.controls)}"] if promise.controls else []
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run the tests, write results/scorecard.json and scorecard.md; 1 where a promise is not kept."""
    about = str(__doc__).partition("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks scorecard", description=about)
    parser.add_argument("--only", nargs="+", choices=PROMISES, metavar="R", help="promises to run; others are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes of pytest")
    options = parser.parse_args(arguments)
    check(test for one in PROMISES.values() for test in (*one.tests, *one.controls))
    file = RESULTS / "scorecard.json"
    content = json.loads(file.read_text()) if options.only and file.exists() else {"promises": {}, "resumed": {}}
    for name in options.only or PROMISES:
        found = run((*PROMISES[name].tests, *PROMISES[name].controls), options.workers)
        rows = content["promises"] | {name: row(PROMISES[name], found)}
        content = {
            "promises": {one: rows[one] for one in PROMISES if one in rows},
            "resumed": merged(content["resumed"], resumed(found)),
        }
        content = write("scorecard", "python -m benchmarks scorecard", content, indent=1)
        (RESULTS / "scorecard.md").write_text(page(content))
    arms = (arm for one in content["promises"].values() for arm in (one["tests"], one["control"]))
    return 1 if any(arm["failed"] for arm in arms) else 0
