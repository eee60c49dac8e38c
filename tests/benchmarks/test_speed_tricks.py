"""The benchmark of tricks: twins run in their places, and what counts as a saving."""

import time
from types import CodeType

import numpy as np
import pytest
import torch

from benchmarks.speed import tricks
from benchmarks.speed._tricks.measure import Saving, compare
from benchmarks.speed._tricks.replaced import calls_of, replaced
from benchmarks.speed._tricks.workloads import WORKLOADS
from benchmarks.speed.tricks import Cell, Share, percent, verdict
from benchmarks.suite.records import Record
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


def test_a_trick_is_measured_and_has_a_row(monkeypatch):
    def make():
        flags = np.zeros(8, bool)
        return lambda: [arrays.any_true(flags) for _ in range(6)]

    seen = []

    def measured(trick, twin, made, seconds):
        seen.append((trick, twin, seconds))
        return Saving(2e-6, 3e-6, 0.5, 0.001, 9)

    monkeypatch.setattr(tricks, "compare", measured)
    monkeypatch.setitem(WORKLOADS, "A2C", make)
    monkeypatch.setitem(WORKLOADS, "tables", lambda: lambda: None)  # does not call it
    threads = torch.get_num_threads()
    cell = Cell("arrays.any_true", "plain_any_true", 0.5, 0.25, ("A2C", "tables"))
    found = tricks.run(cell, 0)
    torch.set_num_threads(threads)
    assert [*found["workloads"]] == ["A2C"] and found["verdict"] == "stays"
    assert found["workloads"]["A2C"]["by_calls"] == pytest.approx(6 * 1e-6 / 2e-6)  # six calls save as the operation's
    assert seen == [(arrays.any_true, arrays.plain_any_true, seconds) for seconds in (0.5, 0.25)]
    table = tricks.table([Record("tricks", {"name": cell.name}, 0, found)])
    assert "| arrays.any_true | stays | 2.00 | 3.00 |" in table and "| arrays.stack_rows | missing |" in table


def test_what_is_saved_is_said_with_its_error():
    assert percent(None) == "–"
    assert percent(saving(0.5)._asdict()) == "50.0 ± 0.1 %"
    assert percent(saving(0.5)._asdict() | {"by_calls": 0.012}) == "50.0 ± 0.1 % (1.2)"


def test_every_trick_is_a_cell():
    assert [(cell.name, cell.twin) for cell in tricks.CELLS] == [(t.name, t.twin.__qualname__) for t in tricks.TRICKS]
