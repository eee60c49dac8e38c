"""What tuning says in the end: a budget that was enough for nothing but known settings is named."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pg_agents.cli.tuning_report import lines

TASK = SimpleNamespace(agent="ppo", seeds=(100, 101, 102))


def row(trial, origin, state="complete"):
    returns = [1.0, 2.0, 3.0] if state == "complete" else None
    scores = {"score": 1.0 if returns else None, "lower_ends": [0.5] if returns else [], "returns": returns}
    return {"trial": trial, "origin": origin, "state": state} | scores


@pytest.mark.parametrize(
    "origins", [["defaults"], ["defaults", "tuned"], ["defaults", "search"], ["defaults", "tuned", "search"]]
)
def test_a_budget_for_nothing_but_known_settings_is_said(origins):
    said = lines(Path("o"), TASK, [row(trial, origin) for trial, origin in enumerate(origins)], [], 62.0)
    assert said.startswith(f"trials   {len(origins)} ({len(origins)} complete) in 62 s\n")
    assert "chosen   trial 0" in said
    assert ("others need a longer --budget or more --trials" in said) is ("search" not in origins)


def test_trials_that_failed_were_tried():
    said = lines(Path("o"), TASK, [row(0, "defaults"), row(1, "search", "failed")], [], 62.0)
    assert "others need" not in said and "trials   2 (1 complete, 1 failed) in 62 s" in said
