"""Token generation as a Markov decision process: any prompts, any scoring function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pg_envs.blocks import Rows
from pg_envs.known import KnownReturns
from pg_envs.rows import RowEnv, RowsVectorEnv
from pg_envs.token_task import Completion, Prompt, TokenTask


class TokenVectorEnv(RowsVectorEnv):
    """B texts grown side by side, one token a step; the batch form of `TokenEnv`, whose arguments it shares.

    The default autoreset mode is DISABLED and ended rows absorb: stepping one ignores its action, changes nothing and
    is rewarded 0, until `reset` starts it again. `metadata["absorbing"]` says so; `metadata["append_only"]` is True
    where the window can never slide, so that an episode's last observation holds all of its earlier ones.

    Rows g·G … g·G + G − 1 form group g = `info["group_id"]`: they answer one prompt, drawn by the group's first row,
    and are reset together. Every prompt and score costs Python time where a row starts and ends, no other step does
    (`token_reward` excepted).

    Args:
        num_envs: B, the number of rows.
        group_size: G, the number of consecutive rows that share a prompt.
        autoreset_mode: what happens to a row whose episode has ended.
        prompts, score, vocabulary, eos, max_new_tokens, window, max_prompt_length, token_reward, pad, decode: see
            `TokenEnv`.

    Raises:
        ValueError: an argument outside its range; group_size not dividing num_envs, or above 1 with an autoreset mode
            that would reset the rows of a group one by one.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4, "seeds_per_environment": True}
    ask: ClassVar[Callable[..., TokenTask]] = TokenTask  # makes the task of all arguments that are not named below

    def __init__(
        self,
        num_envs: int = 1,
        *,
        window: int | None = None,
        group_size: int = 1,
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
        render_mode: str | None = None,
        **task: Any,  # noqa: ANN401
    ) -> None:
        self.task = self.ask(**task)
        self.max_prompt_length, self.window = _lengths(self.task, window)
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
        self.stop_reason = np.full(self.num_envs, "", "<U6")
        absorbing = self.autoreset_mode is AutoresetMode.DISABLED
        self.metadata = {**self.metadata, "absorbing": absorbing, "append_only": longest <= self.window}

    # -- the dynamics ------------------------------------------------------------------------------------------------
    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        """Draw nothing ahead: prompts are drawn where episodes start."""

    def _start(self, rows: Rows) -> None:
        leaders = rows[rows % self.group_size == 0]
        if not np.array_equal(rows, (leaders[:, None] + np.arange(self.group_size)).ravel()):
            raise ValueError(f"reset_mask must select whole groups of {self.group_size} rows, got rows {rows.tolist()}")
        for leader in leaders:
            prompt = self.task.draw(self.generators[leader], self.max_prompt_length)
            group = slice(leader, leader + self.group_size)
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
        stopped = self.is_eos[actions]
        terminated = stopped | (end + 1 - self.prompt_length[rows] >= self.task.max_new_tokens)
        rewards = np.zeros(len(rows))
        if self.task.token_reward is not None:
            rewards += [self.task.reward_token(*self._pair(row)) for row in rows]
        if terminated.any():
            ended = rows[terminated]
            self.stop_reason[ended] = np.where(stopped[terminated], "eos", "length")
            rewards[terminated] += self._scores(ended)
        return rewards, terminated

    def _scores(self, rows: Rows) -> NDArray[np.float64]:
        """Return the scores of finished `rows`; a subclass with a scorer of its own may judge them as one batch."""
        return np.array([self.task.judge(*self._pair(row)) for row in rows])

    def _pair(self, row: int) -> tuple[Prompt, Completion]:
        """Return a row's prompt and completion so far."""
        ids, start = self.history[row, : self.total[row]].tolist(), int(self.prompt_length[row])
        return tuple(ids[:start]), ids[start:]

    def _observe(self) -> dict[str, NDArray[np.int64]]:
        if self.metadata["append_only"]:
            return {"tokens": self.history[:, : self.window].copy(), "length": self.total.copy()}
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
        """Return what the task knows; nothing where a time limit comes before the task's own length cap.

        What is best is not known where the window slides: the best policy may need tokens that have left it.
        """
        if max_episode_steps is not None and max_episode_steps < self.task.max_new_tokens:
            return KnownReturns()
        return self.task.known if self.metadata["append_only"] else replace(self.task.known, optimal=None)

    # -- texts -------------------------------------------------------------------------------------------------------
    def decode(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text: by the `decode` argument, or the ids themselves with spaces between."""
        return self.task.text(ids)

    def texts(self) -> tuple[str, ...]:
        """Return each row's text so far, prompt and completion."""
        return tuple(self.decode(row[:total]) for row, total in zip(self.history, self.total, strict=True))

    def render(self) -> tuple[str, ...] | None:
        """Return the rows' texts in render mode "ansi"."""
        return self.texts() if self.render_mode == "ansi" else None


def _lengths(task: TokenTask, window: int | None) -> tuple[int, int]:
    """Return the longest prompt to make room for and the window's size."""
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    longest = task.longest_prompt or window
    if longest is None:
        raise ValueError("max_prompt_length: give the length of the longest prompt, as prompts is a callable")
    if window is not None and longest > window:
        raise ValueError(f"window must hold the longest prompt, {longest} tokens, got {window}")
    return longest, window or longest + task.max_new_tokens


def _check_groups(group_size: int, num_envs: int, mode: AutoresetMode) -> None:
    if group_size < 1 or num_envs % group_size:
        raise ValueError(f"group_size must be at least 1 and divide num_envs = {num_envs}, got {group_size}")
    if group_size > 1 and mode is not AutoresetMode.DISABLED:
        reason = "as the rows of a group start together"
        raise ValueError(f"group_size = {group_size} needs autoreset_mode DISABLED, {reason}, got {mode}")


class TokenEnv(RowEnv):
    """Token generation.

    ## Description
    A text is grown token by token. The state is a context window of N tokens: the action is enqueued and, where the
    window is full, the least recent token is dequeued. Bring prompts and a scoring function:

        env = TokenEnv(
            prompts=[[1, 4], [1, 5]],                       # token ids
            score=lambda prompt, completion: float(completion == [prompt[-1], 3]),
            vocabulary=6, eos=3, max_new_tokens=4,
        )

    ## Action Space
    `Discrete(vocabulary)`: the next token. The end-of-sequence token is an action like the others.

    ## Observation Space
    `Dict(tokens=Box(0, vocabulary − 1, (N,), int64), length=Discrete(N + 1))`: `tokens[:length]` is the text in the
    window, oldest token first, and the rest is padding.

    ## Rewards
    `score(prompt, completion)` when the episode ends, 0 before; `token_reward(prompt, completion so far)` is added at
    each step where given. The completion holds every sampled token, the end-of-sequence token included. A function
    that raises or returns no finite number gives a RuntimeError that shows the prompt and the completion.

    ## Starting State
    A prompt, drawn uniformly from `prompts` or by the callable `prompts(generator)`.

    ## Episode End
    Terminated by an end-of-sequence token or by the `max_new_tokens`-th token; `info["stop_reason"]` is "eos" or
    "length" ("" before). The cap is part of the task, so it never truncates.

    ## Arguments
    - `prompts`: token sequences, or a callable generator → token sequence.
    - `score`: callable (prompt, completion) → number; the prompt is a tuple of ids, the completion a list.
    - `vocabulary`: the number of token ids, V.
    - `eos`: the end-of-sequence id, or several.
    - `max_new_tokens`: the most tokens in a completion.
    - `window`: N; by default the longest prompt plus `max_new_tokens`, so that nothing is ever dequeued.
    - `max_prompt_length`: needed where `prompts` is a callable and `window` is not given.
    - `token_reward`: callable (prompt, completion so far) → number, or None.
    - `pad`: the id behind the end of the text, 0; `decode`: callable ids → text, or None: the ids.
    - `render_mode`: "ansi" gives the text so far.

    Anything outside its range raises ValueError, at construction or, for a prompt drawn by a callable, at reset.

    ## References
    B. Van Roy's lecture note on policy gradients, section 3.2; R. Ramamurthy et al., ICLR 2023.

    ## Version History
    - v0: initial version.
    """

    rows: TokenVectorEnv
    vector_form = TokenVectorEnv
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(render_mode, **arguments)
        self.task = self.rows.task
        self.metadata = {**self.metadata, "append_only": self.rows.metadata["append_only"]}

    def decode(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text."""
        return self.rows.decode(ids)

    def render(self) -> str | None:
        """Return the text so far, prompt and completion, in render mode "ansi"."""
        return self.rows.texts()[0] if self.render_mode == "ansi" else None
