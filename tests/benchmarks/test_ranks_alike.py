"""Runs of two processes against runs of one."""

from dataclasses import replace

import pytest

from benchmarks.correctness import ranks_alike as alike
from benchmarks.language import _pretrained
from benchmarks.speed import sharding, two_processes
from benchmarks.speed._sides.ranks import make_writer


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
    begins = 4 * parameters  # all begin with those of the first
    assert found["bytes_added"] == pytest.approx(begins + 4 * parameters * updates * minibatches, rel=0.01)
    assert 0 < found["bytes_gathered"] < found["bytes_added"]
    before, of_each_update = 2, 4  # the rollout, its values and those of next states, and who has been ended
    assert found["messages_gathered"] == before + of_each_update * updates
    assert updates * minibatches < found["messages_added"] <= (minibatches + 5) * updates + 1  # and means of metrics
    assert 0 < found["seconds_of_added"] + found["seconds_of_gathered"] < found["seconds"]


def test_processes_share_the_groups_of_texts_out(monkeypatch):
    monkeypatch.setattr(_pretrained, "packaged_model", lambda package: (package, "tokenizer"))
    monkeypatch.setattr(_pretrained, "addition_env", lambda model, tokenizer, rows, size, **more: (rows, size, more))
    monkeypatch.setattr(_pretrained, "make_agent", lambda *given: given)
    for cell in sharding.CELLS:
        (_, size, rate), (rows, same, more) = make_writer(cell.settings)
        assert rows * cell.settings["ranks"] == sharding.TEXTS and rows % size == 0 and size == same == 8
        assert rate == 1e-5 and more == {"digits": 1, "new_tokens": sharding.NEW_TOKENS}
