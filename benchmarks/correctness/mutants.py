"""Which small changes to the code does no test notice?

mutmut (the extra `mutation`) makes the changes: another operator, another number, an argument left out. Those of a file
are held to the tests of its room, in a copy of the sources in build/mutants, one at a time and with the lowest
priority. A run that was ended goes on where it was; what has been changed since is tested anew, and what went unnoticed
is tested again once the tests are others. Why a change may go unnoticed is written by hand into
benchmarks/correctness/_mutants/reasons.toml.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, cell_rows, markdown, results

ROOT = Path(__file__).parents[2]
REASONS = Path(__file__).parent / "_mutants" / "reasons.toml"
ROOMS = ("functional", "data", "distributions", "collection")
LEFT_OUT = "seeded_bugs or learn or same_gradients or best_allowed or command_line or agents_act"  # slow, or forks
QUIET = ("cacheprovider", "unraisableexception", "threadexception")  # plugins; the last two collect garbage, slowly
STATES = ("killed", "timeout", "survived", "no tests", "not checked")


@dataclass(frozen=True)
class Cell:
    """A file, whose lines are changed.

    Attributes:
        name: its path.
        room: the folder of its package, and of the tests that are to notice.
    """

    name: str
    room: str


CELLS = [
    Cell(f"pg_agents/{room}/{path.name}", room)
    for room in ROOMS
    for path in sorted((ROOT / "pg_agents" / room).glob("*.py"))
    if path.name != "__init__.py"
]
SEEDS = (0,)
EXTRAS = ("mutmut",)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Test the changes of a file; return how many are in which state, and those that tests did not notice.

    Raises:
        RuntimeError: mutmut failed.
    """
    folder = copied(cell)
    path = os.pathsep.join([str(folder), str(folder / "envs"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, preexec_fn=lambda: os.nice(19))
    if done.returncode:
        raise RuntimeError(f"mutmut ended with {done.returncode} in {folder.relative_to(ROOT)}")
    return result_of(folder)


def copied(cell: Cell) -> Path:
    """Return a folder with a copy of the sources, in which mutants of earlier runs are still there."""
    folder = ROOT / "build" / "mutants" / cell.room / Path(cell.name).stem
    for name in ("pg_agents", "envs", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, copy_function=shutil.copy)  # new: looked at again
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + config(cell))
    if tests_changed(folder, cell.room):
        forget_survivors(folder)
    return folder


def tests_changed(folder: Path, room: str) -> bool:
    """Return whether the tests of a room are others than those of the run before, and note which they are."""
    files = sorted((folder / "tests" / room).rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    note = folder / "tests-of-the-run"
    changed = not note.exists() or note.read_text() != digest
    note.write_text(digest)
    return changed


def config(cell: Cell) -> str:
    """Return the configuration of mutmut for one file."""
    arguments = ["-o", "addopts=", "-k", f"not ({LEFT_OUT})"]
    arguments += [part for name in QUIET for part in ("-p", f"no:{name}")]
    settings = {
        "source_paths": ["pg_agents"],
        "only_mutate": [cell.name],
        "also_copy": ["envs"],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": [f"tests/{cell.room}"],
    }
    return "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def forget_survivors(folder: Path) -> None:
    """Make a run test again what tests did not notice in the run before."""
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    for file in folder.glob("mutants/pg_agents/*/*.meta"):
        known = json.loads(file.read_text())
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {name: code if code == 1 else None for name, code in codes.items()}
        file.write_text(json.dumps(known))


def changes(folder: Path) -> Iterator[dict[str, str]]:
    """Yield every mutant of a run: its file, its function, its state and, where it was not killed, the change."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    before = Path.cwd()
    os.chdir(folder)
    try:
        for file in sorted(Path("mutants", "pg_agents").glob("*/*.meta")):
            source = file.relative_to("mutants").with_suffix("")
            for name, code in json.loads(file.read_text())["exit_code_by_key"].items():
                state = status_by_exit_code[code]
                found = {"file": str(source), "function": function_of(name), "state": state}
                if state in ("survived", "no tests", "timeout"):
                    found["change"] = lines_of(get_diff_for_mutant(name, path=source))
                yield found
    finally:
        os.chdir(before)


def function_of(name: str) -> str:
    """Return the function of a mutant: "EnvAdapter.step" of "….xǁEnvAdapterǁstep__mutmut_3"."""
    mangled = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    return mangled.removeprefix("xǁ").replace("ǁ", ".") if "ǁ" in mangled else mangled.removeprefix("x_")


def lines_of(diff: str) -> str:
    """Return the lines that a change takes away and puts there."""
    lines = (line for line in diff.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---")))
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def result_of(folder: Path) -> dict[str, Any]:
    """Return how many mutants are in which state, those that tests did not notice, and those that took too long."""
    found = list(changes(folder))
    return {
        "counts": dict(Counter(one["state"] for one in found)),
        "unnoticed": [one for one in found if one["state"] in ("survived", "no tests")],
        "timeouts": [one for one in found if one["state"] == "timeout"],
    }


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return how many changes of each file are in which state, and a list of those that no test noticed."""

    def measured(each: list[dict[str, Any]]) -> Iterator[list[str]]:
        yield [str(each[0]["counts"].get(state, 0)) for state in STATES]

    files = markdown(("file", *STATES), cell_rows(CELLS, records, measured), 1)
    found, known = by_cell(records), reasons()
    each = [
        (cell, one) for cell in CELLS for result in results(found.get(cell.name, {})) for one in result["unnoticed"]
    ]
    lines = "\n".join(_line(cell, one, known) for cell, one in each)
    folded = f"<details><summary>{len(each)} changes that no test noticed</summary>\n\n{lines}\n\n</details>"
    return {"files": files, "unnoticed": folded}


def reasons() -> dict[tuple[str, str, str], str]:
    """Return why changes may go unnoticed, by file, function and change."""
    written = tomllib.loads(REASONS.read_text())["reason"]
    return {(one["file"], one["function"], one["change"]): one["reason"] for one in written}


def _line(cell: Cell, one: dict[str, str], known: dict[tuple[str, str, str], str]) -> str:
    change = " → ".join(f"`{line[2:]}`" for line in one["change"].splitlines())
    reason = known.get((cell.name, one["function"], one["change"]), f"{one['state']}, no reason given yet")
    return f"- {cell.name.removeprefix('pg_agents/')} `{one['function']}`: {change} — {reason}"


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
