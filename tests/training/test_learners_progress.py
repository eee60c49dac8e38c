"""Counts of learners are those that each would have alone."""

from dataclasses import replace

import pytest
import torch
from support.bugs import Bug, seeded, with_result
from support.hand_made import columns, rollout

from pg_agents.training.learners_progress import LearnersProgress
from pg_agents.training.progress import RunProgress

L, B = 3, 2


def rollouts(count):
    """Yield rollouts of 4 steps of 6 environments in which learners end episodes rarely, often and always."""
    generator = torch.Generator().manual_seed(0)
    template = rollout(*[[(0, 0, 1.0, "T")] * 4] * (L * B))
    chances = torch.tensor([0.02, 0.4, 1.0]).repeat_interleave(B)
    for _ in range(count):
        done = torch.rand(4, L * B, generator=generator) < chances
        terminated = done & (torch.rand(4, L * B, generator=generator) < 0.5)
        mask = torch.rand(4, L * B, generator=generator) < 0.8
        ended = done.nonzero()
        returns, lengths = ended.sum(1) + torch.rand(len(ended), generator=generator).double(), ended[:, 1] + 1
        yield replace(
            template, mask=mask, terminated=terminated, truncated=done & ~terminated,
            episode_returns=returns, episode_lengths=lengths,
        )  # fmt: skip


def of_learner(record, i):
    ended = (record.terminated | record.truncated).nonzero()[:, 1]
    mine = (ended >= B * i) & (ended < B * (i + 1))
    returns, lengths = record.episode_returns[mine], record.episode_lengths[mine]
    return replace(columns(record, B * i, B * (i + 1)), episode_returns=returns, episode_lengths=lengths)


@pytest.mark.parametrize("count", [0, 3, 60, 400])
def test_each_learners_counts_are_those_of_a_run_of_its_own(count):
    together, alone = LearnersProgress(L), [RunProgress() for _ in range(L)]
    again = LearnersProgress(L)
    for record in rollouts(count):
        together.collected(record)
        for i, one in enumerate(alone):
            one.collected(of_learner(record, i))
    again.set_state(together.get_state())
    for progress in (together, again):
        for i, one in enumerate(alone):
            steps, episodes, updates, recent, mean, length = progress.of(i)
            assert (steps, episodes, recent) == (one.steps, one.episodes, one.recent_episodes)
            assert updates <= one.updates == count  # in some rollouts it may have nothing to learn from
            assert mean == (None if one.mean_return is None else pytest.approx(one.mean_return))
            lengths = sum(ended.lengths for ended in one.recent)
            assert length == (pytest.approx(lengths / recent) if recent else None)


def test_a_state_is_not_changed_by_later_rollouts():
    progress = LearnersProgress(L)
    records = list(rollouts(4))
    for record in records[:2]:
        progress.collected(record)
    state, before = progress.get_state(), progress.of(2)
    for record in records[2:]:
        progress.collected(record)
    again = LearnersProgress(L)
    again.set_state(state)
    assert again.of(2) == before != progress.of(2)


test_seeded_bugs = seeded(
    Bug(
        "all episodes count as recent",
        LearnersProgress.of,
        with_result(LearnersProgress.of, lambda counts: counts._replace(recent_episodes=counts.episodes)),
        [test_each_learners_counts_are_those_of_a_run_of_its_own],
    ),
)
