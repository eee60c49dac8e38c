"""How far a run has come."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pg_agents.data.later import Later, computed
from pg_agents.data.rollout import Rollout
from pg_agents.data.state import State
from pg_agents.training.appended import Value
from pg_agents.training.learners_progress import LAST, LearnersProgress

COUNTS = ("steps", "steps_before", "episodes", "updates", "seconds")
AT_ONCE = 64  # updates whose metrics are computed together
STOP_REASONS = ("eos", "verifier", "length")  # of token environments


class Ended(NamedTuple):
    """The episodes that ended in one rollout: their number, and the sums of their returns and lengths."""

    episodes: int
    returns: float
    lengths: int


@dataclass
class RunProgress:
    """Counts, means and times of a run so far, and its metrics since the last row.

    Means are over all episodes that ended in the newest rollouts, over as few rollouts as hold 100 episodes together. A
    rollout counts whole or not at all: it lists episodes in the order in which they ended, so in a rollout of whole
    episodes the last ones are the longest. Where rollouts have a fixed number of steps, the first means are biased
    towards short episodes, which end first, until every environment has ended a few.

    Attributes:
        of_tokens: whether a step is a token.
        steps: valid transitions learned from.
        steps_before: valid transitions learned from before the latest rollout.
        episodes: episodes that ended.
        updates: rollouts learned from.
        recent: sums over the newest rollouts in which any episode ended, one entry a rollout.
        metrics: metrics of the updates since the last row.
        stop_reasons: how often each reason ended a text since the last row.
        row_before: steps and seconds at the last row.
        since: when the current stretch of timed work began.
        seconds: seconds of collecting and learning.
        learners: counts of each of several independent learners; None of one.
    """

    of_tokens: bool = False
    steps: int = 0
    steps_before: int = 0
    episodes: int = 0
    updates: int = 0
    recent: deque[Ended] = field(default_factory=deque)
    metrics: dict[str, list[Tensor | Later]] = field(default_factory=dict)
    stop_reasons: Counter[str] = field(default_factory=Counter)
    row_before: tuple[int, float] = (0, 0.0)
    since: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    learners: LearnersProgress | None = None

    def begins(self) -> None:
        """Start timing; `collected` and `learned` add the time since."""
        self.since = time.perf_counter()

    def collected(self, rollout: Rollout) -> None:
        """Count a rollout, which is learned from, its transitions and episodes."""
        self.steps_before = self.steps
        self.steps += rollout.num_transitions
        self.updates += 1
        if ended := len(rollout.episode_returns):
            self.episodes += ended
            sums = float(rollout.episode_returns.sum()), int(rollout.episode_lengths.sum())
            self.recent.append(Ended(ended, *sums))
            while self.recent_episodes - self.recent[0].episodes >= LAST:
                self.recent.popleft()
            self.stop_reasons.update(reason or "truncated" for reason in rollout.stop_reasons)
        if self.learners is not None:
            self.learners.collected(rollout)
        self._timed()

    def learned(self, metrics: dict[str, Tensor]) -> None:
        """Keep the metrics that an update returned, [L] of several learners; some may be computed later."""
        for name, value in dict.items(metrics):
            values = self.metrics.setdefault(name, [])
            values.append(value)
            if len(values) % AT_ONCE == 0:
                values[-AT_ONCE:] = computed(values[-AT_ONCE:])
        self._timed()

    def since_row(self) -> dict[str, Tensor]:
        """Return the metrics since the last row, [updates], or [updates, L] of several learners."""
        return {name: torch.stack(computed(values)) for name, values in self.metrics.items()}

    def get_state(self) -> State:
        """Return all counts, sums and times, and the metrics since the last row."""
        metrics = self.since_row()
        return {
            **{name: getattr(self, name) for name in COUNTS},
            "recent": [list(ended) for ended in self.recent],
            "metrics": {name: _numbers(values) for name, values in metrics.items()},
            "stop_reasons": list(self.stop_reasons.items()),
            "row_before": list(self.row_before),
            "learners": None if self.learners is None else self.learners.get_state(),
        }

    def set_state(self, state: State, device: torch.device) -> None:
        """Go on from a state of `get_state`; metrics that were on a device are put on `device`."""
        counts = {"updates": 0} | dict(state)  # older checkpoints did not count them
        for name in COUNTS:
            setattr(self, name, counts[name])
        self.recent = deque(Ended(*ended) for ended in state["recent"])
        self.metrics = {name: [*_tensors(numbers, device)] for name, numbers in state["metrics"].items()}
        self.stop_reasons = Counter(dict(state["stop_reasons"]))
        steps, seconds = state["row_before"]
        self.row_before = steps, seconds
        if self.learners is not None:
            self.learners.set_state(state["learners"])

    def share(self, total_steps: int) -> float:
        """Return the share of `total_steps` that the run has taken; of several learners that of those who go on."""
        return self.steps / total_steps if self.learners is None else self.learners.share(total_steps)

    def share_before(self, total_steps: int) -> float | tuple[float, ...]:
        """Return the share before the latest rollout, 1 at most; of learners that differ, that of each."""
        if self.learners is None:
            return min(1.0, self.steps_before / total_steps)
        return self.learners.shares_before(total_steps)

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """A context whose time counts neither as collecting nor as learning."""
        began = time.perf_counter()
        yield
        self.since += time.perf_counter() - began

    def _timed(self) -> None:
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    @property
    def recent_episodes(self) -> int:
        """Number of episodes that the means are over."""
        return sum(ended.episodes for ended in self.recent)

    @property
    def mean_return(self) -> float | None:
        """The mean return of the recent episodes; None if none has ended."""
        return sum(ended.returns for ended in self.recent) / self.recent_episodes if self.recent else None

    def row(self) -> dict[str, Value]:
        """Return a row of metrics and begin the next: an update's metrics are averaged over the updates in between.

        Of several learners it has the means.
        """
        row: dict[str, Value] = {}
        if self.mean_return is not None:
            row["rollout/ep_rew_mean"] = self.mean_return
            row["rollout/ep_len_mean"] = sum(ended.lengths for ended in self.recent) / self.recent_episodes
        for name, each in self.since_row().items():
            row[f"train/{name}"] = float((each.nanmean(1) if each.ndim == 2 else each).nanmean())
        row["train/n_updates"] = self.updates
        ended = self.stop_reasons.total()
        for reason in (*STOP_REASONS, *self.stop_reasons) if ended else ():
            row[f"stop/{reason}"] = self.stop_reasons[reason] / ended
        row["time/steps_per_second"] = self.steps / self.seconds
        if self.of_tokens:
            steps, seconds = self.row_before
            row["time/tokens_per_second"] = (self.steps - steps) / (self.seconds - seconds)
        self.row_before = self.steps, self.seconds
        if self.learners is not None:
            self.learners.steps_of_row = self.learners.steps.copy()
        self.stop_reasons.clear()
        self.metrics.clear()
        return row


def rows_of_learners(progress: RunProgress) -> list[dict[str, Value]]:
    """Return the row of metrics that each learner would have in a run of its own; `RunProgress.row` begins the next.

    Those who had finished at the row before have an empty one.
    """
    learners = progress.learners
    assert learners is not None
    means = {f"train/{name}": values.nanmean(0) for name, values in progress.since_row().items()}
    columns = {name: mean.expand(len(learners)).tolist() for name, mean in means.items()}
    rows: list[dict[str, Value]] = []
    for learner, goes_on in enumerate(learners.steps > learners.steps_of_row):
        if not goes_on:
            rows.append({})
            continue
        counts, row = learners.of(learner), dict[str, Value]()
        if counts.mean_return is not None and counts.mean_length is not None:
            row = {"rollout/ep_rew_mean": counts.mean_return, "rollout/ep_len_mean": counts.mean_length}
        row |= {name: column[learner] for name, column in columns.items()} | {"train/n_updates": counts.updates}
        rows.append(row | {"time/steps_per_second": counts.steps / progress.seconds})
    return rows


def _numbers(values: Tensor) -> State:
    """Return a metric's values as numbers of 64 bits, which hold all smaller ones exactly."""
    return {
        "dtype": str(values.dtype).removeprefix("torch."),
        "on_cpu": values.device.type == "cpu",
        "values": values.detach().cpu().double().numpy(),
    }


def _tensors(numbers: State, device: torch.device) -> list[Tensor]:
    values = torch.from_numpy(numbers["values"]).to(getattr(torch, numbers["dtype"]))
    return list(values if numbers["on_cpu"] else values.to(device))
