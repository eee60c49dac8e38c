"""What several learners cost, measured."""

import json

import pytest
import torch

from benchmarks.learners import command, costs


def test_costs_are_seconds_of_a_million_steps():
    runs = [{"steps": 1000, "seconds": s, "cpu_seconds": s / 2} for s in (0.1, 0.3, 0.2)]
    row = costs.row_of("ppo", 4, "ours", runs)
    assert row["seconds"] == pytest.approx(200.0) and row["processor_seconds"] == pytest.approx(100.0)
    assert row["each"] == pytest.approx([100.0, 300.0, 200.0]) and row["steps_per_second"] == pytest.approx(5000.0)
    assert [costs.steps_of(count, 1.0) for count in (1, 4, 64)] == [65_536, 16_384, 12_288]


def test_costs_are_measured_in_turns_and_drawn(monkeypatch, tmp_path):
    order = []

    def run(workload, side, learners, seed, scale):
        order.append((workload.settings["learners"], side, learners, seed))
        return {"steps": 1000 * learners, "seconds": 1.0, "cpu_seconds": 1.0}

    monkeypatch.setattr(costs, "run", run)
    assert command.main(["cost", "--rounds", "2", "--out", str(tmp_path)]) == 0
    assert order[:3] == [(16, "ours", 1, 0), (16, "floor", 1, 0), (16, "ours", 2, 0)]
    assert [(*one[:3], 1 - one[3]) for one in order[28:]] == order[:28][::-1]  # every second round backwards
    stored = json.loads((tmp_path / "learners-cost.json").read_text())
    assert stored["command"] == "python -m benchmarks learners cost --rounds 2" and stored["machine"]["cores"]
    assert len(stored["rows"]) == 2 * 7 * 2 and stored["rows"][-1]["seconds"] == pytest.approx(1e6 / 64_000)
    assert (tmp_path / "learners-cost.png").stat().st_size > 1000


@pytest.mark.parametrize("agent", costs.WORKLOADS)
@pytest.mark.parametrize("side", costs.SIDES)
def test_each_side_counts_the_steps_of_all_learners(agent, side):
    threads = torch.get_num_threads()
    done = costs.run(costs.WORKLOADS[agent], side, 3, 0, 1024 / costs.steps_of(3, 1.0))
    torch.set_num_threads(threads)
    assert done["steps"] == 3 * 1024 and done["seconds"] > 0
