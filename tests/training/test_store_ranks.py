"""Processes that work alone tell each other what they found, and notice who has ended."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed as dist

from pg_agents.errors import LostRankError
from pg_agents.training import store_ranks
from pg_agents.training.ranks import check_same, told
from pg_agents.training.store_ranks import StoreRanks, looking, of_every


def on_store(count, function):
    """Return [function(rank) for each of `count` ranks], called in threads at the same time."""
    store = dist.HashStore()

    def call(number):
        with StoreRanks(store, number, count) as ranks:
            return function(ranks)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def test_each_gets_what_all_have_found_in_order():
    given = [torch.arange(2 * number, dtype=torch.float64) for number in range(3)]  # one of them is empty

    def tell(ranks):
        found = ranks.gather(given[ranks.number])
        return found, of_every(ranks, {"seed": ranks.number}), told(ranks, f"of {ranks.number}")

    for found, values, text in on_store(3, tell):
        assert all(map(torch.equal, found, given)) and [one.dtype for one in found] == [torch.float64] * 3
        assert values == [{"seed": 0}, {"seed": 1}, {"seed": 2}] and text == "of 0"


def test_sums_are_those_of_all():
    def add(ranks):
        ranks.add([mine := torch.tensor([1.0, ranks.number])])
        return mine.tolist()

    assert on_store(3, add) == [[3.0, 3.0]] * 3


def test_other_arguments_are_refused_on_all():
    def check(ranks):
        with pytest.raises(ValueError, match=r"^seeds: rank 0 has \[0\], rank 1 has \[1\]; start all ranks"):
            check_same(ranks, {"seeds": [ranks.number]})

    on_store(2, check)


def test_who_is_ready_waits_for_the_others_and_looks_meanwhile():
    looks = []

    def work(ranks):
        if ranks.number:
            while len(looks) < 3:
                time.sleep(0.01)
        with looking(ranks, lambda: looks.append(ranks.number)):
            return of_every(ranks, ranks.number)

    assert on_store(2, work) == [[0, 1], [0, 1]] and looks.count(0) >= 3


def test_an_error_of_what_looks_ends_the_wait():
    def work(ranks):
        def ends():
            raise KeyboardInterrupt

        if ranks.number == 0:
            with pytest.raises(KeyboardInterrupt), looking(ranks, ends):
                of_every(ranks, 0)

    on_store(2, work)


def test_the_first_is_the_last_to_leave(monkeypatch):
    monkeypatch.setattr(store_ranks, "PATIENCE", 60)
    left = []

    def work(number):
        with StoreRanks(store, number, 2):
            time.sleep(0.3 * number)
            if number:
                left.append(number)
        left.append(-number)

    store = dist.HashStore()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert left[0] == 1 and 0 in left[1:]


def test_whoever_leaves_is_missed_at_once(monkeypatch):
    monkeypatch.setattr(store_ranks, "SILENT", 1e9)

    def work(ranks):
        if ranks.number == 0:
            with pytest.raises(LostRankError, match=r"^rank 0: rank 1 has ended; what it said stands above$"):
                of_every(ranks, 0)

    on_store(2, work)


class Clock:
    """Time that passes while one sleeps."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize(("begun", "seconds"), [(True, store_ranks.SILENT), (False, store_ranks.BEFORE)])
def test_whoever_gives_no_sign_of_life_is_lost(begun, seconds, monkeypatch):
    monkeypatch.setattr(store_ranks, "time", clock := Clock())
    store = dist.HashStore()
    if begun:
        store.set("beat/1", "7")  # and never again
    with StoreRanks(store, 0, 2) as ranks:
        with pytest.raises(LostRankError, match="^rank 0: rank 1 has ended, or does not"):
            of_every(ranks, 0)
        assert seconds < clock.now < seconds + 1


def test_whoever_lives_is_not_lost_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(store_ranks, "time", clock := Clock())
    store = dist.HashStore()

    def lives():
        store.set("beat/1", str(clock.now // 50))
        if clock.now > 2000:
            store.set("1/1", store.get("1/0"))

    with StoreRanks(store, 0, 2) as ranks, looking(ranks, lives):
        assert of_every(ranks, 3) == [3, 3]


def test_a_store_that_is_gone_is_one_sentence():
    class Gone(dist.HashStore):
        def set(self, *of_anything):
            raise dist.DistNetworkError("connection reset")

    with StoreRanks(Gone(), 1, 2) as ranks, pytest.raises(LostRankError, match="^rank 1: the first one has ended, or"):
        of_every(ranks, 0)


def test_one_is_the_first():
    assert sorted(on_store(3, lambda ranks: ranks.is_first())) == [False, False, True]
