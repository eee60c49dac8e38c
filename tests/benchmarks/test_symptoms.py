"""Runs with a mistake in them differ from healthy ones as docs/debugging.md says, and every mistake is shown there."""

import dataclasses
import json

import numpy as np
import pytest
from support.names import ROOT

from benchmarks.learning import symptoms
from benchmarks.learning._symptoms import broken
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record

CELLS = {cell.name: cell for cell in symptoms.CELLS}


def ran(name, steps):
    return symptoms.run(dataclasses.replace(CELLS[name], total_steps=steps), 0)


def curve(result, which, metric):
    return [value for _, value in result[which]["curves"][metric]]


def test_every_mistake_is_on_the_page():
    text = (ROOT / "docs/debugging.md").read_text()
    assert CELLS.keys() == symptoms.MAKERS.keys()
    assert all(f"<!-- benchmarks: symptoms-{name}.png -->" in text for name in CELLS)


def test_a_step_too_large():
    result = ran("step-size", 2_048)
    assert max(curve(result, "faulty", "kl")) > 1 > 0.1 > max(curve(result, "healthy", "kl"))


def test_acting_with_other_probabilities_is_what_the_audit_stops():
    result = ran("mismatch", 2_048)
    assert result["healthy"]["audit"] is None
    assert "not the policy that learns" in result["faulty"]["audit"]


def test_equal_scores_have_no_gradient():
    result = ran("equal-scores", 500)
    assert set(curve(result, "faulty", "zero_variance_groups")) == {1}
    assert set(curve(result, "faulty", "grad_norm")) == {0} != set(curve(result, "healthy", "grad_norm"))


def test_a_shifted_mask_allows_what_is_forbidden():
    right, shifted = broken.Tour(), broken.Tour(shifted=True)
    assert right.reset()[1]["action_mask"].tolist() == [0, 1, 1, 1, 1, 1]
    assert shifted.reset()[1]["action_mask"].tolist() == [1, 0, 1, 1, 1, 1]
    assert right.step(2)[1] == -1 and right.step(2)[1] == -2


def test_the_clock_terminates():
    _, env = symptoms.MAKERS["clock"](0, True)
    env.reset(seed=0)
    ends = [env.step(np.arange(16) % 2 == step % 2)[2:4] for step in range(60)]
    assert any(terminated.any() for terminated, _ in ends) and not any(truncated.any() for _, truncated in ends)


@pytest.mark.parametrize("name", ["scale", "rewards", "sign", "collapse", "mask", "clock"])
def test_the_others_run(name):
    result = ran(name, 600)
    assert all(curve(result, which, metric) for which in symptoms.WHICH for metric in CELLS[name].metrics)


def test_pictures_say_what_they_show():
    cell = CELLS["equal-scores"]
    record = Record("symptoms", json.loads(json.dumps(dataclasses.asdict(cell))), 0, ran("equal-scores", 500), None)
    (figure,) = symptoms.plot([record]).values()
    assert not unclear(figure)
    assert "equal-scores" in symptoms.table([record])
