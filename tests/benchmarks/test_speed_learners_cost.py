"""What several learners cost, measured."""

from dataclasses import replace

import pytest
import torch

from benchmarks.speed import learners_cost
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record

CELLS = {cell.name: cell for cell in learners_cost.CELLS}


def record(name, seed, seconds, cpu=None):
    return Record("learners_cost", {"name": name}, seed, {"steps": 1000, "seconds": seconds, "cpu_seconds": cpu})


def test_costs_are_seconds_of_a_million_steps():
    runs = [{"steps": 1000, "seconds": s, "cpu_seconds": s / 2} for s in (0.1, 0.3, 0.2)]
    assert learners_cost.a_million(runs) == pytest.approx([100.0, 300.0, 200.0])
    assert learners_cost.a_million(runs, "cpu_seconds") == pytest.approx([50.0, 150.0, 100.0])
    assert [CELLS[f"ppo/{count}/ours"].total_steps for count in (1, 4, 64)] == [65_536, 16_384, 12_288]


def test_medians_stand_beside_their_range_and_what_is_missing_or_failed_says_so():
    found = [record("ppo/1/ours", seed, seconds) for seed, seconds in enumerate((0.1, 0.3, 0.2))]
    failed = Record("learners_cost", {"name": "ppo/2/ours"}, 0, None, "RuntimeError: no")
    said = learners_cost.table([*found, failed])
    row = "| `ppo`, ours | 200.0 (100.0 … 300.0) | **failed** (1 of 1): RuntimeError: no | missing |"
    assert row in said["seconds"]
    assert "processor" not in said
    clock = learners_cost.table([record("ppo/1/ours", 0, 0.1, 0.05)])["processor"]
    assert "| `ppo`, ours | 50.0 | missing |" in clock


def test_the_picture_names_its_lines():
    assert learners_cost.plot([]) is None
    found = [record(f"ppo/{count}/ours", seed, 0.1 / count) for count in (1, 2, 4) for seed in (0, 1)]
    figure = learners_cost.plot(found)
    assert figure is not None and unclear(figure) == []
    assert "loop without abstractions: missing" in {text.get_text() for text in figure.axes[0].get_legend().texts}


@pytest.mark.parametrize("agent", learners_cost.WORKLOADS)
@pytest.mark.parametrize("side", learners_cost.SIDES)
def test_each_side_counts_the_steps_of_all_learners(agent, side):
    threads = torch.get_num_threads()
    done = learners_cost.run(replace(CELLS[f"{agent}/4/{side}"], learners=3, total_steps=1024), 0)
    torch.set_num_threads(threads)
    assert done["steps"] == 3 * 1024 and done["seconds"] > 0 and done["cpu_seconds"] > 0
