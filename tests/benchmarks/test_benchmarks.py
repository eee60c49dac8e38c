"""Benchmarks: what was run is not run again, what changed is, and every cell of the tokens has tuned settings."""

import json

import numpy as np
import pytest
from pg_envs import addition_pairs
from support.pool import Here

from benchmarks import records, resumed, tokens
from benchmarks.experiments import Run


def pretend(cell, seed):
    """Return the result of a run that never was."""
    return {"seed": seed, "after": float(seed + cell.total_steps), "wall_seconds": 0.0}


@pytest.fixture
def submitted(monkeypatch, tmp_path):
    monkeypatch.setattr(resumed, "RESULTS", tmp_path)
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    monkeypatch.setattr(resumed, "ProcessPoolExecutor", Here)
    Here.submitted = []
    return Here.submitted


def test_only_what_is_missing_or_changed_is_run(submitted, tmp_path):
    def best(cell, runs):
        return {"best": max(one["after"] for one in runs)}

    one, other = Run("ppo", "CartPole-v1", 8, 100, {"clip": 0.1}), Run("grpo", "CartPole-v1", 8, 200)
    found = resumed.run_missing("mine", [one, other], pretend, best, range(2), 1)
    assert len(submitted) == 4 and found["command"] == "python -m benchmarks mine"
    assert [cell["best"] for cell in found["results"]] == [101, 201]
    assert json.loads((tmp_path / "mine.json").read_text()) == found
    resumed.run_missing("mine", [one, other], pretend, best, range(3), 1)
    assert submitted[4:] == [(one, 2), (other, 2)]
    changed = Run("ppo", "CartPole-v1", 8, 100, {"clip": 0.3})
    found = resumed.run_missing("mine", [changed, other], pretend, best, range(3), 1)
    assert submitted[6:] == [(changed, 0), (changed, 1), (changed, 2)]
    assert [cell["arguments"] for cell in found["results"]] == [{"clip": 0.3}, {}]


def test_a_result_from_before_an_option_is_that_of_its_default(submitted, tmp_path):
    cell = Run("ppo", "CartPole-v1", 8, 100)
    found = resumed.run_missing("mine", [cell], pretend, lambda *_: {}, range(1), 1)
    del found["results"][0]["wrappers"], found["results"][0]["env_args"]
    (tmp_path / "mine.json").write_text(json.dumps(found))
    other = Run("ppo", "CartPole-v1", 8, 100, wrappers=["FlattenObservation"])
    resumed.run_missing("mine", [cell, other], pretend, lambda *_: {}, range(1), 1)
    assert submitted == [(cell, 0), (other, 0)]
    resumed.run_missing("mine", [cell, other], pretend, lambda *_: {}, range(1), 1)
    assert len(submitted) == 2


def test_a_run_of_tokens_asks_sums_that_were_not_learned_from(monkeypatch):
    asked = []
    evaluate = tokens.pg.evaluate

    def watched(agent, env, **options):
        asked.append(env.task)
        return evaluate(agent, env, **options)

    monkeypatch.setattr(tokens.pg, "evaluate", watched)
    result = tokens.run(Run("rloo", "pg/Addition-v0", 16, 200, {}, 60), 0)
    held_out = {f"{a}+{b}=" for a, b in addition_pairs(2, "held_out")}
    generator = np.random.default_rng(0)
    assert len(asked) == 3
    assert all(task.text(task.draw(generator, 7)) in held_out for task in asked for _ in range(50))
    assert {"before", "after", "exact", "sampled", "sampled_exact", "cpu_seconds", "curve", "seed"} <= result.keys()
    assert 0 <= result["exact"] <= result["after"] <= 1


def test_every_agent_on_every_task_has_tuned_settings():
    cells = tokens.cells()
    assert len(cells) == 20 and {cell.agent for cell in cells} == {"grpo", "rloo", "ppo", "reinforce-baseline"}


def test_the_table_of_tokens_by_hand():
    one = {"before": 0.125, "tokens_per_cpu_second": 12_340.0}
    cell = {"env": "pg/Copy-v0", "agent": "grpo", "total_steps": 50_000, "runs": [one, one], "seconds": 4.4}
    cell |= {"iqm": 1.0, "worst": 0.98765, "exact": 0.9, "sampled": 0.99}
    row = "| pg/Copy-v0 | `grpo` | 50 k | 0.12 | **1.000** | 0.988 | 0.900 | 0.990 | 4 | 12.3 k |"
    assert list(tokens.markdown([cell]))[2:] == [row]


def test_every_agent_has_a_colour_in_the_pictures():
    from benchmarks import control, plots, tokens

    assert {cell.agent for cell in (*control.cells(), *tokens.cells())} <= plots.COLOURS.keys()


def test_every_result_says_its_command_and_its_commit():
    files = sorted(records.RESULTS.glob("*.json"))
    assert len(files) > 20
    for file in files:
        content = json.loads(file.read_text())
        assert content["command"].startswith("python -m benchmarks"), file
        each = content.get("results", ()) if content["commit"] == "that of each run" else ()
        commits = [one["commit"] for cell in each for one in cell["runs"]] or [content["commit"]]
        assert all(len(commit.removesuffix("+changes")) >= 7 for commit in commits), file
