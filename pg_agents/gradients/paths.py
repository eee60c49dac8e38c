"""Trajectories as rollouts: enumerated with their probabilities, or sampled; and all completions of a token task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pg_envs import TokenTask
from torch import Tensor

from pg_agents.data.rollout import Rollout, TokenBlock, map_steps
from pg_agents.data.tree import tree_map
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Policy
from pg_agents.seeding import Purpose, spawn

MAX_TRAJECTORIES = 50_000
MAX_STEPS = 10_000  # the most steps of a sampled episode


@dataclass(frozen=True)
class Paths:
    """Trajectories, one per column.

    Attributes:
        rollout: of nodes [T, N]: observation n is state n % S (at time n // S, where values depend on the time).
        chances: the environment's part of each trajectory's probability, Π P(s'|s,a) ρ(s_0), [N].
    """

    rollout: Rollout
    chances: Tensor


def count_paths(problem: Problem) -> float:
    """Return the number of trajectories; infinity if some are endless."""
    mdp = problem.mdp
    edges = (mdp.transitions > 0).sum(1).astype(np.float64)  # [S, S], actions that may lead there
    ends = mdp.terminal
    longest = problem.horizon or mdp.num_states + 1
    counts = np.ones(mdp.num_states) if problem.horizon else np.where(ends, 1.0, np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        for _ in range(longest):
            products = np.where(edges > 0, edges * np.where(ends, 1.0, counts), 0.0)
            counts = products.sum(1)
    initial = mdp.initial > 0 if not problem.average else np.ones(mdp.num_states, bool)
    return float(counts[initial].sum())


def enumerate_paths(problem: Problem, start: NDArray[np.float64], limit: int = MAX_TRAJECTORIES) -> Paths:
    """Return every trajectory that begins in the support of `start` [S].

    Raises:
        ValueError: there are more than `limit`.
    """
    count = count_paths(problem)
    if count > limit:
        raise ValueError(
            f"horizon: there are {count:.3g} trajectories, too many to enumerate (at most {limit}); use a shorter "
            "horizon or a smaller problem, or sample them"
        )
    mdp = problem.mdp
    steps: list[tuple[NDArray[Any], ...]] = []
    states = np.flatnonzero(start)
    chances, over = start[states], mdp.terminal[states]
    while not over.all() and (problem.horizon is None or len(steps) < problem.horizon):
        possible = np.argwhere(mdp.transitions[states] > 0)
        possible = possible[~over[possible[:, 0]]]
        waiting = np.flatnonzero(over)
        possible = np.concatenate([possible, np.stack([waiting, 0 * waiting, states[waiting]], 1)])
        parents, actions, following = possible.T
        valid = ~over[parents]
        steps = [tuple(column[parents] for column in step) for step in steps]
        chances = chances[parents] * np.where(valid, mdp.transitions[states[parents], actions, following], 1.0)
        steps.append((states[parents], actions, following, valid))
        states, over = following, mdp.terminal[following]
    return Paths(_rollout(problem, steps), torch.tensor(chances))


def sample_paths(problem: Problem, table: Tensor, start: Tensor, count: int, seed: int) -> Rollout:
    """Return `count` trajectories of the policy ln π = `table` [S, A], drawn with a generator of their own.

    Raises:
        ValueError: an episode does not end within 10,000 steps.
    """
    mdp, generator = problem.mdp, np.random.default_rng(spawn(seed, Purpose.PATHS))
    policy = table.detach().exp().cumsum(1).numpy()
    successors = mdp.transitions.cumsum(2)
    states = _draw(np.tile(start.detach().numpy().cumsum(), (count, 1)), generator)
    steps: list[tuple[NDArray[Any], ...]] = []
    while not mdp.terminal[states].all() and (problem.horizon is None or len(steps) < problem.horizon):
        if len(steps) == MAX_STEPS:
            raise ValueError(f"horizon: an episode has not ended after {MAX_STEPS} steps; give a horizon")
        valid = ~mdp.terminal[states]
        actions = _draw(policy[states], generator)
        following = np.where(valid, _draw(successors[states, actions], generator), states)
        steps.append((states, actions, following, valid))
        states = following
    return _rollout(problem, steps, table.detach())


def _draw(cumulative: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return for each row the outcome that a uniform number picks, [N]."""
    uniforms = generator.random((len(cumulative), 1)) * cumulative[:, -1:]
    return (cumulative <= uniforms).sum(1)


def _rollout(problem: Problem, steps: Sequence[tuple[NDArray[Any], ...]], table: Tensor | None = None) -> Rollout:
    """Return steps of (states, actions, next states, live), [N] each, as a rollout of nodes."""
    mdp, length = problem.mdp, len(steps)
    states, actions, following, valid = (torch.tensor(np.stack(field)) for field in zip(*steps, strict=True))
    rewards = torch.tensor(mdp.rewards)[states, actions, following] * valid
    times = torch.arange(length)[:, None].expand_as(states)
    last = (times == length - 1) & valid
    terminated = torch.tensor(mdp.terminal)[following] & valid
    if problem.timed and length == problem.horizon:
        terminated = terminated | last  # the horizon is part of the objective: values after it are 0
    truncated = last & ~terminated
    rows = truncated.nonzero()
    return Rollout(
        observations=states + times * mdp.num_states if problem.timed else states,
        actions=actions,
        log_probs=torch.zeros_like(rewards) if table is None else table[states, actions],
        rewards=rewards,
        terminated=terminated,
        truncated=truncated,
        mask=valid,
        episode_starts=times == 0,
        times=times,
        final_observations=following[rows[:, 0], rows[:, 1]],
        final_rows=rows,
        episode_returns=rewards.sum(0),
        episode_lengths=valid.sum(0),
        group_ids=torch.zeros(states.shape[1], dtype=torch.int64),
    )


def columns_of(rollout: Rollout, columns: Tensor) -> Rollout:
    """Return the rollout made of `columns` [n], which may repeat."""
    place = [(columns == column).nonzero().flatten() for column in rollout.final_rows[:, 1]]
    counts = torch.tensor([len(where) for where in place], dtype=torch.int64)
    kept = torch.arange(len(place)).repeat_interleave(counts)
    rows = rollout.final_rows[kept].clone()
    if len(rows):
        rows[:, 1] = torch.cat(place)
    return replace(
        map_steps(lambda leaf: leaf[:, columns], rollout),
        final_observations=tree_map(lambda leaf: leaf[kept], rollout.final_observations),
        final_rows=rows,
        episode_returns=rollout.episode_returns[columns],
        episode_lengths=rollout.episode_lengths[columns],
        group_ids=None if rollout.group_ids is None else rollout.group_ids[columns],
    )


# -- sums over all trajectories ----------------------------------------------------------------------------------------
def log_probs_of(policy: Policy, rollout: Rollout) -> Tensor:
    """Return ln π_θ of each column's actions, Σ_t ln π(A_t|S_t), [N]; `rollout` has the policy's observations."""
    distribution = policy(rollout.observations, rollout.memory, rollout.episode_starts)
    return (distribution.log_prob(rollout.actions) * rollout.mask).sum(0)


def expected_score(policy: Policy, paths: Paths, scores: Tensor) -> Tensor:
    """Return Σ_i p_θ(path i) · score_i, differentiable: the expectation by enumeration."""
    return (paths.chances * log_probs_of(policy, paths.rollout).exp() * scores).sum()


def sequence_kl(policy: Policy, reference: Policy, paths: Paths) -> Tensor:
    """Return KL(π‖π_ref) of whole trajectories, Σ_i p_θ(i) [ln π_θ(i) − ln π_ref(i)], differentiable."""
    log_probs = log_probs_of(policy, paths.rollout)
    with torch.no_grad():
        others = log_probs_of(reference, paths.rollout)
    return (paths.chances * log_probs.exp() * (log_probs - others)).sum()


def enumerate_completions(task: TokenTask, prompts: Sequence[Sequence[int]], limit: int = MAX_TRAJECTORIES) -> Paths:
    """Return all completions of `prompts`, each prompt equally likely, as append-only token episodes.

    Raises:
        ValueError: there are more than `limit`.
    """
    eos = {task.eos} if isinstance(task.eos, int) else set(task.eos)
    going: list[tuple[list[int], list[int]]] = [(list(prompt), []) for prompt in prompts]
    pairs: list[tuple[list[int], list[int]]] = []  # prompts with completions that have ended
    for length in range(1, task.max_new_tokens + 1):
        longer = [(prompt, [*text, token]) for prompt, text in going for token in range(task.vocabulary)]
        over = [text[-1] in eos or task.stops(tuple(prompt), text) for prompt, text in longer]
        last = length == task.max_new_tokens
        pairs += [pair for pair, end in zip(longer, over, strict=True) if end or last]
        going = [pair for pair, end in zip(longer, over, strict=True) if not end]
        if len(pairs) + len(going) > limit:
            raise ValueError(f"max_new_tokens: more than {limit} completions, too many to enumerate; use a smaller one")
    return Paths(_token_rollout(task, pairs), torch.full((len(pairs),), 1 / len(prompts), dtype=torch.float64))


def _token_rollout(task: TokenTask, pairs: Sequence[tuple[list[int], list[int]]]) -> Rollout:
    steps = max(len(text) for _, text in pairs)
    width = max(len(prompt) for prompt, _ in pairs) + steps
    rows = [prompt + text + [task.pad] * (width - len(prompt) - len(text)) for prompt, text in pairs]
    starts, lengths = (torch.tensor([len(pair[i]) for pair in pairs]) for i in range(2))
    times = torch.arange(steps)[:, None].expand(steps, len(pairs))
    valid, last = times < lengths, times == lengths - 1
    actions = torch.tensor([text + [task.pad] * (steps - len(text)) for _, text in pairs]).T
    rewards = torch.zeros(steps, len(pairs), dtype=torch.float64)
    for b, (prompt, text) in enumerate(pairs):
        for t in range(len(text)):
            rewards[t, b] = task.reward_token(tuple(prompt), text[: t + 1])
        rewards[len(text) - 1, b] += task.judge(tuple(prompt), text)
    return Rollout(
        observations=TokenBlock(torch.tensor(rows), starts + torch.minimum(times, lengths)),
        actions=actions,
        log_probs=torch.zeros_like(rewards),
        rewards=rewards,
        terminated=last,
        truncated=torch.zeros_like(last),
        mask=valid,
        episode_starts=times == 0,
        times=times,
        final_observations=torch.zeros(0, width),
        final_rows=torch.zeros(0, 2, dtype=torch.int64),
        episode_returns=rewards.sum(0),
        episode_lengths=lengths,
    )
