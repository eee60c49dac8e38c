"""The comparison of two commits: the same code is equal, a changed coefficient is not, and what differs is named."""

import json
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.correctness import bits
from benchmarks.correctness._bits import snapshots
from benchmarks.correctness._bits.compare import compare, difference
from benchmarks.correctness._bits.sides import side
from benchmarks.suite.records import Record

ROOT = Path(__file__).parents[2]
# One line of the public surface, wherever the class lives: a default coefficient is another one.
CHANGE = """
PPO.for_env = __import__("functools").partial(PPO.for_env, gae_lambda=0.949)
"""


def named(name):
    return next(cell for cell in bits.CELLS if cell.name == name)


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """The packages as they are, and a copy in which a coefficient of PPO is another one."""
    for tree in ("as-it-is", "changed"):
        for folder in ("pg_agents", "envs"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, tmp_path / tree / folder, ignore=ignored)
    with (tmp_path / "changed" / "pg_agents" / "__init__.py").open("a") as file:
        file.write(CHANGE)
    monkeypatch.setattr(bits, "snapshot", lambda name: tmp_path / name)
    yield
    side.cache_clear()


@pytest.mark.slow
def test_a_changed_coefficient_is_noticed_where_it_matters(trees):
    """PPO's bits are others but where an episode is a step; those of the agents without the change are the same."""
    names = ("ppo/cartpole", "ppo/bandit", "npg/cartpole", "grpo/cartpole")
    cells = [replace(named(name), old="as-it-is", new="changed", updates=2) for name in names]
    found = {cell.name: bits.run(cell, 0) for cell in cells}
    assert [found[name]["equal"] for name in names] == [0, 1, 1, 1]
    assert found["grpo/cartpole"]["refused_by"] == {"ValueError": 1} and found["npg/cartpole"]["trained"] == 1
    differ = found["ppo/cartpole"]["unequal"][0]["differ"]
    assert any(name.startswith("state: policy.") and 0 < value < 0.1 for name, value in differ.items())


def test_a_side_that_cannot_work_says_why(tmp_path):
    (tmp_path / "pg_agents").mkdir()
    (tmp_path / "pg_agents" / "__init__.py").write_text("raise LookupError('the package is ill')")
    one = side(tmp_path, "float32", "old")
    with pytest.raises(RuntimeError, match=r"(?s)a side of bits ended with 1: .*the package is ill"):
        one.wait()
    assert side.cache_info().currsize == 0


# -- states of the code ------------------------------------------------------------------------------------------------
def git(folder, *arguments):
    named = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_state_of_the_code_is_a_commit_or_the_files_as_they_are(tmp_path, monkeypatch):
    package = tmp_path / "pg_agents" / "a.py"
    for file in (package, tmp_path / "envs" / "b.py"):
        file.parent.mkdir()
        file.write_text("1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    monkeypatch.setattr(snapshots, "ROOT", tmp_path)
    monkeypatch.setattr(snapshots, "PLACE", tmp_path / "build" / "bits")
    monkeypatch.setattr(snapshots._git, "__kwdefaults__", {"folder": tmp_path})
    commit = snapshots.identity("HEAD")
    assert git(tmp_path, "rev-parse", "HEAD").startswith(commit) and snapshots.identity(str(tmp_path)) == commit
    package.write_text("2")
    changed = snapshots.identity(str(tmp_path))
    assert changed.startswith(f"{commit}+") and changed == snapshots.identity(str(tmp_path))
    assert package.read_text() == "2" and not git(tmp_path, "stash", "list")
    contents = [(snapshots.snapshot(name) / "pg_agents" / "a.py").read_text() for name in (commit, changed, commit)]
    assert contents == ["1", "2", "1"] and (snapshots.snapshot(commit) / "envs" / "b.py").exists()


# -- the comparison ----------------------------------------------------------------------------------------------------
def written(folder, **cells):
    """Write what a worker would: arrays of a cell, or the name of an error."""
    folder.mkdir()
    found = {}
    for name, cell in cells.items():
        found[name] = {"refused": cell, "message": "no"} if isinstance(cell, str) else {"file": f"{name}.npz"}
        if not isinstance(cell, str):
            np.savez(folder / f"{name}.npz", **cell)
    (folder / "cells.json").write_text(json.dumps(found))
    return folder


def test_what_differs_is_named_and_a_tolerance_forgives_what_is_within_it(tmp_path):
    one, near, far = (np.array([1000.0, value]) for value in (1.0, 1.0 + 1e-13, 1.5))
    old = written(tmp_path / "old", same={"x": one}, near={"x": one}, far={"x": one, "y": one}, no="ValueError")
    new = written(tmp_path / "new", same={"x": one}, near={"x": near}, far={"x": far, "z": one}, no="ValueError")
    exact, rounded = compare(old, new), compare(old, new, 1e-12)
    assert [row["cell"] for row in exact["unequal"]] == ["near", "far"]
    assert [row["cell"] for row in rounded["unequal"]] == ["far"]
    row = rounded["unequal"][0]
    assert row["differ"] == {"x": 0.5} and row["arrays_only_in_old"] == ["y"] and row["arrays_only_in_new"] == ["z"]
    assert exact["equal"] == 2 and exact["trained"] == 3 and exact["largest_difference"] == 0.5


def test_other_refusals_and_cells_of_one_side_are_differences(tmp_path):
    arrays = {"x": np.zeros(2)}
    old = written(tmp_path / "old", other="ValueError", gone="ValueError", refused="ValueError")
    new = written(tmp_path / "new", other="TypeError", fresh=arrays, refused=arrays)
    found = compare(old, new)
    assert [(row["cell"], row["old"], row["new"]) for row in found["unequal"]] == [
        ("other", "ValueError: no", "TypeError: no"),
        ("refused", "ValueError: no", "trained"),
    ]
    assert found["only_in_old"] == ["gone"] and found["only_in_new"] == ["fresh"]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0.0, np.nan], [-0.0, np.nan], 0.0),
        ([2000.0], [2001.0], 1 / 2000),
        ([np.inf], [np.inf], 0.0),
        ([1.0], [np.nan], np.inf),
        ([1.0], [1.0, 2.0], np.inf),
        (["a"], ["b"], np.inf),
        ([], [], 0.0),
    ],
)
def test_the_difference_of_arrays(a, b, expected):
    assert difference(np.array(a), np.array(b)) == expected


def test_the_table_adds_up_an_agents_families_and_names_what_differs():
    equal = {"cells": 3, "trained": 2, "equal": 3, "largest_difference": 0.0, "refused_by": {"TypeError": 1}}
    equal |= {"unequal": [], "only_in_old": [], "only_in_new": ["ppo/bandit/clip=1"]}
    row = {"cell": "ppo/grid", "largest_difference": 0.5, "differ": {"act: greedy": 0.5}}
    other = equal | {"equal": 2, "largest_difference": 0.5, "unequal": [row]}
    records = [
        Record("bits", asdict(named("ppo/bandit")), 0, equal),
        Record("bits", asdict(named("ppo/grid")), 0, other),
    ]
    records.append(Record("bits", asdict(named("npg/grid")), 0, None, "RuntimeError: it ended"))
    text = bits.table(records)
    families = len(bits.FAMILIES)
    assert f"| ppo | 6, of {families - 2} families missing | 4 | 5 | 5.0e-01 | 0 | 2 |" in text
    assert "- `ppo/grid`: differ {'act: greedy': 0.5}" in text
    assert "- npg/grid: **failed** (1 of 1): RuntimeError: it ended" in text
