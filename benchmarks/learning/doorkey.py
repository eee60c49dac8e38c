"""The best return of an episode of MiniGrid's Empty and DoorKey, from its layout, by breadth-first search.

    R = 1 − 0.9 n / n_max

with the fewest steps n from the start to the goal and the environment's limit n_max.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym

AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))  # by direction
Kinds = dict[tuple[int, int], str]  # what stands in a cell at the start: wall, door, key, goal


class State(NamedTuple):
    """Where the agent is, where it looks, and what it has done; nothing else changes in these environments."""

    x: int
    y: int
    direction: int
    has_key: bool = False
    door_is_open: bool = False


def successors(state: State, kinds: Kinds) -> Iterator[State]:
    """Yield the states after a turn, and after what can be done with the cell ahead.

    Dropping the key and closing the door are left out: neither makes a way shorter.
    """
    for turn in (-1, 1):
        yield state._replace(direction=(state.direction + turn) % 4)
    right, down = AHEAD[state.direction]
    at = state.x + right, state.y + down
    kind = kinds.get(at)
    if kind == "key" and not state.has_key:
        yield state._replace(has_key=True)
    elif kind == "door" and not state.door_is_open:
        if state.has_key:
            yield state._replace(door_is_open=True)
    elif kind != "wall":
        yield state._replace(x=at[0], y=at[1])


def fewest_steps(start: State, kinds: Kinds) -> int:
    """Return n, the fewest steps from `start` to the goal.

    Raises:
        ValueError: there is no way to the goal.
    """
    seen, border, steps = {start}, {start}, 0
    while border:
        if any(kinds.get((state.x, state.y)) == "goal" for state in border):
            return steps
        border = {after for state in border for after in successors(state, kinds)} - seen
        seen |= border
        steps += 1
    raise ValueError(f"there is no way from {start} to the goal")


def best_return(env: gym.Env) -> float:
    """Return R of the episode that has just begun in a MiniGrid environment."""
    core: Any = env.unwrapped
    cells = ((x, y, core.grid.get(x, y)) for x in range(core.width) for y in range(core.height))
    kinds = {(x, y): cell.type for x, y, cell in cells if cell is not None}
    start = State(int(core.agent_pos[0]), int(core.agent_pos[1]), int(core.agent_dir))
    return 1 - 0.9 * fewest_steps(start, kinds) / core.max_steps


class BestReturns(gym.Wrapper):
    """Keeps the best return of every episode that begins, in `best_returns`."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.best_returns: list[float] = []

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Begin an episode."""
        begun = super().reset(**arguments)
        self.best_returns.append(best_return(self.env))
        return begun
