"""Runs of two processes against runs of one."""

from dataclasses import replace

import pytest

from benchmarks.correctness import ranks_alike as alike
from benchmarks.speed import two_processes


def test_samples_have_seeds_of_their_own(monkeypatch):
    asked = []

    def answer(command, settings, *_, **__):
        asked.append((settings["processes"], settings["seeds"]))
        return {"runs": [{"return": seed} for seed in settings["seeds"]]}

    monkeypatch.setattr(alike, "answer", answer)
    found = {cell.sample: alike.run_seeds(cell, [2, 5]) for cell in alike.CELLS}
    assert asked == [(1, [alike.RUNS + 2, alike.RUNS + 5]), (2, [2, 5])]
    assert found["two processes"] == {2: {"return": 2}, 5: {"return": 5}}
    assert alike.run(alike.CELLS[1], 7) == {"return": 7}


@pytest.mark.slow
def test_both_ways_learn_and_say_the_same_of_a_seed_whenever_asked():
    for cell in alike.CELLS:
        quick = replace(cell, total_steps=2000, arguments={"num_steps": 32, "minibatch_size": 64, "epochs": 2})
        found = alike.run_seeds(quick, [1, 2])
        assert found[2] == alike.run(quick, 2) and found[1] != found[2]
        assert all(one["episodes"] > 20 and one["return"] > 10 for one in found.values())


@pytest.mark.slow
def test_two_processes_are_timed_as_one_run_and_their_messages_are_counted():
    cell = next(cell for cell in two_processes.CELLS if cell.name == "two-cartpole/ours")
    found = two_processes.run(replace(cell, settings=cell.settings | {"total_steps": 4096}), 0)
    assert found["processes"] == 2 and found["steps"] >= 4096
    parameters, updates, minibatches = 9_155, 2, 16
    assert found["bytes_added"] == pytest.approx(4 * parameters * updates * minibatches, rel=0.6)
    assert 0 < found["bytes_gathered"] < found["bytes_added"]
    assert found["messages_added"] > updates * minibatches > found["messages_gathered"] > 0
    assert 0 < found["seconds_of_added"] + found["seconds_of_gathered"] < found["seconds"]
