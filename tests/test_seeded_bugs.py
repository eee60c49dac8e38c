"""What tries the seeded bugs, held to bugs that nothing catches and to bugs that are mistakes themselves."""

import time

import pytest
from support.bugs import Bug, seeded, with_arguments, with_result
from support.forks import in_a_fork

from pg_agents import seeding
from pg_agents.collection import actor
from pg_agents.seeding import spawn


class Counter:
    STEP = 1

    def __init__(self):
        self.count = 0

    def add(self, times):
        self.count += self.STEP * times
        return self

    @property
    def twice(self):
        return 2 * self.count

    @classmethod
    def of(cls, times):
        return cls().add(times)

    @staticmethod
    def name():
        return "counter"


def needs_a_positive(number):
    if number <= 0:
        raise ValueError("it must be above 0")
    return number


@pytest.mark.parametrize("times", [0, 3])
def test_adding(times):
    assert Counter.of(times).count == times and Counter.of(times).twice == 2 * times


def test_the_name():
    assert Counter.name() == "counter"


def test_what_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        needs_a_positive(0)


def test_what_is_positive():
    assert needs_a_positive(1) == 1


def test_that_spawn_is_the_same_everywhere():
    assert spawn is seeding.spawn is actor.spawn and spawn(0, seeding.Purpose.ACTIONS) == 6_619_194_650_426_729_951


def test_that_fails_by_itself():
    if Failing.now:
        raise AssertionError("it fails")


class Failing:
    now = False


def tried(bug, request):
    seeded(bug)(bug, request)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (Bug("", Counter.add, with_result(Counter.add, lambda it: it), [test_adding]), r"test_adding\[3\] passes with"),
        (Bug("", Counter.add, lambda counter, n: Counter(), [(test_adding, "0")]), r"test_adding\[0\] passes with"),
        (Bug("", Counter.add, lambda: Counter(), [test_adding]), "another reason: TypeError"),
        (Bug("", Counter.add, lambda counter, n: Counter(), [test_adding, test_the_name]), "test_the_name passes with"),
        (Bug("", needs_a_positive, lambda number: 1 / 0, [test_what_is_positive]), "another reason: ZeroDivisionError"),
        (Bug("", object(), None, [test_the_name]), "stands in no module and in no class"),
        (Bug("", Counter.name, lambda: "", [tried]), "is no test of this file"),
    ],
)
def test_a_bug_that_nothing_catches_or_that_is_a_mistake_is_an_error(bug, message, request):
    with pytest.raises(AssertionError, match=message):
        tried(bug, request)


def test_a_test_that_fails_without_the_bug_is_an_error(request):
    Failing.now = True
    try:
        with pytest.raises(AssertionError, match="test_that_fails_by_itself fails without the bug"):
            tried(Bug("", Counter.name, lambda: "", [test_that_fails_by_itself]), request)
    finally:
        Failing.now = False


def test_a_bug_is_gone_afterwards(request):
    tried(Bug("", Counter.name, lambda: "", [test_the_name]), request)
    assert Counter.name() == "counter"


test_seeded_bugs = seeded(
    Bug("a method", Counter.add, lambda counter, times: counter, [(test_adding, "3")]),
    Bug("a method's argument", Counter.add, with_arguments(Counter.add, times=lambda n: n + 1), [test_adding]),
    Bug("a property", Counter.twice, lambda counter: counter.count, [test_adding]),
    Bug("a property's result", Counter.twice, with_result(Counter.twice, lambda twice: twice + 1), [test_adding]),
    Bug("a class method", Counter.of, with_result(Counter.of, lambda counter: counter.add(1)), [test_adding]),
    Bug("a static method", Counter.name, lambda: "", [test_the_name]),
    Bug("a constant", (Counter, "STEP"), 2, [test_adding]),
    Bug("a class", Counter, type("Wrong", (Counter,), {"STEP": 2}), [test_adding]),
    Bug("no error", needs_a_positive, lambda number: number, [test_what_is_not_positive_is_refused]),
    Bug("another error", needs_a_positive, lambda number: [][0], [test_what_is_positive], raises=IndexError),
    Bug("a function of the package", spawn, lambda seed, purpose: seed, [test_that_spawn_is_the_same_everywhere]),
)


@pytest.mark.slow
def test_a_fork_that_waits_for_ever_is_forked_anew_once(tmp_path):
    def work(waits):
        place = len(list(tmp_path.iterdir()))
        (tmp_path / str(place)).touch()
        if place < waits:
            time.sleep(60)
        return place

    with pytest.warns(UserWarning, match=r"a fork took more than 4 seconds; it stood at\n(.*\n)*.*in work"):
        assert in_a_fork(lambda: work(1), seconds=4) == 1
    with pytest.warns(UserWarning), pytest.raises(AssertionError, match=r"two forks .*\n(.*\n)*.*in work"):
        in_a_fork(lambda: work(9), seconds=4)
