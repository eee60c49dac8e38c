"""Estimators of the policy gradient: a rollout → a gradient, by the agents' own code.

An estimator prepares a `Batch` (returns, advantages, weights) and differentiates a loss, as every agent does. Here the
policy is the table ln π(a|s) of the policy that is measured; the chain rule does the rest (`instrument.measure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pg_agents.agents.base import Agent
from pg_agents.data.rollout import Batch, Rollout, map_steps
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical
from pg_agents.functional.losses import mean_over_episodes, policy_gradient
from pg_agents.functional.returns import reward_to_go
from pg_agents.gradients.exact import Solution, solve
from pg_agents.gradients.paths import sample_paths
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Memory, TabularCritic, TabularPolicy
from pg_agents.seeding import Purpose, spawn

WARM = 64  # earlier episodes, on which baselines and critics were trained


class StatePolicy(TabularPolicy):
    """The policy ln π = `table` [S, A] on the nodes of a problem: node n is state n % S."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(*table.shape)
        self.double()
        with torch.no_grad():
            self.logits.copy_(table)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Categorical:
        """Return the distributions for nodes [..., B]."""
        return super().forward(observations % self.logits.shape[1])


@dataclass(frozen=True)
class Setting:
    """The information available to an estimator: problem, policy, exact values, and a V learned from earlier episodes.

    Attributes:
        problem: the finite problem.
        table: ln π(a|s), [S, A].
        solution: exact values.
        earlier: an earlier rollout, independent of the measured ones.
        learned: V of the nodes learned from the earlier rollout: the mean reward-to-go of visited nodes, else 0. For
            the average reward, half of the exact V.
    """

    problem: Problem
    table: Tensor
    solution: Solution
    earlier: Rollout
    learned: Tensor

    @classmethod
    def of(cls, problem: Problem, table: Tensor, seed: int = 0) -> Setting:
        """Return the setting of the policy ln π = `table`."""
        table = table.detach()
        solution = solve(problem, table)
        earlier = sample_paths(problem, table, solution.start, WARM, spawn(seed, Purpose.EARLIER))
        learned = solution.values / 2 if problem.average else _mean_returns(problem, earlier, len(solution.values))
        return cls(problem, table, solution, earlier, learned)

    def policy(self) -> StatePolicy:
        """Return a new policy of the table."""
        return StatePolicy(self.table)

    def reference(self) -> StatePolicy:
        """Return the problem's reference policy, frozen."""
        assert self.problem.reference is not None
        return StatePolicy(self.problem.reference).requires_grad_(False)

    def critic(self, values: Tensor) -> TabularCritic:
        """Return a critic with the given values of the nodes."""
        critic = TabularCritic(len(values)).double()
        with torch.no_grad():
            critic.values.copy_(values)
        return critic


def _mean_returns(problem: Problem, rollout: Rollout, nodes: int) -> Tensor:
    returns = reward_to_go(rollout.rewards, rollout.terminated, rollout.truncated, problem.discount)
    sums, counts = torch.zeros(2, nodes, dtype=torch.float64)
    visited = rollout.observations[rollout.mask]
    sums.index_add_(0, visited, returns[rollout.mask])
    counts.index_add_(0, visited, torch.ones_like(returns[rollout.mask]))
    return sums / counts.clamp(min=1)


class Reinforced(nn.Module):
    """The loss Σ weights · (−Ψ_t ln π(A_t|S_t)), for forms of Ψ that no agent uses."""

    def __init__(self, policy: TabularPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and no metrics."""
        log_probs = self.policy(batch.observations).log_prob(batch.actions)
        return (batch.weights * policy_gradient(log_probs, batch.advantages)).sum(), {}


@dataclass(frozen=True)
class Learner:
    """An estimator in one setting: an agent's `prepare`, and its loss `module` with the parameter `policy.logits`."""

    prepare: Callable[[Rollout], Batch]
    module: nn.Module

    def __call__(self, rollout: Rollout) -> Tensor:
        """Return the estimate of the gradient with respect to ln π(a|s), float64 [S · A]."""
        with torch.no_grad():
            batch = self.prepare(rollout)
        logits = self.module.get_parameter("policy.logits")
        (gradient,) = torch.autograd.grad(self.module(batch)[0], [logits])
        return -gradient.flatten()


def learner_of(agent: Agent) -> Learner:
    """Return an agent's first step, in which the policy is still the one that acted."""
    return Learner(lambda rollout: agent.prepared(rollout)[0], agent)


def of_steps(agent: Agent) -> Learner:
    """Return an agent's first step, its mean over steps made a mean over episodes of the sum over steps."""

    def prepare(rollout: Rollout) -> Batch:
        batch, _ = agent.prepared(rollout)
        return replace(batch, weights=batch.weights * rollout.mask.sum().double() / rollout.mask.any(0).sum())

    return Learner(prepare, agent)


@dataclass(frozen=True)
class Estimator:
    """A way to estimate the policy gradient from a batch of trajectories.

    Attributes:
        name: its name in tables.
        make: maps a setting to a learner.
        unbiased: whether, in theory, its expectation is the gradient of a problem.
        separable: whether a batch's estimate is the mean of its trajectories' (else it compares trajectories).
    """

    name: str
    make: Callable[[Setting], Learner]
    unbiased: Callable[[Problem], bool]
    separable: bool = True


def always(problem: Problem) -> bool:
    """Return True."""
    return True


def never(problem: Problem) -> bool:
    """Return False."""
    return False


def from_psi(
    name: str,
    psi: Callable[[Setting, Rollout], Tensor],
    unbiased: Callable[[Problem], bool] = always,
    *,
    separable: bool = True,
    weights: Callable[[Tensor], Tensor] = lambda mask: mean_over_episodes(mask, dtype=torch.float64),
) -> Estimator:
    """Return the estimator Σ_t Ψ_t ∇ ln π(A_t|S_t), with Ψ = `psi`(setting, rollout) [T, B].

    Args:
        name: its name in tables.
        psi: Ψ, including γ^t where the gradient has it.
        unbiased: see `Estimator`.
        separable: see `Estimator`.
        weights: maps the mask to the weights of rows; by default the mean over episodes of the sum over steps.
    """

    def make(setting: Setting) -> Learner:
        def prepare(rollout: Rollout) -> Batch:
            return Batch.of(rollout, advantages=psi(setting, rollout), weights=weights(rollout.mask))

        return Learner(prepare, Reinforced(setting.policy()))

    return Estimator(name, make, unbiased, separable)


def nodes_after(rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Return the rows (t, b) that did not end their episode, [K, 2], and the nodes after them, [K]."""
    following = torch.cat([rollout.observations[1:], rollout.observations[:1]])
    if len(rollout.final_rows):
        following[tuple(rollout.final_rows.T)] = rollout.final_observations
    rows = (rollout.mask & ~rollout.terminated).nonzero()
    return rows, following[tuple(rows.T)]


def as_single_steps(rollout: Rollout) -> Rollout:
    """Return the rollout [T, B] as one of T · B environments that took one step each, [1, T · B].

    It is what an actor-critic that learns from every step sees.
    """
    length, columns = rollout.mask.shape
    rows, following = nodes_after(rollout)
    return replace(
        map_steps(lambda leaf: leaf.reshape(1, -1), rollout),
        truncated=torch.zeros(1, length * columns, dtype=torch.bool),
        final_observations=following,
        final_rows=torch.stack([torch.zeros_like(rows[:, 0]), rows[:, 0] * columns + rows[:, 1]], 1),
        group_ids=None,
    )
