"""`Catch`, a falling ball and a paddle, seen as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.rows import RowEnv, RowsVectorEnv


class CatchVector(RowsVectorEnv):
    """The vector form of `Catch`.

    Args:
        num_envs: B, the number of independent boards.
        rows: h, cells from top to bottom.
        columns: w, cells from left to right.
        pixels: p, pixels a side of a cell.
        channels: c, equal channels of the picture behind its other axes; None: it has no such axis.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.

    Raises:
        ValueError: fewer than two rows or columns, pixels or channels below 1.
    """

    changing = ("uniforms", "ball", "paddle")

    def __init__(
        self,
        num_envs: int,
        rows: int = 10,
        columns: int = 10,
        pixels: int = 2,
        channels: int | None = None,
        **form: Any,  # noqa: ANN401
    ) -> None:
        given = (("rows", rows, 2), ("columns", columns, 2), ("pixels", pixels, 1), ("channels", channels, 1))
        for name, value, least in given:
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        shape = (rows * pixels, columns * pixels) + (() if channels is None else (channels,))
        super().__init__(num_envs, Box(0, 255, shape, np.uint8), Discrete(3), **form)
        self.board, self.pixels, self.channels = (rows, columns), pixels, channels
        self.ball = np.zeros(num_envs, np.int64)  # its column; its row is the number of steps taken
        self.paddle = np.zeros(num_envs, np.int64)  # its column, in the last row

    def _start(self, rows: Rows) -> None:
        at, columns = self._index(rows), self.board[1]
        self.ball[at] = self.uniforms.take(rows) * columns  # rounded down
        self.paddle[at] = columns // 2

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        at, (height, width) = self._index(rows), self.board
        self.paddle[at] = (self.paddle[at] + actions - 1).clip(0, width - 1)
        over = self.elapsed[at] + 1 >= height - 1
        caught = self.ball[at] == self.paddle[at]
        return np.where(over, np.where(caught, 1.0, -1.0), 0.0), over

    def _observe(self) -> NDArray[np.uint8]:
        height, width = self.board
        cells = np.zeros((self.num_envs, height, self.pixels, width, self.pixels), np.uint8)
        cells[self.all_rows, self.elapsed, :, self.ball] = 255
        cells[self.all_rows, -1, :, self.paddle] = 255
        pictures = cells.reshape(self.num_envs, height * self.pixels, width * self.pixels)
        return pictures if self.channels is None else pictures[..., None].repeat(self.channels, axis=-1)

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return 2/w − 1, and 2 n/w − 1 with the number n of columns within reach; 0 if the ball does not land."""
        (height, width), limit = self.board, max_episode_steps
        falls = height - 1
        if limit is not None and limit < falls:
            return KnownReturns(random=0.0, optimal=0.0)
        reached = int((np.abs(np.arange(width) - width // 2) <= falls).sum())
        return KnownReturns(random=2 / width - 1, optimal=2 * reached / width - 1)


class Catch(RowEnv):
    """Catch a falling ball with a paddle, seen as a picture.

    ## Description
    A ball falls, one row a step, from a random column of the top row; a paddle of one cell moves in the bottom row and
    catches the ball if both are in the same cell in the end. The best policy catches every ball that it can reach: all
    of them where the board is less than twice as wide as high. The ball's column is independent of the paddle's
    unless the policy looks at it, so a random policy, and every other that does not look, catches one in w and gets
    2/w − 1.

    ## Action Space
    `Discrete(3)`: the paddle moves left (0), stays (1) or moves right (2); at the border it stays.

    ## Observation Space
    `Box(0, 255, (h p, w p), uint8)`, with an axis of c equal channels behind if `channels` is given: 255 in the p × p
    pixels of the ball's cell and of the paddle's, 0 elsewhere.

    ## Rewards
    1 if the ball is caught and −1 if not, in the last step; else 0.

    ## Starting State
    The ball in a column of the top row, drawn uniformly; the paddle in column w // 2, counted from 0.

    ## Episode End
    Terminated when the ball is in the bottom row, after h − 1 steps.

    ## Arguments
    - `rows` = 10: h, cells from top to bottom.
    - `columns` = 10: w, cells from left to right.
    - `pixels` = 2: p, pixels a side of a cell.
    - `channels` = None: c, the number of channels; None: a picture of rank 2.

    ## References
    V. Mnih et al., "Recurrent Models of Visual Attention", 2014, section 4.2; I. Osband et al., "Behaviour Suite for
    Reinforcement Learning", 2020 (catch, with 10 × 5 cells of one pixel).

    ## Version History
    - v0: first version.
    """

    vector_form = CatchVector
