"""Ranks that watch each other: who is silent, who says it, and how the others end."""

import math
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from support.bugs import Bug, seeded

from pg_agents.cli.launched import speaks
from pg_agents.errors import LostRankError
from pg_agents.training import heartbeat as module
from pg_agents.training import ranks
from pg_agents.training.heartbeat import Heartbeat, Watch, check_answers, heartbeat, in_the_end, is_mute
from pg_agents.training.ranks import GroupRanks, is_owed

SECONDS = 20


class Clock:
    """A clock that stands still between its ticks; `events` happen at their seconds."""

    def __init__(self):
        self.now, self.events = 1000.0, {}

    def monotonic(self):
        return self.now

    def tick(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1
            self.events.get(self.now - 1000, lambda: None)()


class Event:
    """A threading.Event whose `wait` lets the clock tick."""

    def __init__(self, clock):
        self.clock, self.is_set = clock, False

    def wait(self, seconds):
        self.clock.tick(seconds)
        return self.is_set

    def set(self):
        self.is_set = True


class Ended(BaseException):
    """The process ends."""


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    def ends(code):
        raise Ended(clock.now - 1000, code)

    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module.os, "_exit", ends)
    monkeypatch.setattr(module, "_latest", [])
    return clock


@pytest.fixture
def three(clock):
    """Return the heartbeats of three ranks on one store, the first of them this process's, and what each said."""
    store, said = dist.HashStore(), [[], [], []]
    found = [Heartbeat(store, number, 3, said[number].append) for number in range(3)]
    for one in found:
        one.over = Event(clock)
        one.join()
    module._latest[:] = found[:1]
    return found, said


def look(watch, now, *counters):
    return watch.look(1000.0 + now, counters)


def test_a_rank_is_silent_when_its_counter_has_stood_still():
    watch = Watch(SECONDS)
    found = [look(watch, now, now, min(now, 3)) for now in range(30)]
    assert found == [[]] * 24 + [[1]] * 6  # it was new at 3


def test_slow_beats_and_two_that_hang_are_told_apart():
    watch = Watch(SECONDS)
    found = [look(watch, now, now, now // 18, 0, 0) for now in range(100)]
    assert found == [[]] * 21 + [[2, 3]] * 79


def test_a_rank_that_has_finished_is_not_missed():
    watch = Watch(SECONDS)
    assert all(look(watch, now, now, now if now < 5 else module.OVER) == [] for now in range(100))


@pytest.mark.parametrize("pause", [6, 3600])
def test_after_a_common_stop_nobody_is_blamed(pause):
    watch = Watch(SECONDS)
    for now in range(19):
        assert look(watch, now, now, 0) == []
    again = 18 + pause
    found = [look(watch, again + more, again + more, 0) for more in range(30)]
    assert found == [[]] * 21 + [[1]] * 9  # the whole time again


def test_a_watcher_that_is_always_late_blames_nobody():
    watch = Watch(SECONDS)
    assert all(look(watch, now, now, 0) == [] for now in range(0, 600, 6))


def test_the_lowest_that_is_there_speaks_and_the_others_let_it_go_first(three, clock):
    (first, second, third), said = three
    first.finish()
    for now in range(1, 40):
        clock.tick(1)
        second.beat(clock.now)
        if now < 10:
            third.beat(clock.now)
    assert second.silent == [2] and not second.mute
    second.blame()
    assert said == [[], ["rank 2 has not answered for 20 seconds: stopped, or out of reach; the run ends"], []]
    assert second.lost == "rank 2 does not answer"


def test_another_than_the_lowest_keeps_quiet(three, clock):
    (first, second, _), said = three
    for _ in range(40):
        clock.tick(1)
        first.beat(clock.now)
        second.beat(clock.now)
    assert second.silent == [2] and second.mute and not first.mute
    before = clock.now
    second.blame()
    assert clock.now == before + module.LATER and said == [[], [], []]
    module._latest[:] = [second]
    assert is_mute() and not speaks(LostRankError("rank 1: another one has ended"))
    module._latest[:] = [first]
    assert not is_mute() and speaks(LostRankError("rank 0: rank 2 does not answer"))


def test_several_are_named(three, clock):
    first, said = three[0][0], three[1][0]
    for _ in range(40):
        clock.tick(1)
        first.beat(clock.now)
    first.blame()
    assert said == ["ranks 1, 2 have not answered for 20 seconds: stopped, or out of reach; the run ends"]
    with pytest.raises(LostRankError, match="^rank 0: ranks 1, 2 do not answer$"):
        check_answers()


def test_a_process_whose_main_thread_hangs_ends_itself_with_the_line_that_resumes(three, clock):
    first, said = three[0][0], three[1][0]
    in_the_end(lambda: "next     pg-agents resume r")
    check_answers()  # nothing is known yet
    with pytest.raises(Ended) as ended:
        first._run()
    seconds, code = ended.value.args
    assert code == 2 and said[1:] == ["next     pg-agents resume r"]
    assert SECONDS + module.PATIENCE < seconds < SECONDS + module.PATIENCE + 5


def test_a_main_thread_that_has_taken_notice_has_time_to_save(three, clock):
    first, heard = three[0][0], []

    def notice():
        with pytest.raises(LostRankError):
            check_answers()
        heard.append(clock.now)

    clock.events[28] = notice
    with pytest.raises(Ended) as ended:
        first._run()
    assert heard and 28 + module.ENDING < ended.value.args[0] < 28 + module.ENDING + 5


def test_it_ends_quietly_with_the_run_and_with_the_launcher(three, clock):
    (first, second, _), said = three
    clock.events[3] = first.over.set
    first._run()
    assert first.store.get("0") == b"-1" and int(second.store.get("1")) == 0

    class Gone:
        def add(self, key, value):
            raise dist.DistNetworkError("Connection reset by peer")

    second.store = Gone()
    second._run()
    assert said == [[], [], []]


def test_the_thread_of_a_rank_ends_with_its_context(monkeypatch):
    monkeypatch.setattr(module, "_latest", [])
    store = dist.HashStore()
    with heartbeat(store, 1, 2, print) as beating:
        assert beating.thread.is_alive() and beating.thread.daemon
    assert not beating.thread.is_alive() and store.get("1") == b"-1"
    check_answers()


class Work:
    """What gloo returns for a collective: it is done after so many waits, or fails then."""

    def __init__(self, waits, fails=False):
        self.waits, self.fails = waits, fails

    def is_completed(self):
        return self.waits <= 0

    def wait(self, timeout=None):
        assert timeout in (None, timedelta(seconds=1))
        self.waits -= 1
        if self.waits > 0:
            raise RuntimeError("Operation timed out!")
        if self.fails:
            raise RuntimeError("Connection closed by peer")
        return True


@pytest.fixture
def alone(monkeypatch):
    """Return a rank of a group whose collectives are `Work`."""
    found = {"get_rank": 0, "get_world_size": 2, "get_backend": "gloo"}
    for name, value in found.items():
        monkeypatch.setattr(dist, name, lambda value=value: value)
    monkeypatch.setattr(ranks, "_begun", [])

    def rank(work):
        monkeypatch.setattr(dist, "all_reduce", lambda tensor, async_op: work)
        return GroupRanks()

    return rank


def test_who_is_waited_for_is_waited_for_in_slices(alone, three):
    work = Work(4)
    alone(work).add([torch.zeros(2)])
    assert work.is_completed() and not is_owed() and ranks._begun == []


def test_a_collective_that_fails_is_a_lost_rank(alone, three):
    with pytest.raises(LostRankError, match="another one has ended.*Connection closed by peer"):
        alone(Work(3, fails=True)).add([torch.zeros(2)])
    assert not is_owed()


def test_a_silent_rank_ends_the_wait_and_torch_is_left_with_it(alone, three):
    first = three[0][0]
    first.lost = "rank 1 does not answer"
    with pytest.raises(LostRankError, match="^rank 0: rank 1 does not answer$"):
        alone(Work(10**6)).add([torch.zeros(2)])
    assert is_owed()


def _impatient(work):
    """A slice that is over counts as the end."""
    try:
        return work.wait(ranks.SLICE)
    except RuntimeError:
        return True


def _told_to_all(self):
    self.mute = False
    self._say("rank 2 has not answered")


test_seeded_bugs = seeded(
    Bug("no gap restarts the count", (module, "GAP"), math.inf, [test_after_a_common_stop_nobody_is_blamed]),
    Bug(
        "who has finished is missed",
        Heartbeat.finish,
        lambda self: None,
        [test_it_ends_quietly_with_the_run_and_with_the_launcher],
    ),
    Bug("all say it", Heartbeat.blame, _told_to_all, [test_another_than_the_lowest_keeps_quiet]),
    Bug("a slice is the end", ranks._is_done, _impatient, [test_who_is_waited_for_is_waited_for_in_slices]),
)
