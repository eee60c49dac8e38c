"""Suites: names under which experiments, or some of their cells, are run together, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar


class Named(Protocol):
    """A cell of an experiment."""

    @property
    def name(self) -> str:
        """Its name, unique within the experiment."""


C = TypeVar("C", bound=Named)


@dataclass(frozen=True)
class Part:
    """An experiment in a suite.

    Attributes:
        experiment: its name.
        cells: patterns of names of cells, "CartPole-v1/*"; those of the first pattern run first.
        seeds: in place of the experiment's own; None: those.
    """

    experiment: str
    cells: tuple[str, ...] = ("*",)
    seeds: Sequence[int] | None = None

    def of(self, cells: Sequence[C]) -> list[C]:
        """Return the cells that are part of the suite, in its order."""
        found = {cell.name: cell for pattern in self.cells for cell in cells if fnmatchcase(cell.name, pattern)}
        return list(found.values())


# What is asked for most often comes first: a suite that is cut off leaves the rest as missing.
FIRST = Part("classic", ("CartPole-v1/*", "Acrobot-v1/*", "Pendulum-v1/*", "LunarLander-v3/*"))
CLASSIC = (FIRST, Part("classic"))
MUJOCO = (Part("mujoco", ("HalfCheetah-v5/*", "Hopper-v5/*", "*")),)
BANDITS = (Part("lecture_note"), Part("bandits"))
MDPS = (Part("mdps"), Part("continuing"))
MEMORY = (Part("memory"),)
BESIDE_PEERS = tuple(map(Part, ("same_work", "many_seeds", "from_pictures", "with_trl", "two_processes")))
SPEED = tuple(
    map(
        Part,
        (
            *("two_forms", "one_thread", "learners_cost", "costs", "options", "profile", "decoding", "tricks"),
            *("one_action", "course", "sharding"),
        ),
    )
)

SUITES: dict[str, tuple[Part, ...]] = {
    "smoke": (Part("smoke"),),
    "bandits": BANDITS,
    "mdps": MDPS,
    "tokens": (Part("tokens"),),
    "classic": CLASSIC,
    "mujoco": MUJOCO,
    "memory": MEMORY,
    "pictures": (Part("pictures"), Part("pong")),
    "abilities": (Part("abilities"),),
    "peers": (Part("classic", ("*sb3*",)), Part("mujoco", ("*sb3*",)), *BESIDE_PEERS),
    "speed": (*BESIDE_PEERS, *SPEED),
    "learning": (
        FIRST,
        Part("mujoco", ("HalfCheetah-v5/*", "Hopper-v5/*")),
        *CLASSIC,
        *MUJOCO,
        *BANDITS,
        *MDPS,
        *MEMORY,
        Part("abilities"),
        Part("tokens"),
        Part("pictures"),
    ),
}
