"""Numbers and names as they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pg_agents.shown import printable, shortened

ABSENT = "–"
PLACE = re.compile(r"(?<![\w.<])(?:~?/|[A-Za-z]:[\\/])(?:[^\s/\\,;:'\"<>]+[\\/])+")
WORDS = {
    "rollout/ep_rew_mean": "return, mean of the last 100 episodes",
    "eval/ep_rew_mean": "return, mean of an evaluation",
    "rollout/ep_len_mean": "episode length, mean of the last 100",
}


def in_words(metric: str) -> str:
    """Return what a metric is."""
    return WORDS.get(metric, metric)


def without_places(text: str) -> str:
    """Return a text in which absolute paths have lost the folders of the machine that they are on."""
    return PLACE.sub("…/", text)


def one_line(text: str, most: int = 200) -> str:
    """Return a name from a file in one line that can be printed."""
    return shortened(printable(text), most).replace("\n", " ")


def number(value: float | None) -> str:
    """Return a number with four digits."""
    return ABSENT if value is None else f"{value:.4g}"


def between(ends: tuple[float, float] | None, digits: str = ".4g") -> str:
    """Return the ends of an interval."""
    return ABSENT if ends is None else f"{ends[0]:{digits}} … {ends[1]:{digits}}"


def probability(value: float | None, ends: tuple[float, float] | None) -> str:
    """Return a probability with its interval."""
    if value is None:
        return ABSENT
    return f"{value:.2f}" if ends is None else f"{value:.2f} ({between(ends, '.2f')})"


def some(names: Iterable[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
