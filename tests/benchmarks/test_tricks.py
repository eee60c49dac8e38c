"""The benchmark of tricks: twins run in their places, and what counts as a saving."""

import json
import time
from types import CodeType

import numpy as np
import pytest

from benchmarks.tricks.command import Share, line, main, verdict
from benchmarks.tricks.measure import Saving, compare
from benchmarks.tricks.replaced import calls_of, replaced
from benchmarks.tricks.workloads import WORKLOADS
from pg_agents._fast import arrays, logistic_tanh
from pg_agents.policies.activations import ACTIVATIONS


def quick(seconds):
    return time.process_time() + seconds


def slow(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return until


def saving(saved, error=0.001):
    return Saving(1.0, 2.0, saved, error, 100)


def test_a_twin_runs_wherever_its_trick_was_imported():
    held = ACTIVATIONS["tanh"]
    code = held.__code__
    with replaced(logistic_tanh.tanh, logistic_tanh.plain_tanh):
        assert held.__code__ is logistic_tanh.plain_tanh.__code__
    assert held.__code__ is code
    with pytest.raises(RuntimeError), replaced(quick, slow):
        raise RuntimeError
    assert quick(0.1) < slow(0.1)


def test_a_trick_that_takes_half_the_time_saves_half():
    def make():
        return lambda: (slow(0.002), quick(0.002))

    found = compare(quick, slow, make, 0.5)
    assert found.saved == pytest.approx(0.5, abs=0.1) and found.error < 0.1
    assert found.plain_seconds > 1.5 * found.seconds > 0


def test_calls_are_counted():
    calls = calls_of(lambda: [quick(0) for _ in range(3)])
    assert calls[quick.__code__] == 3 and all(isinstance(code, CodeType) for code in calls)


@pytest.mark.parametrize(
    ("operation", "shares", "expected"),
    [
        (saving(0.5), [Share(saving(0.0), None), Share(saving(0.01), None)], "stays"),
        (saving(0.09), [Share(saving(0.2), None)], "goes"),
        (saving(0.5), [Share(saving(0.001), None), Share(saving(0.002), 0.9)], "goes"),
        (saving(0.5), [Share(saving(0.02, error=0.01), None), Share(saving(0.0), None)], "measure again"),
        (saving(0.5), [Share(saving(0.02, error=0.01), 0.006)], "stays"),
        (saving(0.5), [Share(saving(0.02, error=0.01), 0.004)], "goes"),
        (saving(0.11, error=0.01), [Share(saving(0.2), None)], "measure again"),
        (saving(0.5), [], "goes"),
    ],
)
def test_what_is_worth_a_trick(operation, shares, expected):
    """10 % of the operation and 0.5 % of a workload; where the clock leaves that open, the calls decide."""
    assert verdict(operation, shares) == expected


def test_the_command_prints_and_writes_a_row(tmp_path, capsys, monkeypatch):
    def make():
        flags = np.zeros(8, bool)
        return lambda: arrays.any_true(flags)

    monkeypatch.setitem(WORKLOADS, "A2C", make)
    arguments = ["--only", "any_true", "--workloads", "A2C", "--seconds", "1.2", "--out", str(tmp_path)]
    assert main(arguments) == 0
    row = json.loads((tmp_path / "tricks.json").read_text())["rows"][0]
    assert row["twin"] == "plain_any_true" and row["verdict"] == "stays"
    assert row["workloads"]["A2C"]["by_calls"] == pytest.approx(
        row["operation"]["plain_seconds"] / row["operation"]["seconds"] - 1, rel=0.5
    )
    assert capsys.readouterr().out == (tmp_path / "tricks.txt").read_text() != ""
    empty = {"trick": "x", "operation": saving(0.5)._asdict(), "workloads": {}, "verdict": "goes"}
    assert line(empty, ["A2C"]).endswith("—  goes")
