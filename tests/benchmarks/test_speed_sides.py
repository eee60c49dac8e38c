"""Sides that do the same work: their turns, their processes, and the arithmetic of their comparison."""

import math

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.speed import (
    from_pictures,
    many_seeds,
    one_thread,
    same_work,
    sharding,
    two_forms,
    two_processes,
    with_trl,
)
from benchmarks.speed._sides import comparing, ours, running, showing
from benchmarks.speed._sides.workload import Side, Workload, cells_of
from benchmarks.suite.finding import named
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record
from benchmarks.suite.tasks import due

EXPERIMENTS = (from_pictures, many_seeds, one_thread, same_work, sharding, two_forms, two_processes, with_trl)


def work(**changes):
    sides = {"sb3": Side("sb3"), "ours": Side("ours")}
    return Workload("title", {"env": "CartPole-v1", "threads": 1}, sides, {"sb3": 2.0}, **changes)


def ran(steps, seconds, reached=None, **more):
    return {"steps": steps, "seconds": seconds, "cpu_seconds": seconds, "reached": reached} | more


def runs(sb3, own):
    """Return runs of both sides as they are compared, None for one that failed."""
    return {"sb3": dict(enumerate(sb3)), "ours": dict(enumerate(own))}


def ratio(workload, sb3, own):
    return comparing.compared(workload, runs(sb3, own))["sb3"]


def records(workload, found):
    """Return the records of runs."""
    return [
        Record("x", {"name": f"some/{side}"}, seed, run, None if run else "RuntimeError: it | failed")
        for side, each in found.items()
        for seed, run in each.items()
    ]


def test_rounds_are_measured_one_after_the_other_and_every_second_one_backwards():
    experiment = named("two_forms")
    found = due(experiment, experiment.cells[:3], (4, 5, 6), {(experiment.cells[1].name, 6)}, ("typed", "commit"))
    a, b, c = (cell.name for cell in experiment.cells[:3])
    expected = [(4, a), (4, b), (4, c), (5, c), (5, b), (5, a), (6, a), (6, c)]
    assert [(*task.seeds, task.cell["name"]) for task in found] == expected


def test_a_machine_that_slows_down_steadily_favours_nobody():
    experiment = named("two_forms")
    order = [task.cell["name"] for task in due(experiment, experiment.cells, range(4), (), ("typed", "commit"))]
    places = {name: sum(i for i, other in enumerate(order) if other == name) for name in order}
    assert len(places) == 4 and len(set(places.values())) == 1


def test_other_experiments_are_measured_cell_by_cell():
    experiment = named("parity")
    found = due(experiment, experiment.cells[:2], (0, 1), (), ("typed", "commit"))
    assert [(task.cell["name"], *task.seeds) for task in found] == [
        (cell.name, seed) for cell in experiment.cells[:2] for seed in (0, 1)
    ]


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    # Rounds on a machine whose speed varies: 3 ×, 2 ×, 4 × as fast; rounds that one side has alone do not count.
    theirs = [ran(100, 30.0), ran(100, 4.0), ran(100, 40.0)]
    found = ratio(work(), theirs, [ran(100, 10.0), ran(100, 2.0), ran(100, 10.0), ran(100, 99.0)])
    assert found.each == pytest.approx((3.0, 2.0, 4.0))
    assert found.median == pytest.approx(3.0) and found.met
    assert comparing.speed(theirs) == pytest.approx(100 / 30)


def test_sides_are_compared_by_the_step():
    found = ratio(work(), [ran(100, 10.0)], [ran(200, 11.0)])  # more steps in more time, and yet faster
    assert found.median == pytest.approx(20 / 11) and not found.met


def test_sides_are_compared_by_the_time_to_a_return():
    assert ratio(work(by_time=True), [ran(100, 24.0, True)], [ran(300, 2.0, True)]).median == pytest.approx(12.0)


def test_who_did_not_get_there_gains_nothing_from_it():
    theirs, own = ran(100, 24.0, False), ran(300, 2.0, False)
    found = ratio(work(by_time=True), [theirs], [own])
    assert found.median == 0.0 and not found.met  # ours took for ever
    assert comparing.cost(theirs, by_time=True, peer=True) == 24.0  # a peer no longer than it ran
    assert comparing.cost(own, by_time=True, peer=False) == math.inf


def test_a_run_of_ours_that_failed_took_for_ever_and_a_round_in_which_a_peer_failed_has_no_ratio():
    found = ratio(work(), [ran(100, 2.0), None, ran(100, 2.0)], [None, ran(100, 1.0), ran(100, 1.0)])
    assert found.each == (0.0, 2.0)
    assert ratio(work(), [None], [ran(100, 1.0)]).median is None


def test_runs_of_other_commits_or_machines_are_no_round():
    def made(side, seed, seconds, commit, cpu="a"):
        return Record("x", {"name": f"some/{side}"}, seed, ran(100, seconds), commit=commit, machine={"cpu": cpu})

    theirs = [made("sb3", 0, 4.0, "1"), made("sb3", 1, 9.0, "1"), made("sb3", 2, 9.0, "1"), made("sb3", 3, 6.0, "2")]
    own = [
        made("ours", 0, 2.0, "1"),
        made("ours", 1, 1.0, "2"),
        made("ours", 2, 1.0, "1", "b"),
        made("ours", 3, 2.0, "2"),
    ]
    found = comparing.runs_of("some", work(), [*theirs, *own])
    assert comparing.compared(work(), found)["sb3"].each == (2.0, 3.0)


def test_the_processors_clock_stands_beside_the_walls():
    found = ratio(work(), [ran(100, 8.0) | {"cpu_seconds": 4.0}], [ran(100, 2.0)])  # the first had half a processor
    assert found.median == pytest.approx(4.0) and found.by_processor == pytest.approx(2.0)


def test_a_run_has_a_core_for_each_thread_of_each_process():
    run = ran(100, 2.0, processes=2) | {"cpu_seconds": 6.0}
    cell = {"name": "some/ours", "settings": {"threads": 2}}
    found = comparing.runs_of("some", work(), [Record("x", cell, 0, run)])["ours"].values()
    assert comparing.share([*found]) == pytest.approx(6 / 8)
    assert comparing.speed([*found], a_core=True) == pytest.approx(100 / 8) and comparing.speed([*found]) == 50


def test_peak_memory_is_compared_where_it_is_asked():
    def held(*megabytes):
        return [ran(100, 1.0, peak_megabytes=each) for each in megabytes]

    workload = work(memory_at_most={"sb3": 1.0})
    assert comparing.memory(workload, runs(held(400.0, 500.0, 900.0), held(450.0, 400.0, 500.0))) == {"sb3": 0.9}
    assert comparing.memory(workload, runs([ran(100, 1.0)], held(401.0))) == {}  # it was not told
    table = showing.tables({"some": workload}, records(workload, runs(held(500.0), held(600.0))))["some"]
    assert "Ours holds 1.20 × the memory of Stable-Baselines3 (asked: 1 × at most, **not met**)." in table


def test_tables_say_ratios_their_ranges_failures_and_what_is_missing():
    workload = work(steps_per_second=50.0)
    busy = ran(100, 2.0) | {"cpu_seconds": 1.0}
    found = runs([ran(100, 6.0), ran(100, 8.0), None], [ran(100, 2.0), busy, ran(100, 2.5)])
    said = showing.tables({"some": workload}, records(workload, found))
    row = (
        "| `some`: title | Stable-Baselines3 | 50/s | 15/s | **3.50 ×** | 3.00 … 4.00 | 5.50 × | 2 ×, met in 2 rounds |"
    )
    assert row in said["ratios"]
    assert "**failed** (1 of 3): RuntimeError: it \\| failed" in said["some"]
    assert "Asked: 50 steps/s, met." in said["some"]
    assert "| 50% (busy) |" in showing.tables({"some": workload}, records(workload, runs([busy], [busy])))["some"]
    once = showing.tables({"some": workload}, records(workload, runs([ran(100, 6.0)], [ran(100, 2.0)])))["ratios"]
    assert "| **3.00 ×** | one round |" in once and "met in 1 round |" in once
    waiting = showing.tables({"some": work(quiet=0.0)}, records(workload, runs([busy], [busy])))  # not a busy machine
    assert "| 50% |" in waiting["some"] and "busy" not in waiting["some"]
    nothing = showing.tables({"some": workload}, [])
    assert "| missing | missing | – |" in nothing["ratios"] and "| **ours** |  | missing |" in nothing["some"]


def test_numbers_and_the_picture_are_of_what_was_measured():
    workload = work()
    found = records(workload, runs([ran(100, 6.0), ran(100, 9.0)], [ran(100, 2.0), ran(100, 2.0)]))
    numbers = showing.numbers({"some": workload}, found)
    assert numbers["some-sb3-ratio"] == "3.75" and numbers["some-sb3-least"] == "3.00"
    assert numbers["some-ours-seconds"] == "2" and "some-ours-gigabytes" not in numbers
    figure = showing.plot({"some": workload}, found, "Title")
    assert figure is not None and unclear(figure) == []
    assert showing.plot({"some": workload}, [], "Title") is None and showing.numbers({"some": workload}, []) == {}
    slow = records(work(by_time=True), runs([ran(1, 1.0, True)], [ran(1, 1.0, False)]))
    assert showing.plot({"some": work(by_time=True)}, slow, "Title") is None  # 0 has no place on its axis


def test_a_round_in_which_ours_failed_has_no_place_in_the_picture_and_leaves_it_whole():
    found = records(workload := work(), runs([ran(100, 6.0)] * 3, [None, ran(100, 2.0), ran(100, 3.0)]))
    figure = showing.plot({"some": workload}, found, "Title")
    assert figure is not None and figure.axes[0].get_xlim()[0] > 0.5
    assert "0.00 … 3.00" in showing.ratio_table({"some": workload}, found)


def test_steps_of_trl_and_ours_are_in_one_table():
    taken = {"steps": 12, "seconds": 24.0, "cpu_seconds": 24.0, "rewards": [0.0] * 7 + [0.5] * 5}
    found = [Record("with_trl", {"name": "language/ours"}, seed, taken | {"peak_megabytes": 3600.0}) for seed in (0, 1)]
    assert "| language/ours | 2 | 0.50 0.50 | 3.6 |" in with_trl.table(found)["steps"]
    assert "| language/trl | missing |" in with_trl.table(found)["steps"]


def test_a_side_that_fails_says_why(tmp_path):
    settings = {"program": "ours", "threads": 1, "env": "NoSuchEnv-v0", "seed": 0, "kind": "single", "num_envs": 1}
    with pytest.raises(RuntimeError, match=r"^ours failed: \S*NameNotFound: .*NoSuchEnv"):
        running.run_side(settings | {"agent": "ppo", "arguments": {}, "total_steps": 1}, tmp_path)
    with pytest.raises(FileNotFoundError, match="peers install"):
        running.run_side(settings | {"program": "sb3"}, tmp_path)


@pytest.mark.slow
def test_sides_are_measured_by_the_runner(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.py").write_text(
        '''"""How fast are short runs?"""

from benchmarks.speed._sides.workload import cells_of
from benchmarks.speed.same_work import EXCLUSIVE, SEEDS, WORKLOADS, numbers, plot, run, table

CELLS = cells_of({"collection": WORKLOADS["collection"]}, total_steps=4096)
'''
    )
    assert main(["run", "short.py", "--seeds", "1", "--out", "out"]) == 0
    assert main(["report", "short.py", "--out", "out"]) == 0
    page = (tmp_path / "out" / "short.md").read_text()
    assert torch.__version__ in page and "| `collection`: Collection with an MLP policy" in page
    assert (tmp_path / "out" / "short.png").stat().st_size > 1000


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_side_is_of_a_known_program(experiment):
    known = {*ours.PROGRAMS, *running.WORKERS}
    assert all(path.exists() for path in running.WORKERS.values())
    for workload in experiment.WORKLOADS.values():
        assert {side.program for side in workload.sides.values()} <= known
        assert {*workload.at_least, workload.subject} == set(workload.sides)
    assert cells_of(experiment.WORKLOADS) == experiment.CELLS and experiment.EXCLUSIVE


def test_peers_are_installed_where_it_is_said(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr("benchmarks.peers.install", places.append)
    assert main(["peers", "install", "--peers", str(tmp_path)]) == 0
    assert places == [tmp_path]
