"""How far each of several independent learners has come in a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pg_agents.data.rollout import Rollout
from pg_agents.data.state import State

Sums = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]  # episodes, their returns, their lengths
LAST = 100  # reported means are over at least that many training episodes; so many rollouts with any suffice


def folder_of(seed: int) -> str:
    """Return the name of the folder, in that of the run of several learners, of the learner with a seed."""
    return f"seed-{seed}"


class Counts(NamedTuple):
    """What a learner has done so far.

    Attributes:
        steps: valid transitions learned from.
        episodes: episodes that ended.
        updates: rollouts learned from.
        recent_episodes: number of those of the newest rollouts, as few rollouts as hold 100 together.
        mean_return: of the recent episodes; None if none has ended.
        mean_length: of the recent episodes; None if none has ended.
    """

    steps: int
    episodes: int
    updates: int
    recent_episodes: int
    mean_return: float | None
    mean_length: float | None


class LearnersProgress:
    """Counts of L learners, kept as arrays, since there may be many.

    Args:
        num_learners: L.
    """

    def __init__(self, num_learners: int) -> None:
        self.steps = np.zeros(num_learners, np.int64)
        rollouts = num_learners, LAST  # the newest in which episodes have ended, in a ring
        self.ended = np.zeros(rollouts, np.int64)  # how many
        self.returns = np.zeros(rollouts)  # the sums of their returns
        self.lengths = np.zeros(rollouts, np.int64)  # the sums of their lengths
        self.rollouts = np.zeros(num_learners, np.int64)  # in which episodes have ended, so far
        self.episodes = np.zeros(num_learners, np.int64)
        self.updates = np.zeros(num_learners, np.int64)  # rollouts in which it has taken a step
        self.steps_before = np.zeros(num_learners, np.int64)  # the latest rollout
        self.steps_of_row = np.zeros(num_learners, np.int64)  # at the last row of metrics
        self.finished = np.zeros(num_learners, bool)  # who learns no more
        self.reached = np.zeros(num_learners, bool)  # who of them has reached `stop_return`
        self.seconds = np.zeros(num_learners)  # of the run, when a learner had finished

    def __len__(self) -> int:
        return len(self.steps)

    def collected(self, rollout: Rollout) -> None:
        """Count the transitions and episodes of a rollout of the learners that go on."""
        active = np.flatnonzero(~self.finished)
        self.steps_before = self.steps.copy()
        mask, ends = (flags.numpy(force=True) for flags in (rollout.mask, rollout.terminated | rollout.truncated))
        each = mask.shape[1] // len(active)
        taken = mask.reshape(-1, len(active), each).sum((0, 2))
        self.steps[active] += taken
        self.updates[active] += taken > 0
        if not len(rollout.episode_returns):
            return
        learners = active[ends.nonzero()[1] // each]  # in the order in which episodes have ended
        counts = np.bincount(learners, minlength=len(self))
        returns = np.bincount(learners, rollout.episode_returns.numpy(force=True), len(self))
        lengths = np.bincount(learners, rollout.episode_lengths.numpy(force=True), len(self))
        self.episodes += counts
        rows = counts.nonzero()[0]
        places = self.rollouts[rows] % LAST
        self.ended[rows, places], self.returns[rows, places] = counts[rows], returns[rows]
        self.lengths[rows, places] = lengths[rows]
        self.rollouts[rows] += 1

    def reach(self, goal: float, seconds: float) -> None:
        """Let the learners have finished that have reached a mean return of `goal` by now.

        Args:
            goal: the mean return of the recent episodes, if there are 100.
            seconds: of the run so far.
        """
        enough = np.flatnonzero(~self.finished & (self.episodes >= LAST)).tolist()
        means = {learner: self.of(learner).mean_return for learner in enough}
        there = [learner for learner, mean in means.items() if mean is not None and mean >= goal]
        self.reached[there], self.finished[there], self.seconds[there] = True, True, seconds

    def complete(self, total_steps: int, seconds: float) -> None:
        """Let the learners have finished that have taken their part of `total_steps` by now."""
        there = ~self.finished & (self.steps * len(self) >= total_steps)
        self.finished[there], self.seconds[there] = True, seconds

    def go_on(self, total_steps: int) -> None:
        """Let those go on that had taken their part of fewer steps than `total_steps`."""
        self.finished &= self.reached | (self.steps * len(self) >= total_steps)

    def share(self, total_steps: int) -> float:
        """Return the share of their part of `total_steps` that the learners that go on have taken; 1 of none."""
        active = ~self.finished
        return float(self.steps[active].mean() * len(self) / total_steps) if active.any() else 1.0

    def shares_before(self, total_steps: int) -> float | tuple[float, ...]:
        """Return the share of its part of `total_steps` that each had taken before the latest rollout, 1 at most.

        It is one number where all that go on have taken as many.
        """
        shares = np.minimum(1.0, self.steps_before * len(self) / total_steps)
        active = shares[~self.finished]
        return float(active[0]) if len(active) and (active == active[0]).all() else tuple(shares.tolist())

    def of(self, learner: int) -> Counts:
        """Return what a learner has done."""
        ended, returns, lengths = self.newest(learner)
        steps, episodes, updates = (int(each[learner]) for each in (self.steps, self.episodes, self.updates))
        if not (recent := int(ended.sum())):
            return Counts(steps, episodes, updates, 0, None, None)
        means = float(returns.sum() / recent), float(lengths.sum() / recent)
        return Counts(steps, episodes, updates, recent, *means)

    def newest(self, learner: int) -> Sums:
        """Return how many episodes ended in a learner's recent rollouts, and the sums over them; the newest first."""
        newest_first = (self.rollouts[learner] - 1 - np.arange(min(LAST, self.rollouts[learner]))) % LAST
        ended = self.ended[learner, newest_first]
        needed = newest_first[: 1 + int((ended.cumsum() < LAST).sum())]
        return self.ended[learner, needed], self.returns[learner, needed], self.lengths[learner, needed]

    def get_state(self) -> State:
        """Return all counts and sums."""
        return {name: values.copy() for name, values in vars(self).items()}

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`."""
        for name, values in ({"reached": state["finished"]} | dict(state)).items():  # older checkpoints: all had
            getattr(self, name)[:] = values
