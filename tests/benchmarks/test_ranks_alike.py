"""Runs of two processes against runs of one."""

from dataclasses import replace

import pytest

from benchmarks.correctness import ranks_alike as alike


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
