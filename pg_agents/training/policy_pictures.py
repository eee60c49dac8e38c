"""What is shown of a tabular policy while it learns: curves of few probabilities, pictures of more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from pg_agents.policies import TabularPolicy
from pg_agents.spaces.conversion import spaces_of
from pg_agents.training.appended import Value
from pg_agents.training.run import Run

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

CURVES = 12  # up to that many probabilities are drawn as curves, more as a picture
STATES, ACTIONS = 100, 12  # more are not drawn: nobody could read them
PICTURES = 10  # of a run
PER_BLOCK = 16  # states below each other
WIDTH, HEIGHT, FONT = 46, 20, 13  # of a cell, and of its text
HEAD = 2 * HEIGHT  # above the cells: what the columns are, and their names
WHITE, BLACK, BLUE = (255, 255, 255), (0, 0, 0), (8, 48, 107)
TITLE = "probability of each action in each state"


class PolicyProbe:
    """A probe that shows π(a|s) of a tabular policy: of independent learners the mean.

    Up to 12 probabilities are curves, tabular/state_S/action_A, with a point in every row of metrics. More are a
    picture, tabular/probabilities, about ten times a run and at its end; of more than 100 states or 12 actions nobody
    could read it, and there is none. It has the names of states and actions that stand in the environment's metadata as
    state_names and action_names, else their numbers.

    Args:
        env: the run's environment.
    """

    def __init__(self, env: gym.Env | VectorEnv) -> None:
        observations, actions = spaces_of(env)
        self.names = _names(env, "state_names", observations), _names(env, "action_names", actions)
        self.due: float | None = None  # share of the run after which the next picture is drawn; None: not known yet

    def __call__(self, run: Run) -> dict[str, Value]:
        """Return the curves, or the picture if one is due."""
        policy = run.agent.policy
        assert isinstance(policy, TabularPolicy)
        states, actions = policy.logits.shape[1:]
        few = states * actions <= CURVES
        if not few and (states > STATES or actions > ACTIONS or not self._is_due(run)):
            return {}
        table = policy.probabilities().mean(0).numpy(force=True)  # [S, A]
        return table_curves(table) if few else {"tabular/probabilities": table_picture(table, *self.names)}

    def _is_due(self, run: Run) -> bool:
        """Return whether the run has come to its next tenth, or to its end."""
        if self.due is None:
            self.due = _next_tenth(max(run.resumed_from) / run.total_steps) if run.resumed_from else 0.0
        share = run.steps / run.total_steps
        due = run.over or share >= self.due
        if due:
            self.due = _next_tenth(share)
        return due


def _next_tenth(share: float) -> float:
    return (int(PICTURES * share) + 1) / PICTURES


def _names(env: gym.Env | VectorEnv, kind: str, space: Any) -> list[str]:  # noqa: ANN401
    """Return the names of a space's numbers: those that the environment gives, if there are as many, or themselves."""
    given = env.metadata.get(kind)
    if isinstance(given, Sequence) and len(given) == space.n:
        return list(map(str, given))
    return [str(space.start + number) for number in range(space.n)]


def table_curves(table: NDArray[np.floating]) -> dict[str, Value]:
    """Return the probabilities of a table [S, A] by name, if there are few; of a larger one nothing."""
    states = [f"state_{s}/" if len(table) > 1 else "" for s in range(len(table))]
    few = np.ndenumerate(table) if table.size <= CURVES else ()
    return {f"tabular/{states[s]}action_{a}": float(p) for (s, a), p in few}


def table_picture(table: NDArray[np.floating], states: Sequence[str], actions: Sequence[str]) -> NDArray[np.uint8]:
    """Return probabilities [S, A] as a picture [height, width, 3]: a row a state, a column an action.

    A cell has its probability as a number, and as its colour: white is 0, dark blue is 1. More than 16 states stand in
    several blocks side by side.
    """
    from PIL import Image, ImageDraw  # takes a while to import

    room = max(map(_width, ["state", *states])) + 12
    column = max(WIDTH, *(_width(name) + 8 for name in actions))
    block, blocks = room + column * len(actions) + 16, -(-len(states) // PER_BLOCK)
    size = max(block * blocks, _width(TITLE) + 16), HEIGHT + HEAD + HEIGHT * min(len(states), PER_BLOCK) + 8
    image = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(image)
    _write(draw, 8 + _width(TITLE) / 2, 0, TITLE)
    for number in range(blocks):
        some = slice(number * PER_BLOCK, (number + 1) * PER_BLOCK)
        _block(draw, (number * block + room, HEIGHT, column), table[some], states[some], actions)
    return np.asarray(image)


def _block(
    draw: ImageDraw,
    place: tuple[int, int, int],
    table: NDArray[np.floating],
    states: Sequence[str],
    actions: Sequence[str],
) -> None:
    """Draw some states' cells with their names at a place: the left and the top of the cells' heads, a cell's width."""
    left, top, width = place
    _write(draw, left + width * len(actions) / 2, top, "action")
    _write(draw, left - 6, top + HEIGHT, "state", anchor="rm")
    for a, name in enumerate(actions):
        _write(draw, left + width * (a + 0.5), top + HEIGHT, name)
    for s, name in enumerate(states):
        y = top + HEAD + HEIGHT * s
        _write(draw, left - 6, y, name, anchor="rm")
        for a, probability in enumerate(table[s].tolist()):
            x = left + width * a
            colour = tuple(round(w + probability * (b - w)) for w, b in zip(WHITE, BLUE, strict=True))
            draw.rectangle((x, y, x + width, y + HEIGHT), colour, outline=(200, 200, 200))
            _write(draw, x + width / 2, y, f"{probability:.2f}", WHITE if probability > 0.5 else BLACK)


def _write(
    draw: ImageDraw, x: float, y: float, text: str, colour: tuple[int, int, int] = BLACK, anchor: str = "mm"
) -> None:
    """Write a line at height `y` of its cell."""
    draw.text((x, y + HEIGHT / 2), text, colour, _font(), anchor)


def _width(text: str) -> int:
    return int(_font().getlength(text)) + 1


@cache
def _font() -> Any:  # noqa: ANN401
    from PIL import ImageFont

    return ImageFont.load_default(FONT)
