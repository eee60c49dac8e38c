"""The comparison of two commits: the same code is equal, a changed coefficient is not, and what differs is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.bits import command
from benchmarks.bits.compare import compare, difference

ROOT = Path(__file__).parents[2]
# One line of the public surface, wherever the class lives: a default coefficient is another one.
CHANGE = """
PPO.for_env = __import__("functools").partial(PPO.for_env, gae_lambda=0.949)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the packages, in which a coefficient of PPO is another one."""
    tree = tmp_path_factory.mktemp("copy")
    for folder in ("pg_agents", "envs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (tree / "pg_agents" / "__init__.py").open("a") as file:
        file.write(CHANGE)
    return tree


@pytest.mark.slow
def test_a_changed_coefficient_is_noticed_where_it_matters(copy, tmp_path):
    """One run holds both: PPO's bits are others, those of the agents without the change are the same."""
    output = tmp_path / "results" / "bits.json"
    typed = ["bits", str(ROOT), str(copy), "--only", "^(ppo|npg|grpo)/(cartpole|cartpole copies)$", "--updates", "2"]
    assert main([*typed, "--output", str(output)]) == 1
    found = json.loads(output.read_text())
    assert found["cells"] == 6 and found["trained"] == 5 and found["refused_by"] == {"ValueError": 1}
    assert [row["cell"] for row in found["unequal"]] == ["ppo/cartpole", "ppo/cartpole copies"]
    differ = found["unequal"][0]["differ"]
    assert any(name.startswith("state: policy.") and 0 < value < 0.1 for name, value in differ.items())
    assert found["command"].startswith("python -m benchmarks bits ") and found["updates"] == 2


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


def test_nothing_compared_is_no_success(monkeypatch, tmp_path):
    nothing = {"cells": 0, "trained": 0, "equal": 0, "largest_difference": 0.0, "unequal": []}
    nothing |= {"old": "a", "new": "b", "only_in_old": [], "only_in_new": []}
    monkeypatch.setattr(command, "measure", lambda options: nothing)
    assert main(["bits", "a", "b", "--output", str(tmp_path / "bits.json")]) == 1
