"""`python -m benchmarks mutants [ROOM …]`: make small changes to the code, and see whether tests notice them.

mutmut (the extra `mutation`) makes the changes: another operator, another number, an argument left out. Those of a room
are held to the room's own tests, in a copy of the sources in build/mutants/ROOM, one at a time and with the lowest
priority. A run that was ended goes on where it was; what has been changed since is tested anew. Each room's result is
written to results/mutants.json, with every change that no test noticed, and as a page to results/mutants.md. Why a
change may go unnoticed is written into the JSON by hand, as its "reason": it stays as long as the change does.
`--report` writes down what is there, of runs that are not over too; `--again` tests again what went unnoticed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS, commit, write

ROOT = Path(__file__).parent.parent
ROOMS = ("functional", "data", "distributions", "collection")
LEFT_OUT = "seeded_bugs or learn or same_gradients or best_allowed or command_line or agents_act"  # slow, or forks
QUIET = ("cacheprovider", "unraisableexception", "threadexception")  # plugins; the last two collect garbage, slowly
STATES = ("killed", "timeout", "survived", "no tests", "not checked")


def config(room: str) -> str:
    """Return the configuration of mutmut for one room."""
    arguments = [
        "-o",
        "addopts=",
        "-k",
        f"not ({LEFT_OUT})",
        *(part for name in QUIET for part in ("-p", f"no:{name}")),
    ]
    settings = {
        "source_paths": ["pg_agents"],
        "only_mutate": [f"pg_agents/{room}/*"],
        "also_copy": ["envs"],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": [f"tests/{room}"],
    }
    return "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def copied(room: str) -> Path:
    """Return a folder with a copy of the sources, in which mutants of earlier runs are still there."""
    folder = ROOT / "build" / "mutants" / room
    for name in ("pg_agents", "envs", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, copy_function=shutil.copy)  # new: looked at again
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # tests may have changed
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + config(room))
    (folder / "commit").write_text(commit())
    return folder


def forget_survivors(folder: Path) -> None:
    """Make a run test again what tests did not notice in the run before."""
    for file in folder.glob(f"mutants/pg_agents/{folder.name}/*.meta"):
        known = json.loads(file.read_text())
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {name: code if code == 1 else None for name, code in codes.items()}
        file.write_text(json.dumps(known))


def run(folder: Path) -> int:
    """Test the mutants in `folder` that have not been tested; return mutmut's exit status."""
    path = os.pathsep.join([str(folder), str(folder / "envs"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, check=False, preexec_fn=lambda: os.nice(19)).returncode


def changes(folder: Path) -> Iterator[dict[str, str]]:
    """Yield every mutant of a run: its file, its function, its state and, where it was not killed, the change."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    before = Path.cwd()
    os.chdir(folder)
    try:
        for file in sorted(Path("mutants", "pg_agents", folder.name).glob("*.meta")):
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


def result_of(folder: Path, reasons: dict[tuple[str, str, str], str]) -> dict[str, Any]:
    """Return how many mutants of each file are in which state, and those that tests did not notice."""
    found = list(changes(folder))
    files = {name: Counter(one["state"] for one in found if one["file"] == name) for name in {o["file"] for o in found}}
    unnoticed = [one for one in found if one["state"] in ("survived", "no tests")]
    for one in unnoticed:
        one["reason"] = reasons.get((one["file"], one["function"], one["change"]), "")
    timeouts = [one for one in found if one["state"] == "timeout"]
    commit_ = (folder / "commit").read_text()
    return {"commit": commit_, "files": dict(sorted(files.items())), "unnoticed": unnoticed, "timeouts": timeouts}


def page(rooms: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [
        "# Changes that tests notice",
        "",
        "`python -m benchmarks mutants`; each room is held to its own tests.",
        "",
    ]
    lines += [f"| file | {' | '.join(STATES)} |", f"|---|{'---:|' * len(STATES)}"]
    for room in rooms.values():
        lines += [
            f"| {name} | {' | '.join(str(counts.get(state, 0)) for state in STATES)} |"
            for name, counts in room["files"].items()
            if counts
        ]
    for name, room in rooms.items():
        lines += ["", f"## {name}: unnoticed, at commit {room['commit']}", ""]
        for one in room["unnoticed"]:
            change = " → ".join(f"`{line[2:]}`" for line in one["change"].splitlines())
            where = f"{Path(one['file']).name} `{one['function']}`"
            lines.append(f"- {where}: {change} — {one['reason'] or one['state'] + ', no reason given yet'}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Run the command."""
    top = argparse.ArgumentParser(prog="python -m benchmarks mutants", description=__doc__)
    top.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}; all of them where none is named")
    top.add_argument("--report", action="store_true", help="write down what is there, and run nothing")
    top.add_argument("--again", action="store_true", help="test again what tests did not notice")
    options = top.parse_args(arguments)
    if unknown := [room for room in options.rooms if room not in ROOMS]:
        top.error(f"unknown room {unknown[0]!r}: choose from {', '.join(ROOMS)}")
    file = RESULTS / "mutants.json"
    rooms: dict[str, Any] = json.loads(file.read_text())["rooms"] if file.exists() else {}
    reasons = {
        (one["file"], one["function"], one["change"]): one["reason"]
        for room in rooms.values()
        for one in room["unnoticed"]
    }
    for room in options.rooms or ROOMS:
        folder = ROOT / "build" / "mutants" / room
        if not options.report:
            copied(room)
            if options.again:
                forget_survivors(folder)
            if status := run(folder):
                return status
        rooms[room] = result_of(folder, reasons)
        write(
            "mutants",
            "python -m benchmarks mutants",
            {"rooms": {name: rooms[name] for name in ROOMS if name in rooms}},
            indent=1,
        )
        (RESULTS / "mutants.md").write_text(page(rooms))
    return 0
