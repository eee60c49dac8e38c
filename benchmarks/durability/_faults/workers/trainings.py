"""Faults of trainings, the same for every side: they are ended by a signal, and they go on."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from faults import Found
from forks import Begin, Ended, Fork


class Learner(Protocol):
    """A library's training that saves as it goes."""

    def learn(self, folder: Path, begin: Begin) -> None:
        """Learn for long, and call `begin` once learning has begun."""

    def load(self, folder: Path) -> str:
        """Return the fingerprint of what the library's own call loads."""


class Resumer(Protocol):
    """A library's training that can go on from what it saved on half of its way."""

    def whole(self, folder: Path, seed: int) -> str:
        """Train without a stop, save on half of the way, and return the fingerprint of the parameters in the end."""

    def resumed(self, folder: Path, seed: int) -> str:
        """Train on from that save to the same end, and return the fingerprint of the parameters."""


def terminate(learner: Learner, folder: Path, count: int, seed: int) -> Found:
    """Send SIGTERM at a random instant of the first seconds of learning, and look for something to load."""
    draw, found, codes, seconds = random.Random(seed), Counter[str](), Counter[str](), []
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        fork = Fork(partial(_learn, learner, place))
        if not fork.wait_for_begin():
            raise RuntimeError(f"learning did not begin ({fork.join().trouble()})")
        time.sleep(draw.uniform(0.5, 5.0))
        fork.send(signal.SIGTERM)
        sent = time.monotonic()
        ended = fork.join(30.0)
        seconds.append(time.monotonic() - sent)
        codes["hung" if ended.hung else str(ended.code)] += 1
        found[_what_loads(learner, place)] += 1
    return {"found": found, "codes": codes, "slowest_seconds": max(seconds)}


def _learn(learner: Learner, place: Path, begin: Begin) -> str:
    learner.learn(place, begin)
    return "learned"


def _what_loads(learner: Learner, place: Path) -> str:
    """Return whether something loads, or why not."""
    loaded = Fork(lambda begin: learner.load(place)).join()
    if loaded.said is not None:
        return "something loads"
    return loaded.trouble() if any(file.is_file() for file in place.rglob("*")) else "nothing to load"


def resume(resumer: Resumer, folder: Path, count: int, seed: int) -> Found:
    """Hold two trainings that go on from one save beside each other, and beside the one that was not stopped."""
    found, alike = Counter[str](), 0
    for number in range(count):
        place, again = folder / f"{number}", folder / f"{number}-again"
        place.mkdir()
        whole = _train(resumer.whole, place, seed + number)
        if whole.said is None:
            raise RuntimeError(f"training failed ({whole.trouble()})")
        shutil.copytree(place, again)
        one, other = (_train(resumer.resumed, where, seed + number) for where in (place, again))
        failed = [each.trouble() for each in (one, other) if each.said is None]
        alike += not failed and one.said == other.said
        equal = one.said == other.said == whole.said
        found[failed[0] if failed else "equal" if equal else "differs"] += 1
    return {"found": found, "two_resumed_are_equal": alike}


def _train(how: Callable[[Path, int], str], folder: Path, seed: int) -> Ended:
    return Fork(lambda begin: how(folder, seed)).join()
