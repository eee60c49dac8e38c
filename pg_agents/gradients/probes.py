"""What is looked at of the gradient while an agent learns: probes for `train(…, probes=[…])`."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from pg_envs import solve
from torch import Tensor

from pg_agents.agents.base import Agent
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.gradients.exact import double, exact_gradient, flatten, log_table
from pg_agents.gradients.exact import solve as solution_of
from pg_agents.gradients.problem import Problem
from pg_agents.training.run import Run

LARGEST_SNR = 1e12


def gradient_noise(run: Run, groups: int = 16) -> dict[str, float]:
    """Return how much of the update is signal, from what each environment contributes to it.

    The loss is a weighted sum, so the gradient is one too: ĝ = Σ_k g_k over K groups of environments (one each, up to
    `groups`). With independent environments

        gradient/snr                  ‖ĝ‖² / tr Cov(ĝ),   tr Cov(ĝ) = K/(K − 1) Σ_k ‖g_k − ĝ/K‖²; at most 1e12
        gradient/effective_samples    (Σ_k ‖g_k‖)² / Σ_k ‖g_k‖²: K where all contribute alike, 1 where one does all

    Where ĝ is noise alone, the first is 1 on average. Agents that compare environments with each other (baselines of
    the batch, standardised advantages) make them slightly dependent. Nothing is returned for a single environment, for
    independent learners, or where nothing is learned from the rollout by itself.

    Args:
        run: its agent, which is left as it is, and the rollout that it learned from last.
        groups: the most gradients to compute.
    """
    agent = run.agent
    batch = _batch(agent, run.rollout)
    columns = batch.weights.shape[1]
    if agent.policy.num_learners > 1 or columns < 2 or not batch.weights.any():
        return {}
    parts = torch.arange(columns, device=batch.weights.device).tensor_split(min(columns, groups))
    gradients = []
    for part in parts:
        chosen = torch.zeros(columns, dtype=batch.weights.dtype, device=batch.weights.device)
        chosen[part] = 1
        gradients.append(_descent(agent, replace(batch, weights=batch.weights * chosen)))
    each = torch.stack(gradients)  # [K, P]
    total, count = each.sum(0), len(each)
    noise = float((each - total / count).square().sum()) * count / (count - 1)
    lengths = each.norm(dim=1)
    signal, squares = float(total.square().sum()), float(lengths.square().sum())
    return {
        "gradient/snr": min(signal / max(noise, 1e-300), LARGEST_SNR),
        "gradient/effective_samples": float(lengths.sum()) ** 2 / squares if squares > 0 else 0.0,
    }


def against_exact(problem: Problem) -> Callable[[Run], dict[str, float]]:
    """Return a probe that holds a run's agent against the truth in a finite problem.

        exact/cosine    of the angle between the agent's step down its loss and ∇J; 0 where one of them is zero
        exact/value     J(π)
        exact/regret    the best policy's J (which may look at the clock where there is a horizon) − J(π)

    Args:
        problem: what the agent's environment plays, with the objective it is to be judged by: `problem_of(env)`.

    Raises:
        ValueError: (the probe) for policies without an exact gradient; see `exact_gradient`.
    """
    best = optimum(problem)

    def probe(run: Run) -> dict[str, float]:
        agent = run.agent
        exact = exact_gradient(problem, agent.policy)
        step = _descent(agent, _batch(agent, run.rollout))
        lengths = float(exact.norm() * step.norm())
        policy = double(agent.policy)
        with torch.no_grad():
            value = float(solution_of(problem, log_table(policy, problem)).objective)
        return {
            "exact/cosine": float(exact @ step) / lengths if lengths > 0 else 0.0,
            "exact/value": value,
            "exact/regret": best - value,
        }

    return probe


def optimum(problem: Problem) -> float:
    """Return the largest J of any policy, KL divergences aside; with a horizon it may look at the clock."""
    mdp = problem.mdp
    if problem.average:
        return solve.gain(mdp)
    if problem.horizon is not None:
        return solve.expected_return(mdp, problem.horizon, discount=problem.discount)
    if problem.discount == 1:
        return float(solve.evaluate(mdp, criterion="total").objective)
    return float(solve.evaluate(mdp, criterion="discounted", discount=problem.discount).objective)


def _batch(agent: Agent, rollout: Rollout) -> Batch:
    """Return what the agent would learn from; its running statistics are not touched."""
    memo: dict[int, object] = {id(parameter): parameter for parameter in agent.parameters()}
    memo[id(agent.flat_optimizer)] = agent.flat_optimizer
    twin = deepcopy(agent, memo)  # the same parameters, its own statistics
    with torch.no_grad():
        return twin.prepared(rollout if twin.reward_scale is None else twin.reward_scale(rollout))[0]


def _descent(agent: Agent, batch: Batch) -> Tensor:
    """Return −∇ loss with respect to the policy's parameters, float64 [P]."""
    parameters = list(agent.policy.parameters())
    loss = agent(batch)[0]
    return -flatten(torch.autograd.grad(loss, parameters, allow_unused=True), parameters)
