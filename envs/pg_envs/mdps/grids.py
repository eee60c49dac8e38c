"""Grid worlds drawn as text: `GridWorld`, and the cliff of Sutton and Barto."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pg_envs.core.mdp import Outcome, TabularMDP
from pg_envs.mdps.mdp_envs import ProblemEnv, ProblemVectorEnv

CLASSIC = ("...G", ".#.P", "S...")  # Russell and Norvig's world
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left
FREE, WALL, START, GOAL, PIT, CLIFF = ".#SGPC"


def grid_world(
    layout: Sequence[str] = CLASSIC,
    slip: float = 0.2,
    step_reward: float = -0.04,
    goal_reward: float = 1.0,
    pit_reward: float = -1.0,
    cliff_reward: float = -1.0,
) -> TabularMDP:
    """Build the grid of `GridWorldEnv`.

    Raises:
        ValueError: rows of unequal length, an unknown character, no start, or a slip outside [0, 1].
    """
    if not 0 <= slip <= 1:
        raise ValueError(f"slip must lie in [0, 1], got {slip}")
    cells = _cells(layout)
    starts = cells == START
    extra = {GOAL: goal_reward, PIT: pit_reward, CLIFF: cliff_reward}

    def outcomes(cell: int, move: int) -> list[Outcome]:
        found = []
        for probability, direction in ((1 - slip, move), (slip / 2, move - 1), (slip / 2, move + 1)):
            entered = _neighbour(cells, len(layout[0]), cell, MOVES[direction % 4])
            kind = str(cells[entered])
            reward = step_reward + extra.get(kind, 0.0)
            back = np.flatnonzero(starts) if kind == CLIFF else [entered]
            found += [(probability / len(back), int(s), reward, kind in (GOAL, PIT)) for s in back]
        return found

    table = {cell: {move: outcomes(cell, move) for move in range(4)} for cell in range(len(cells))}
    return TabularMDP.from_table(table, starts / starts.sum())


def _cells(layout: Sequence[str]) -> np.ndarray:
    """Return the characters of the map, row by row, [height · width]."""
    cells = np.array([cell for row in layout for cell in row])
    if not layout or len(cells) != len(layout) * len(layout[0]) or len({len(row) for row in layout}) > 1:
        raise ValueError(f"layout must have rows of one length, got lengths {[len(row) for row in layout]}")
    if unknown := set(cells.tolist()) - {FREE, WALL, START, GOAL, PIT, CLIFF}:
        raise ValueError(f"layout: cells are . # S G P C (free, wall, start, goal, pit, cliff), got {sorted(unknown)}")
    if START not in cells:
        raise ValueError("layout has no start: mark at least one cell S")
    return cells


def _neighbour(cells: np.ndarray, width: int, cell: int, move: tuple[int, int]) -> int:
    """Return the cell that a move leads to: the same cell at the edge and in front of a wall."""
    row, column = cell // width + move[0], cell % width + move[1]
    inside = 0 <= row < len(cells) // width and 0 <= column < width
    return row * width + column if inside and cells[row * width + column] != WALL else cell


def cliff(height: int = 4, width: int = 12) -> TabularMDP:
    """Build the cliff of `CliffEnv`."""
    return grid_world(cliff_layout(height, width), 0.0, step_reward=-1.0, goal_reward=0.0, cliff_reward=-99.0)


def cliff_layout(height: int = 4, width: int = 12) -> tuple[str, ...]:
    """Draw the cliff along the lowest row, between start and goal."""
    if height < 2 or width < 3:
        raise ValueError(f"height must be at least 2 and width at least 3, got {height} and {width}")
    return (FREE * width,) * (height - 1) + (START + CLIFF * (width - 2) + GOAL,)


def _places(layout: Sequence[str] = CLASSIC, **_: float) -> list[str]:
    """Return the names of a map's cells: row, column, from the upper left, which is 0, 0."""
    return [f"{row}, {column}" for row in range(len(layout)) for column in range(len(layout[0]))]


def _places_at_cliff(height: int = 4, width: int = 12) -> list[str]:
    return _places(cliff_layout(height, width))


class _GridEnv(ProblemEnv):
    metadata = {"render_modes": ["ansi"], "render_fps": 4}
    layout: Sequence[str]

    def render(self) -> str | None:
        """Draw the map, with @ where the agent is."""
        if self.render_mode is None:
            return None
        width, cell = len(self.layout[0]), int(self.rows.state[0])
        text = "".join(self.layout)
        text = text[:cell] + "@" + text[cell + 1 :]
        return "\n".join(text[i : i + width] for i in range(0, len(text), width)) + "\n"


class _GridVectorEnv(ProblemVectorEnv):
    metadata = {**ProblemVectorEnv.metadata, "action_names": ("up", "right", "down", "left")}


class GridWorldVectorEnv(_GridVectorEnv):
    """The vector form of `GridWorldEnv`."""

    problem = staticmethod(grid_world)
    state_names = staticmethod(_places)


class GridWorldEnv(_GridEnv):
    """A walk over a map drawn as text, by default the 4 × 3 world of Russell and Norvig.

    ## Description
    The map, `layout`, has one string a row: `.` free, `S` start, `G` goal, `P` pit, `#` wall, `C` cliff, which leads
    back to the start. A move goes in its direction with probability 1 − slip, and to the left or right of it with
    slip / 2 each; a move against the edge or a wall leaves the agent where it is.

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left.

    ## Observation Space
    `Discrete(height · width)`: row · width + column, from the upper left. Walls are counted but never observed.

    ## Rewards
    `step_reward` for every step, and in addition `goal_reward`, `pit_reward` or `cliff_reward` on entering such a cell.
    Outcomes of one action that lead to the same cell pay the mean of their rewards.

    ## Starting State
    Any cell `S`, with equal probability.

    ## Episode End
    The episode terminates in a goal and in a pit. `pg/GridWorld-v0` cuts episodes at 100 steps; the best policy then
    expects a return of 0.7053, the random one −1.5532.

    ## Arguments
    - `layout` = ("...G", ".#.P", "S...").
    - `slip` = 0.2, `step_reward` = −0.04, `goal_reward` = 1, `pit_reward` = −1, `cliff_reward` = −1.

    ## References
    Russell and Norvig, "Artificial Intelligence: A Modern Approach", chapter "Making Complex Decisions".

    ## Version History
    - v0: first version.
    """

    vector_form = GridWorldVectorEnv

    def __init__(self, render_mode: str | None = None, layout: Sequence[str] = CLASSIC, **arguments: float) -> None:
        super().__init__(render_mode, layout=layout, **arguments)
        self.layout = layout


class CliffVectorEnv(_GridVectorEnv):
    """The vector form of `CliffEnv`."""

    problem = staticmethod(cliff)
    state_names = staticmethod(_places_at_cliff)


class CliffEnv(_GridEnv):
    """A walk along a cliff: the shortest path runs along the edge.

    ## Description
    A grid, 4 × 12 by default, with the start in the lower left corner, the goal in the lower right one and a cliff
    between them. Moves are deterministic; a step over the edge leads back to the start.

    ## Action Space
    `Discrete(4)`: 0 up, 1 right, 2 down, 3 left.

    ## Observation Space
    `Discrete(height · width)`: row · width + column, from the upper left.

    ## Rewards
    −1 for every step, −100 for a step over the edge.

    ## Starting State
    The lower left corner.

    ## Episode End
    The episode terminates in the goal. `pg/Cliff-v0` cuts episodes at 200 steps; the best policy then collects −13, the
    random one expects −2079.1.

    ## Arguments
    - `height` = 4, `width` = 12.

    ## References
    Sutton and Barto, "Reinforcement Learning: An Introduction", 2nd edition, example 6.6.

    ## Version History
    - v0: first version.
    """

    vector_form = CliffVectorEnv

    def __init__(self, render_mode: str | None = None, height: int = 4, width: int = 12) -> None:
        super().__init__(render_mode, height=height, width=width)
        self.layout = cliff_layout(height, width)
