"""Token generation as a Markov decision process: any prompts, any scoring function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.rows import RowsVectorEnv
from pg_envs.tokens.token_task import DRAWN, Completion, Prompt, TokenTask, room_for


class TokenVectorEnv(RowsVectorEnv):
    """B texts that grow by one token per step; the vector form of `TokenEnv`, whose arguments it shares.

    The default autoreset mode is DISABLED and ended rows are absorbing (`metadata["absorbing"]`): a step ignores their
    action, changes nothing and has reward 0, until `reset` starts them again. `metadata["append_only"]` is True if the
    window can never slide, so that an episode's last observation contains all earlier ones.

    Rows g·G … g·G + G − 1 form group g = `info["group_id"]`: they answer one prompt, drawn by the group's first row,
    and are reset together. Prompts and scores cost Python time when a row starts and ends, a `token_reward` or a
    callable `stop` at every step.

    Args:
        num_envs: B, the number of rows.
        task: a `TokenTask`, for example from `text_task`, instead of `TokenEnv`'s arguments below.
        group_size: G, the number of consecutive rows that share a prompt.
        autoreset_mode: what happens to a row whose episode has ended.
        copy: return copies of the windows; False: views, in which later steps only write tokens after the present end.
        render_mode: "ansi", or None.

    The other arguments, `window` to `decode`, are those of `TokenEnv`.

    Raises:
        ValueError: an argument outside its range; group_size not dividing num_envs, or above 1 with an autoreset mode
            that would reset the rows of a group one by one.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4, "seeds_per_environment": True}
    changing = ("history", "total", "prompt_length", "prompt_number", "stop_reason")
    make_task: ClassVar[Callable[..., TokenTask]] = (
        TokenTask  # makes the task from the arguments that are not named below
    )

    def __init__(
        self,
        num_envs: int = 1,
        *,
        task: TokenTask | None = None,
        window: int | None = None,
        group_size: int = 1,
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
        copy: bool = True,
        render_mode: str | None = None,
        **task_kwargs: Any,  # noqa: ANN401
    ) -> None:
        if task is not None and task_kwargs:
            raise ValueError(f"task: it has its own {', '.join(task_kwargs)}; give either a task or these arguments")
        self.task = self.make_task(**task_kwargs) if task is None else task
        self.copy = copy
        self.max_prompt_length, self.window = room_for(self.task, window)
        top = self.task.vocabulary - 1
        tokens = gym.spaces.Box(0, top, (self.window,), np.int64)
        super().__init__(
            num_envs,
            gym.spaces.Dict(tokens=tokens, length=gym.spaces.Discrete(self.window + 1)),
            gym.spaces.Discrete(top + 1),
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )
        _check_groups(group_size, num_envs, self.autoreset_mode)
        self.group_size, self.group_id = group_size, self.all_rows // group_size
        self.is_eos = np.isin(np.arange(top + 1), self.task.eos)  # [V]
        self._allocate()

    def _allocate(self) -> None:
        longest = self.max_prompt_length + self.task.max_new_tokens
        width = max(longest, self.window)
        self.history = np.full((self.num_envs, width), self.task.pad, np.int64)  # prompts and completions
        self.total = np.zeros(self.num_envs, np.int64)  # tokens in each row's history
        self.prompt_length = np.zeros(self.num_envs, np.int64)
        self.prompt_number = np.full(self.num_envs, DRAWN)  # in the task's prompts
        self.stop_reason = np.full(self.num_envs, "", "<U8")
        absorbing = self.autoreset_mode is AutoresetMode.DISABLED
        self.metadata = {**self.metadata, "absorbing": absorbing, "append_only": longest <= self.window}

    # -- the dynamics ------------------------------------------------------------------------------------------------
    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        """Draw nothing ahead: prompts are drawn when episodes start."""

    def _start(self, rows: Rows) -> None:
        leaders = rows[rows % self.group_size == 0]
        if not np.array_equal(rows, (leaders[:, None] + np.arange(self.group_size)).ravel()):
            raise ValueError(f"reset_mask must select whole groups of {self.group_size} rows, got rows {rows.tolist()}")
        if not self.copy:  # views returned before keep showing the finished texts
            self.history = self.history.copy()
        for leader in leaders:
            prompt, number = self.task.choose(self.generators[leader], self.max_prompt_length)
            group = slice(leader, leader + self.group_size)
            self.prompt_number[group] = number
            self.history[group] = self.task.pad
            self.history[group, : len(prompt)] = prompt
            self.prompt_length[group] = len(prompt)
        self.total[rows] = self.prompt_length[rows]
        self.stop_reason[rows] = ""

    def _move(self, actions: NDArray[np.int64], rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        if actions.min(initial=0) < 0 or actions.max(initial=0) >= self.task.vocabulary:
            raise ValueError(f"actions must be token ids from 0 to {self.task.vocabulary - 1}, got {actions.tolist()}")
        end = self.total[rows]
        self.history[rows, end] = actions
        self.total[rows] = end + 1
        length = end + 1 - self.prompt_length[rows]
        by_eos = self.is_eos[actions]
        by_stop = np.zeros(len(rows), bool) if self.task.stop is None else self._stopped(rows, length)
        terminated = by_eos | by_stop | (length >= self.task.max_new_tokens)
        rewards = np.zeros(len(rows))
        if self.task.token_reward is not None:
            rewards += [self.task.reward_token(*self._pair(row)) for row in rows]
        if terminated.any():
            ended = rows[terminated]
            reasons = np.where(by_eos, "eos", np.where(by_stop, "verifier", "length"))
            self.stop_reason[ended] = reasons[terminated]
            rewards[terminated] += self._scores(ended)
        return rewards, terminated

    def _stopped(self, rows: Rows, length: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of `rows` the task's `stop` ends, given their completions' lengths; both [len(rows)]."""
        assert self.task.stop is not None
        if callable(self.task.stop):
            return np.array([self.task.stops(*self._pair(row)) for row in rows], bool)
        found = np.zeros(len(rows), bool)
        for sequence in self.task.stop:
            last = self.total[rows][:, None] - np.arange(len(sequence), 0, -1)  # [len(rows), len(sequence)]
            found |= (length >= len(sequence)) & (self.history[rows[:, None], last] == sequence).all(1)
        return found

    def _scores(self, rows: Rows) -> NDArray[np.float64]:
        """Return the scores of finished `rows`, computed as one batch."""
        prompts, completions = zip(*map(self._pair, rows), strict=True)
        return self.task.judge_batch(list(prompts), list(completions), self.prompt_number[rows].tolist())

    def _pair(self, row: int) -> tuple[Prompt, Completion]:
        """Return a row's prompt and completion so far."""
        ids, start = self.history[row, : self.total[row]].tolist(), int(self.prompt_length[row])
        return tuple(ids[:start]), ids[start:]

    def _observe(self) -> dict[str, NDArray[np.int64]]:
        if self.metadata["append_only"]:
            tokens = self.history[:, : self.window]
            tokens = tokens.copy() if self.copy else tokens
            tokens.flags.writeable = self.copy
            return {"tokens": tokens, "length": self.total.copy()}
        first = np.maximum(self.total - self.window, 0)  # the oldest token not yet dequeued
        tokens = np.take_along_axis(self.history, first[:, None] + np.arange(self.window), axis=1)
        return {"tokens": tokens, "length": np.minimum(self.total, self.window)}

    def _describe(self) -> dict[str, Any]:
        return {
            "group_id": self.group_id.copy(),
            "prompt_length": self.prompt_length.copy(),
            "stop_reason": self.stop_reason.copy(),
        }

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the task's known returns; all None if a time limit is below the task's `max_new_tokens`.

        The best return is unknown if the window slides: the best policy may need tokens that have left it.
        """
        if max_episode_steps is not None and max_episode_steps < self.task.max_new_tokens:
            return KnownReturns()
        return self.task.known if self.metadata["append_only"] else replace(self.task.known, optimal=None)

    # -- texts -------------------------------------------------------------------------------------------------------
    def decode(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text: by the `decode` argument, else the ids separated by spaces."""
        return self.task.text(ids)

    def texts(self) -> tuple[str, ...]:
        """Return each row's text so far, prompt and completion."""
        return tuple(self.decode(row[:total]) for row, total in zip(self.history, self.total, strict=True))

    def render(self) -> tuple[str, ...] | None:
        """Return the rows' texts in render mode "ansi"."""
        return self.texts() if self.render_mode == "ansi" else None


def _check_groups(group_size: int, num_envs: int, mode: AutoresetMode) -> None:
    if group_size < 1 or num_envs % group_size:
        raise ValueError(f"group_size must be at least 1 and divide num_envs = {num_envs}, got {group_size}")
    if group_size > 1 and mode is not AutoresetMode.DISABLED:
        reason = "as the rows of a group start together"
        raise ValueError(f"group_size = {group_size} needs autoreset_mode DISABLED, {reason}, got {mode}")
