"""When the timer rings, what a ring does, and what is left of both: with a clock that stands still in between."""

import math
import signal
import time
from types import SimpleNamespace

import pytest

from pg_agents.spaces.time_limit import ALARM, OutOfTime, TimeLimit

pytestmark = pytest.mark.skipif(ALARM is None, reason="Windows has no alarms")


class Timer:
    """Stands for the system's clock and its timer.

    Attributes:
        now: what the clock shows.
        before: seconds until the alarm that somebody else has set, and between its later ones.
        given: the arguments of every call.
    """

    def __init__(self):
        self.now, self.before, self.given = 100.0, (0.0, 0.0), []

    def set(self, _, *seconds):
        self.given.append(seconds)
        return self.before

    def rings(self, limit, now):
        self.now = now
        limit._ring(ALARM, None)


@pytest.fixture
def timer(monkeypatch):
    found = Timer()
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    monkeypatch.setattr(signal, "setitimer", found.set)
    return found


@pytest.mark.parametrize(("seconds", "tick"), [(2.0, 0.5), (100.0, 1.0)])
def test_it_looks_four_times_in_the_limit_or_every_second_and_never_afterwards(timer, seconds, tick):
    with TimeLimit(seconds):
        assert timer.given == [(tick, tick)]
    assert timer.given == [(tick, tick), (0,)]


def test_a_call_is_out_of_time_from_when_it_was_first_seen_and_so_is_every_later_one(timer):
    def hangs():
        timer.rings(limit, 200.0)
        timer.rings(limit, 201.9)
        timer.rings(limit, 202.0)

    with TimeLimit(2.0) as limit:
        for now in (110.0, 120.0, 130.0):
            timer.rings(limit, now)  # no call is running
        assert limit.call(lambda: 7) == 7
        with pytest.raises(OutOfTime):
            limit.call(hangs)
        assert timer.now == 202.0
        with pytest.raises(OutOfTime):
            limit.call(lambda: 7)


@pytest.mark.parametrize(("interval", "count"), [(0.0, 1), (3.0, 2)])
def test_an_alarm_of_before_rings_at_its_times_and_afterwards_too(timer, interval, count):
    rung, before = [], signal.getsignal(ALARM)

    def handler(number, frame):
        rung.append(timer.now)

    signal.signal(ALARM, handler)
    timer.before = 10.0, interval
    try:
        with TimeLimit(2.0) as limit:
            for now in (109.0, 110.5, 111.0, 114.0, 115.0):
                timer.rings(limit, now)
        assert signal.getsignal(ALARM) is handler
    finally:
        signal.signal(ALARM, before)
    assert rung == [110.5, 114.0][:count]
    assert timer.given[1:] == ([(0,), (2.0, 3.0)] if interval else [(0,)])


def test_workers_whose_answer_came_in_time_are_not_killed_later():
    killed = []
    workers = SimpleNamespace(processes=[SimpleNamespace(kill=lambda: killed.append(1))])
    limit = TimeLimit(0.05, workers)
    assert limit.call(lambda: 7) == 7
    time.sleep(0.2)
    assert not killed and not limit.expired


def test_without_a_limit_no_timer_is_set(timer):
    with TimeLimit(None) as limit:
        assert limit.call(math.sqrt, 4.0) == 2.0
    assert timer.given == []
