"""Where time and memory go: the stopwatch, the profile, costs against sizes, options, decoding."""

import json
import sys

import numpy as np
import pytest
import torch

from benchmarks.speed import costs, decoding, options, profile
from benchmarks.speed._profile import spans
from benchmarks.suite.machine import peak_megabytes, resident_megabytes
from benchmarks.suite.records import Record


def record(name, seed, result, error=None):
    return Record("x", {"name": name}, seed, result, error)


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


def test_the_profile_counts_the_calls_of_one_iteration():
    threads = torch.get_num_threads()
    content = profile.run(profile.Cell("PPO", iterations=2), 0)
    torch.set_num_threads(threads)
    calls = {row["what"]: row["calls"] for row in content["rows"]}
    assert calls["env.step"] == calls["sampling"] == 128
    assert calls["backward"] == calls["optimizer: step"] == calls["loss, metrics"] == 16
    whats = {row["what"] for row in content["rows"]}
    assert whats == {*profile.TARGETS.values(), "everything else"} - {profile.COLLECT, profile.LEARN}
    tables = profile.table([record("PPO", 0, content)])
    assert "| learning | backward |" in tables["functions"] and "| both |" in tables["phases"]


def test_a_profile_that_is_missing_or_failed_says_so():
    assert profile.table([]) == {"phases": "missing"}
    assert "RuntimeError: no" in profile.table([record("PPO", 0, None, "RuntimeError: no")])["phases"]


def test_the_exponent_of_a_power():
    assert costs.slope([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1.0)
    assert costs.slope([1, 2, 4], [1, 4, 16]) == pytest.approx(2.0)


def test_exponents_are_of_medians_over_rounds_and_of_what_was_measured():
    rounds = enumerate((1, 9, 2))
    longer = [record(cell.name, i, {"seconds": cell.total_steps * s}) for i, s in rounds for cell in costs.LONGER]
    wider = [record(cell.name, 0, {"seconds": cell.num_envs**0.5}) for cell in costs.WIDER[:3]]
    memory = record("memory", 0, {"memory": [[i, 100.0 + i] for i in range(costs.LOOKS)]})
    failed = record("environments/128", 0, None, "RuntimeError: no memory")
    found = costs.numbers([*longer, *wider, memory, failed])
    assert found == {"exponent-steps": "1.00", "exponent-environments": "0.50", "grown": "15.0"}
    table = costs.table([*longer, *wider, memory, failed])["costs"]
    assert "| steps/25600 | 25,600 | 51200.00 | – |" in table and "environments/64 | missing" in table
    assert "no memory" in table and costs.numbers([]) == {}


def test_a_run_of_costs_has_both_clocks(monkeypatch):
    seen = {}

    def run_side(settings, peers):
        seen.update(settings)
        return {"steps": 1, "seconds": 2.0, "cpu_seconds": 1.5}

    monkeypatch.setattr(costs, "run_side", run_side)
    assert costs.run(costs.WIDER[-1], 2) == {"seconds": 2.0, "cpu_seconds": 1.5}
    assert seen["num_envs"] == 128 and seen["total_steps"] == 50 * 128 * 128 and seen["seed"] == 2


def test_the_memory_of_a_long_run_is_looked_at_twenty_times():
    threads = torch.get_num_threads()
    found = costs.run(costs.Cell("memory", "memory", 20 * 1024), 0)["memory"]
    torch.set_num_threads(threads)
    assert [steps for steps, _ in found] == [1024 * i for i in range(1, 21)] and found[0][1] > 50


def test_an_option_is_timed_and_one_without_its_machine_says_so(monkeypatch):
    threads = torch.get_num_threads()
    found = options.run(options.Cell("one thread", iterations=2), 0)
    torch.set_num_threads(threads)
    assert min(found.values()) > 0 and {*found} == {"collecting", "learning", "first_seconds", "processor"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no GPU with CUDA; leave the cell out by --only"):
        options.run(options.Cell("CUDA", device="cuda"), 0)


def test_when_an_option_pays():
    plain = {"collecting": 10.0, "learning": 20.0, "first_seconds": 0.0}
    faster = {"collecting": 10.0, "learning": 10.0, "first_seconds": 5.0}
    assert options.pays_after(faster, plain) == pytest.approx(500)
    assert options.pays_after(plain, faster) is None
    cheap = faster | {"first_seconds": -1.0}
    named = {"one thread": plain, "two threads": cheap, "one thread, agent.compile()": faster}
    table = options.table([record(name, 0, result) for name, result in named.items()])
    assert "| two threads | 10.00 | 10.00 | – | -1.00 | at once |" in table
    assert "| one thread, agent.compile() | 10.00 | 10.00 | – | 5.00 | 500 iterations |" in table
    assert "| CUDA | missing |" in table


def test_decoding_takes_turns_and_compares_rounds(monkeypatch):
    order, clock = [], iter([(8.0, 4.0), (2.0, 2.0), (1.0, 1.0), (3.0, 3.0), (30.0, 15.0), (10.0, 10.0)])
    sides = {name: (lambda name=name: order.append(name)) for name in ("ours", "generate")}

    def seconds(play):
        play()
        return next(clock)

    monkeypatch.setattr(decoding, "seconds", seconds)
    found = decoding.measured(sides, decoding.Cell("batch/8", 8, rounds=3))
    assert order == ["ours", "generate", "generate", "ours", "ours", "generate", "generate", "ours"]  # two to warm up
    assert found["each"] == pytest.approx([4.0, 3.0, 3.0]) and found["ratio"] == pytest.approx(3.0)
    assert found["by_processor"] == pytest.approx(2.0)
    assert found["tokens_per_second"] == pytest.approx({"ours": 8 * 16 / 2.0, "generate": 8 * 16 / 8.0})
    row = decoding.table([record("batch/8", 0, found | {"cached_error": 1e-5})])
    assert "| batch/8 | 16 | 64 | **3.00 ×** | 3.00 … 4.00 | 2 | 1e-05 |" in row and "| batch/64 | missing |" in row
    assert decoding.numbers([record("batch/8", 0, found | {"cached_error": 1e-5})]) == {"error": "1e-5"}


def test_the_memory_of_a_run_is_watched():
    before = resident_megabytes()
    held = np.ones(20_000_000)  # 160 MB
    assert held.sum() and (resident_megabytes() - before > 100 or not sys.platform.startswith("linux"))


def test_the_peak_stays_when_memory_is_given_back():
    before = peak_megabytes()
    np.ones(20_000_000).sum()  # 160 MB, at once freed
    assert peak_megabytes() >= before
    assert peak_megabytes() > max(100.0, resident_megabytes() - 1.0)
