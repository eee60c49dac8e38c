"""The harness that holds us against peers: its arithmetic, its turns, its stopwatch, and its yardstick."""

import json
import math
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from benchmarks.peers import compare, costs, floor, ours, profiling, spans
from benchmarks.peers.command import main
from benchmarks.peers.machine import peak_megabytes, resident_megabytes
from benchmarks.peers.workloads import WORKLOADS, Side, Workload


def work(**changes):
    sides = {"sb3": Side("sb3"), "ours": Side("ours")}
    return Workload("title", {"env": "CartPole-v1", "threads": 1}, sides, {"sb3": 2.0}, **changes)


def ran(steps, seconds, reached=None):
    return {"steps": steps, "seconds": seconds, "cpu_seconds": seconds, "reached": reached}


def test_every_second_round_is_backwards():
    assert compare.order(["a", "b", "c"], 3) == [
        *((0, "a"), (0, "b"), (0, "c")),
        *((1, "c"), (1, "b"), (1, "a")),
        *((2, "a"), (2, "b"), (2, "c")),
    ]


def test_a_machine_that_slows_down_steadily_favours_nobody():
    order = [side for _, side in compare.order(["a", "b"], 4)]
    place = {side: sum(i for i, name in enumerate(order) if name == side) for side in "ab"}
    assert place["a"] == place["b"]


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    # Rounds on a machine whose speed varies: 3 ×, 2 ×, 4 × as fast; the ratio of the medians is another number.
    runs = {
        "sb3": [ran(100, 30.0), ran(100, 4.0), ran(100, 40.0)],
        "ours": [ran(100, 10.0), ran(100, 2.0), ran(100, 10.0)],
    }
    found = compare.summarize(work(), runs)
    row = found["ratios"][0]
    assert row["each"] == pytest.approx([3.0, 2.0, 4.0])
    assert row["median"] == pytest.approx(3.0) and row["of_medians"] == pytest.approx(3.0)
    assert row["met"]
    assert found["medians"]["ours"]["steps_per_second"] == pytest.approx(10.0)


def test_sides_are_compared_by_the_step():
    runs = {"sb3": [ran(100, 10.0)], "ours": [ran(200, 11.0)]}  # more steps in more time, and yet faster
    row = compare.summarize(work(), runs)["ratios"][0]
    assert row["median"] == pytest.approx(20 / 11) and not row["met"]


def test_sides_are_compared_by_the_time_to_a_return():
    runs = {"sb3": [ran(100, 24.0, True)], "ours": [ran(300, 2.0, True)]}
    assert compare.summarize(work(by_time=True), runs)["ratios"][0]["median"] == pytest.approx(12.0)


def test_who_did_not_get_there_gains_nothing_from_it():
    runs = {"sb3": [ran(100, 24.0, False)], "ours": [ran(300, 2.0, False)]}
    row = compare.summarize(work(by_time=True), runs)["ratios"][0]
    assert row["median"] == 0.0 and not row["met"]  # ours took for ever
    assert compare.cost(runs["sb3"][0], by_time=True, peer=True) == 24.0  # a peer no longer than it ran
    assert compare.cost(runs["ours"][0], by_time=True, peer=False) == math.inf


def test_the_processors_clock_stands_beside_the_walls():
    runs = {"sb3": [ran(100, 8.0) | {"cpu_seconds": 4.0}], "ours": [ran(100, 2.0)]}  # the first had half a processor
    row = compare.summarize(work(), runs)["ratios"][0]
    assert row["median"] == pytest.approx(4.0) and row["of_processor_time"] == pytest.approx(2.0)


def test_speed_that_is_asked_for_in_steps_per_second():
    workload = work(steps_per_second=50.0)
    assert compare.summarize(workload, {"ours": [ran(100, 1.9)]})["steps_per_second"]["met"]
    assert not compare.summarize(workload, {"ours": [ran(100, 2.1)]})["steps_per_second"]["met"]


def test_sides_run_in_turns_with_the_same_seeds(monkeypatch):
    seen = []

    def run_side(settings, peers):
        seen.append((settings["program"], settings["seed"], settings["total_steps"]))
        return ran(100, 2.0 if settings["program"] == "sb3" else 1.0) | {"seed": settings["seed"]}

    monkeypatch.setattr(compare, "run_side", run_side)
    found = compare.compare(work(), peers=None, seeds=[5, 6], overrides={"total_steps": 7}, say=lambda line: None)
    assert seen == [("sb3", 5, 7), ("ours", 5, 7), ("ours", 6, 7), ("sb3", 6, 7)]
    assert found["ratios"][0]["each"] == [2.0, 2.0]


def test_a_side_that_fails_says_why(tmp_path):
    settings = {"program": "ours", "threads": 1, "env": "NoSuchEnv-v0", "seed": 0, "kind": "single", "num_envs": 1}
    with pytest.raises(RuntimeError, match=r"(?s)ours failed: .*NoSuchEnv"):
        compare.run_side(settings | {"agent": "ppo", "arguments": {}, "total_steps": 1}, tmp_path)
    with pytest.raises(FileNotFoundError, match="peers install"):
        compare.run_side(settings | {"program": "sb3"}, tmp_path)


@pytest.mark.slow
def test_the_command_runs_stores_and_draws(tmp_path, capsys):
    arguments = ["run", "collection", "--rounds", "1", "--steps", "4096"]
    main([*arguments, "--out", str(tmp_path)])
    stored = json.loads((tmp_path / "peers-collection.json").read_text())
    assert stored["command"] == "python -m benchmarks peers " + " ".join(arguments)
    assert stored["machine"]["cores"] and stored["settings"]["bare"]["total_steps"] == 4096
    assert stored["runs"]["ours"][0]["versions"]["torch"] == torch.__version__
    assert 0.01 < stored["ratios"][0]["median"] < 1.0  # collecting costs more than stepping alone
    assert (tmp_path / "peers.png").stat().st_size > 1000
    assert main(["run", "nothing", "--out", str(tmp_path)]) == 2
    assert "unknown workload 'nothing'" in capsys.readouterr().err


def test_every_side_is_of_a_known_program():
    known = {*ours.PROGRAMS, *compare.PEERS}
    for workload in WORKLOADS.values():
        assert {side.program for side in workload.sides.values()} <= known
        assert {*workload.at_least, workload.subject} == set(workload.sides)


def sync_cartpole(num_envs=8):
    how = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec("CartPole-v1", num_envs, vectorization_mode="sync", vector_kwargs=how)


def test_the_floor_learns_cartpole():
    result = floor.train(sync_cartpole(), total_steps=30_000, seed=0)
    assert result["steps"] == 30 * 1024
    assert result["mean_return"] > 60  # about 20 at random


class Counting(gym.vector.VectorEnv):
    """One environment, reward 1, cut (not terminated) at every third step; the final observation is far away."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    num_envs = 1
    single_observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    single_action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.t = 0

    def step(self, actions):
        self.t += 1
        cut = self.t % 3 == 0
        infos = {"final_obs": np.array([np.full(4, 9.0, np.float32)])} if cut else {}
        where = 0.0 if cut else self.t % 3
        return np.full((1, 4), where, np.float32), np.ones(1), np.zeros(1, bool), np.array([cut]), infos


def test_the_floors_targets_are_lambda_returns_with_the_true_final_values():
    torch.manual_seed(0)
    policy, critic, _ = floor.make_networks(4, 2)
    start = np.zeros((1, 4), np.float32)
    _, data = floor.collect(Counting(), start, policy, critic, np.zeros(1), floor.deque(maxlen=100))
    with torch.no_grad():
        value = {x: floor.network(critic, torch.full((1, 4), float(x))).item() for x in (0, 1, 2, 9)}
    gamma, lam = floor.DISCOUNT, floor.GAE_LAMBDA
    deltas = [1 + gamma * value[1] - value[0], 1 + gamma * value[2] - value[1], 1 + gamma * value[9] - value[2]]
    advantages = [deltas[0] + gamma * lam * (deltas[1] + gamma * lam * deltas[2]), deltas[1] + gamma * lam * deltas[2]]
    expected = [advantages[0] + value[0], advantages[1] + value[1], deltas[2] + value[2]]
    assert data[4][:3].tolist() == pytest.approx(expected, rel=1e-5)
    assert abs(data[3].mean()) < 1e-5 and data[3].std() == pytest.approx(1.0, rel=0.01)


def test_the_floors_networks_are_views_of_one_vector():
    policy, critic, flat = floor.make_networks(4, 2)
    sum(parameter.sum() for parameter in (*policy, *critic)).backward()
    assert torch.equal(flat.grad, torch.ones_like(flat))
    with torch.no_grad():
        flat.zero_()
    assert not any(parameter.any() for parameter in (*policy, *critic))
    assert len(flat) == (4 * 64 + 64 + 64 * 64 + 64) * 2 + (64 * 2 + 2) + (64 + 1)


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(spans, "time", self)

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_span_does_not_count_what_spans_within_it_count(monkeypatch):
    clock, watch = Clock(monkeypatch), spans.Spans()
    inner = watch.timed(lambda: clock.sleep(2), "inner")
    outer = watch.timed(lambda: (clock.sleep(1), inner(), clock.sleep(4), inner()), "outer")
    outer()
    inner()
    assert watch.seconds == {("outer", "outer"): 5, ("outer", "inner"): 4, ("inner", "inner"): 2}
    assert watch.calls == {("outer", "outer"): 1, ("outer", "inner"): 2, ("inner", "inner"): 1}


def test_a_generators_steps_are_counted_and_what_happens_between_them_is_not(monkeypatch):
    clock, watch = Clock(monkeypatch), spans.Spans()

    def steps():
        for i in range(3):
            clock.sleep(1)
            yield i

    seen = []
    for i in watch.timed(lambda: steps(), "steps")():
        seen.append(i)
        clock.sleep(50)
    assert seen == [0, 1, 2]
    assert watch.seconds == {("steps", "steps"): 3}


def test_spans_are_taken_away_again():
    before = json.JSONDecoder.decode
    watch = spans.Spans()
    with watch.around({"json.JSONDecoder.decode": "decode"}):
        assert json.loads("[1]") == [1]
    assert json.JSONDecoder.decode is before and watch.calls == {("decode", "decode"): 1}
    with pytest.raises(AttributeError), watch.around({"json.JSONDecoder.no_such_thing": "x"}):
        pass


def test_the_profile_counts_the_calls_of_one_iteration(tmp_path):
    threads = torch.get_num_threads()
    content = profiling.profile("test", 2, tmp_path)
    torch.set_num_threads(threads)
    calls = {row["what"]: row["calls"] for row in content["rows"]}
    assert calls["env.step"] == calls["sampling"] == 128
    assert calls["backward"] == calls["optimizer: step"] == calls["loss, metrics"] == 16
    whats = {row["what"] for row in content["rows"]}
    assert whats == {*profiling.TARGETS.values(), "everything else"} - {profiling.COLLECT, profiling.LEARN}
    assert "| learning | backward |" in (tmp_path / "profile-test.md").read_text()


def test_the_exponent_of_a_power():
    assert costs.slope([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1.0)
    assert costs.slope([1, 2, 4], [1, 4, 16]) == pytest.approx(2.0)


def test_the_memory_of_a_run_is_watched():
    before = resident_megabytes()
    held = np.ones(20_000_000)  # 160 MB
    assert held.sum() and (resident_megabytes() - before > 100 or not sys.platform.startswith("linux"))


def test_peak_memory_is_compared_where_it_is_asked():
    def held(*megabytes):
        return [ran(100, 1.0) | {"peak_megabytes": each} for each in megabytes]

    workload = work(memory_at_most={"sb3": 1.0})
    found = compare.summarize(workload, {"sb3": held(400.0, 500.0, 900.0), "ours": held(450.0, 400.0, 500.0)})
    assert found["medians"]["ours"]["peak_megabytes"] == 450.0
    assert found["memory"] == [{"over": "sb3", "times": 0.9, "at_most": 1.0, "met": True}]
    assert not compare.summarize(workload, {"sb3": held(400.0), "ours": held(401.0)})["memory"][0]["met"]
    assert compare.summarize(workload, {"sb3": [ran(100, 1.0)], "ours": held(401.0)})["memory"] == []  # it was not told
    assert "  450 MB" in compare.line("ours", held(450.0)[0], workload)
    assert " MB" not in compare.line("ours", ran(100, 1.0), workload)


def test_memory_that_is_not_met_is_said_and_fails_the_command(monkeypatch, tmp_path, capsys):
    def run_side(settings, peers):
        peer = settings["program"] == "sb3"
        return ran(100, 4.0 if peer else 1.0) | {"peak_megabytes": 500.0 if peer else 600.0}

    monkeypatch.setattr(compare, "run_side", run_side)
    monkeypatch.setitem(WORKLOADS, "some", work(memory_at_most={"sb3": 1.0}))
    assert main(["run", "some", "--rounds", "1", "--out", str(tmp_path)]) == 1
    assert "ours holds 1.20 × the memory of sb3 at its peak  asked: 1 × at most, NOT MET" in capsys.readouterr().out
    assert json.loads((tmp_path / "peers-some.json").read_text())["memory"][0]["times"] == pytest.approx(1.2)


def test_the_peak_stays_when_memory_is_given_back():
    before = peak_megabytes()
    np.ones(20_000_000).sum()  # 160 MB, at once freed
    assert peak_megabytes() >= before
    assert peak_megabytes() > max(100.0, resident_megabytes() - 1.0)
