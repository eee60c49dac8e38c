"""Exact values and policy gradients in float64, by differentiating through the linear systems they solve."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from pg_envs.solve.chains import can_reach, reachable, recurrent_classes
from torch import Tensor, nn

from pg_agents.data.tree import Tree, tree_map
from pg_agents.distributions import Categorical
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Policy

MAX_ENTRIES = 100_000_000  # of ∂ ln π / ∂θ


def log_table(policy: Policy, problem: Problem) -> Tensor:
    """Return ln π_θ(a|s) for all states, float64 [S, A], differentiable in the parameters of `policy`.

    Args:
        policy: a policy with Categorical actions, in float64 (see `double`).
        problem: the problem with the states.

    Raises:
        ValueError: other distributions, independent learners, or a probability of zero, at which ln π has no gradient.
    """
    if policy.num_learners > 1:
        raise ValueError(f"policy: {policy.num_learners} independent learners have a gradient each; measure one")
    table = _categorical(policy, problem.inputs()).logits[0].double()
    if table.shape != (problem.mdp.num_states, problem.mdp.num_actions):
        shape = (problem.mdp.num_states, problem.mdp.num_actions)
        raise ValueError(f"policy: its table has shape {tuple(table.shape)}, the problem's states and actions {shape}")
    if not torch.isfinite(table).all():
        state, action = (~torch.isfinite(table)).nonzero()[0].tolist()
        raise ValueError(
            f"policy: action {action} has probability zero in state {state}, where ln π has no gradient; give every "
            "action some probability (smaller logits, or mix with the uniform policy)"
        )
    return table


def double(policy: Policy) -> Policy:
    """Return a copy of the policy in float64."""
    return deepcopy(policy).double()


def flatten(tensors: Iterable[Tensor | None], like: Iterable[Tensor]) -> Tensor:
    """Return gradients as one vector, [P], in the order of `nn.utils.parameters_to_vector`; None counts as zeros."""
    pairs = zip(tensors, like, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs]).double()


def gradient_of(value: Tensor, module: nn.Module) -> Tensor:
    """Return ∇ value with respect to all parameters of `module`, float64 [P]."""
    parameters = list(module.parameters())
    return flatten(torch.autograd.grad(value, parameters, allow_unused=True), parameters)


def exact_gradient(problem: Problem, policy: Policy) -> Tensor:
    """Return ∇J(θ), float64 [P].

    Raises:
        ValueError: see `log_table` and `solve`.
    """
    policy = double(policy)
    return gradient_of(solve(problem, log_table(policy, problem)).objective, policy)


def jacobian(problem: Problem, policy: Policy) -> Tensor:
    """Return ∂ ln π_θ(a|s) / ∂θ, float64 [S · A, P].

    Raises:
        ValueError: see `log_table`; more than 100 million entries.
    """
    policy = double(policy)
    size = sum(parameter.numel() for parameter in policy.parameters())
    if size * problem.mdp.num_states * problem.mdp.num_actions > MAX_ENTRIES:
        raise ValueError(
            f"policy: {size:,} parameters times {problem.mdp.num_states} states and {problem.mdp.num_actions} actions "
            f"are more than {MAX_ENTRIES:,} derivatives; measure a smaller policy, or in a smaller problem"
        )
    log_table(policy, problem)  # raises an error for an unsuitable policy
    parameters = list(policy.parameters())
    rows = []
    for state in torch.arange(problem.mdp.num_states):  # each on its own: no state's ln π depends on another's
        logits = _categorical(policy, problem.seen(state[None])).logits[0, 0]
        rows += [torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True) for entry in logits]
    return torch.stack([flatten(row, parameters) for row in rows])


def _categorical(policy: Policy, observations: Tree) -> Categorical:
    distribution = policy(tree_map(lambda leaf: leaf[None], observations))  # [1, S, …]: one step of S columns
    if not isinstance(distribution, Categorical):
        raise ValueError(f"policy: {type(distribution).__name__} actions cannot be enumerated; Discrete actions can")
    return distribution


@dataclass(frozen=True)
class Solution:
    """The objective and the values of a policy.

    Attributes:
        objective: J.
        values: V of the nodes, [S], or [T · S] if they depend on the time.
        action_values: Q of the nodes, [S, A] or [T · S, A].
        start: the distribution of the estimators' first state, [S]: ρ, or for the gain the stationary distribution μ.
    """

    objective: Tensor
    values: Tensor
    action_values: Tensor
    start: Tensor

    @property
    def advantages(self) -> Tensor:
        """A = Q − V of the nodes."""
        return self.action_values - self.values[:, None]


def solve(problem: Problem, table: Tensor) -> Solution:
    """Return J, V and Q of the policy ln π = `table` [S, A], all differentiable.

    - horizon: V_T = 0, V_t = Σ_a π (r + γ P V_{t+1})
    - no horizon: (I − γ P_π) V = r_π on the states that are reached, V = 0 in terminal ones; J = ρᵀ V
    - average: μᵀ P_π = μᵀ, J = λ = μᵀ r_π, (I − P_π + 1 μᵀ) V = r_π − λ 1

    A weight β of KL(π‖π_ref) makes r into r − β ln(π/π_ref).

    Raises:
        ValueError: the total of a process that may never end; the gain of one with several recurrent classes.
    """
    mdp = problem.mdp
    policy, chances = table.exp(), torch.tensor(mdp.transitions)
    rewards = torch.tensor(mdp.expected_rewards)
    if problem.reference is not None:
        inner = torch.tensor(~mdp.terminal)[:, None]
        rewards = rewards - problem.kl_weight * (inner * (table - problem.reference))
    if problem.average:
        return _gain(problem, policy, chances, rewards)
    start = torch.tensor(mdp.initial)
    if problem.timed:
        return _backward(problem, policy, chances, rewards, start)
    chain, mean = torch.einsum("sa,san->sn", policy, chances), (policy * rewards).sum(1)
    inner = torch.tensor(np.flatnonzero(_ending(problem)))
    system = torch.eye(len(inner), dtype=torch.float64) - problem.discount * chain[inner][:, inner]
    values = torch.zeros_like(mean).index_put((inner,), torch.linalg.solve(system, mean[inner]))
    return Solution(start @ values, values, rewards + problem.discount * chances @ values, start)


def policy_gradient_theorem(problem: Problem, policy: Policy) -> Tensor:
    """Return ∇λ by the policy-gradient theorem, without differentiating μ or Q, float64 [P].

        ∇λ_θ = Σ_{s,a} μ_θ(s) π_θ(a|s) Q_π(s,a) ∇ ln π_θ(a|s)     (21)

    Raises:
        ValueError: an objective that is not the average; several recurrent classes.
    """
    if not problem.average:
        raise ValueError(f"objective must be average, got {problem.objective}")
    policy = double(policy)
    table = log_table(policy, problem)
    with torch.no_grad():
        solution = solve(problem, table)
        weights = solution.start[:, None] * table.exp() * solution.action_values
    return gradient_of((weights * table).sum(), policy)


def _backward(problem: Problem, policy: Tensor, chances: Tensor, rewards: Tensor, start: Tensor) -> Solution:
    assert problem.horizon is not None
    following, values, action_values = torch.zeros_like(start), [], []
    for _ in range(problem.horizon):
        action_values.append(rewards + problem.discount * chances @ following)
        following = (policy * action_values[-1]).sum(1)
        values.append(following)
    return Solution(start @ following, torch.cat(values[::-1]), torch.cat(action_values[::-1]), start)


def _gain(problem: Problem, policy: Tensor, chances: Tensor, rewards: Tensor) -> Solution:
    classes = recurrent_classes(problem.mdp.transitions.sum(1))
    if len(classes) > 1 or problem.mdp.terminal.any():
        shown = " and ".join(str(states.tolist()) for states in classes[:3])
        raise ValueError(
            f"env: the average reward depends on where the process begins, as it has {len(classes)} recurrent "
            f"classes ({shown}) or ends; use a discounted or total objective with a horizon"
        )
    chain, mean = torch.einsum("sa,san->sn", policy, chances), (policy * rewards).sum(1)
    eye, last = torch.eye(len(mean), dtype=torch.float64), torch.zeros_like(mean)
    last[-1] = 1
    balance = torch.cat([(eye - chain).T[:-1], torch.ones_like(mean)[None]])  # μᵀ(I − P) = 0, and Σ μ = 1
    stationary = torch.linalg.solve(balance, last)
    gain = stationary @ mean
    values = torch.linalg.solve(eye - chain + stationary.expand(len(mean), -1), mean - gain)
    return Solution(gain, values, rewards - gain + chances @ values, stationary)


def _ending(problem: Problem) -> np.ndarray:
    """Return the non-terminal states that are reached, bool [S], after checking that their values exist."""
    mdp = problem.mdp
    edges = mdp.transitions.sum(1) > 0
    found = reachable(edges, mdp.initial > 0) & ~mdp.terminal
    endless = found & ~can_reach(edges, mdp.terminal)
    if problem.discount == 1 and endless.any():
        raise ValueError(
            f"env: the total reward does not exist, as no terminal state can be reached from state "
            f"{np.flatnonzero(endless)[0]}; give a horizon or a discount below 1, or use the average reward"
        )
    return found
