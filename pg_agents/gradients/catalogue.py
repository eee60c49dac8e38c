"""The catalogue of estimators: every form of Ψ, with every baseline, in its biased and unbiased versions."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.agents import (
    A2C,
    GRPO,
    PPO,
    RLOO,
    TRPO,
    ActorCritic,
    NaturalPolicyGradient,
    Reinforce,
    ReinforceBaseline,
)
from pg_agents.agents.published import PUBLISHED
from pg_agents.data.rollout import Batch, Rollout, map_steps
from pg_agents.functional.comparisons import group_standardize
from pg_agents.gradients.continuing import AVERAGE
from pg_agents.gradients.estimators import (
    Estimator,
    Learner,
    Setting,
    always,
    as_single_steps,
    from_psi,
    learner_of,
    never,
    of_steps,
)
from pg_agents.gradients.objectives import LENGTH, OBJECTIVES
from pg_agents.gradients.paths import Paths, enumerate_paths, sample_paths
from pg_agents.gradients.problem import Problem
from pg_agents.gradients.psi import (
    LAMBDA,
    exact_if_one_step,
    exact_without_discount,
    gae_of,
    of_actions,
    per_episode,
    whole_of,
)
from pg_agents.seeding import Purpose, spawn


def _reinforce(setting: Setting, **arguments: Any) -> Learner:  # noqa: ANN401
    return learner_of(Reinforce(policy=setting.policy(), discount=setting.problem.discount, **arguments))


def _baselined(setting: Setting, *, values: Tensor | None = None, **arguments: Any) -> Learner:  # noqa: ANN401
    critic = None if values is None else setting.critic(values)
    arguments = {"signal": "discounted-reward-to-go", **arguments}
    discount = setting.problem.discount
    return learner_of(ReinforceBaseline(policy=setting.policy(), critic=critic, discount=discount, **arguments))


def _running_average(setting: Setting) -> Learner:
    agent = ReinforceBaseline(
        policy=setting.policy(),
        baseline="running-average",
        discount=setting.problem.discount,
        signal="discounted-reward-to-go",
    )
    agent.prepared(setting.earlier)
    return Learner(lambda rollout: deepcopy(agent).prepared(rollout)[0], agent)  # the average stays as it was


def _leave_one_out(setting: Setting) -> Learner:
    return learner_of(RLOO(policy=setting.policy(), discount=setting.problem.discount))


def _group_relative(setting: Setting, **arguments: Any) -> Learner:  # noqa: ANN401
    return learner_of(GRPO(policy=setting.policy(), discount=setting.problem.discount, **arguments))


def _published(name: str, **arguments: Any) -> Estimator:  # noqa: ANN401
    """Return the first step of a published form of GRPO, without its KL penalty."""
    own = {key: value for key, value in PUBLISHED[name].arguments.items() if not key.startswith("kl_")} | arguments
    return Estimator(name, lambda setting: _group_relative(setting, **own), never, separable=False)


def _temporal_difference(setting: Setting, values: Tensor) -> Learner:
    """Return the one-step actor-critic, its mean over steps made a mean over episodes of the sum over steps."""
    problem = setting.problem
    agent = ActorCritic(
        policy=setting.policy(), critic=setting.critic(values), discount=problem.discount, discounted_time=True
    )

    def prepare(rollout: Rollout) -> Batch:
        batch, _ = agent.prepared(as_single_steps(rollout))
        scale, shape = rollout.mask.sum().double() / rollout.mask.any(0).sum(), rollout.mask.shape
        return map_steps(lambda leaf: leaf.reshape(shape), replace(batch, weights=batch.weights * scale))

    return Learner(prepare, agent)


def _of_steps(
    kind: type[A2C | PPO | TRPO | NaturalPolicyGradient], setting: Setting, values: Tensor, gae_lambda: float = LAMBDA
) -> Learner:
    """Return an agent's first step.

    For TRPO and NPG it is the gradient before multiplication by F⁻¹ and scaling by √(2δ/xᵀFx), as their whole step does
    not estimate a multiple of the gradient.
    """
    networks: dict[str, Any] = {"policy": setting.policy(), "critic": setting.critic(values)}
    discount = setting.problem.discount
    return of_steps(kind(discount=discount, gae_lambda=gae_lambda, normalize_advantages=False, **networks))


def optimal_constant(setting: Setting, paths: Paths | None) -> float:
    """Return the constant that minimises the variance of (G − b) g, g the score of a whole trajectory.

        b* = E[‖g‖² G] / E[‖g‖²]

    Args:
        setting: problem and policy; g is the gradient with respect to the table ln π.
        paths: all trajectories; None: the setting's earlier rollout, which is independent of the measured ones.

    Reference: Weaver & Tao (2001); Greensmith, Bartlett & Baxter (2004).
    """
    rollout = setting.earlier if paths is None else paths.rollout
    states, probabilities = rollout.observations % len(setting.table), setting.table.exp()
    scores = torch.zeros(rollout.mask.shape[1], *setting.table.shape, dtype=torch.float64)
    columns = torch.arange(len(scores))
    for t, live in enumerate(rollout.mask.double()):  # ∇ ln π(A|s) with respect to the logits of s: 1_A − π(·|s)
        scores.index_put_((columns, states[t], rollout.actions[t]), live, accumulate=True)
        scores.index_put_((columns, states[t]), -live[:, None] * probabilities[states[t]], accumulate=True)
    squares = scores.square().sum((1, 2))
    chance = torch.ones_like(squares)
    if paths is not None:
        taken = setting.table[states, rollout.actions] * rollout.mask
        chance = paths.chances * taken.sum(0).exp()
    total = (chance * squares).sum()
    return float((chance * squares * whole_of(setting, rollout)).sum() / total) if total > 0 else 0.0


def _best_constant(setting: Setting) -> Learner:
    try:
        paths = enumerate_paths(setting.problem, setting.problem.mdp.initial, limit=5_000)
    except ValueError:
        start = setting.solution.start
        paths = None
        more = sample_paths(setting.problem, setting.table, start, 512, spawn(0, Purpose.EARLIER))
        setting = replace(setting, earlier=more)
    return _baselined(setting, baseline="constant", constant=optimal_constant(setting, paths), signal="whole-return")


def _constant_objective(setting: Setting) -> Learner:
    return _baselined(setting, baseline="constant", constant=float(setting.solution.objective))


def _batch_mean(setting: Setting) -> Learner:
    return _baselined(setting, baseline="batch-mean", signal="whole-return")


EPISODIC = (
    Estimator("whole return", lambda s: _reinforce(s, signal="whole-return"), always),
    Estimator("reward-to-go", lambda s: _reinforce(s, signal="discounted-reward-to-go"), always),
    Estimator("reward-to-go without γ^t", lambda s: _reinforce(s, signal="reward-to-go"), exact_without_discount),
    Estimator("reward-to-go − constant J", _constant_objective, always),
    Estimator("return − optimal constant", _best_constant, always),
    Estimator("reward-to-go − running average", _running_average, always),
    Estimator("return − batch mean", _batch_mean, never, separable=False),
    Estimator("return − mean of the others", _leave_one_out, always, separable=False),
    from_psi(
        "return, group-standardised",
        lambda s, r: per_episode(group_standardize(whole_of(s, r), r.group_ids), r),
        never,
        separable=False,
    ),
    Estimator(
        "reward-to-go, batch-standardised",
        lambda s: _reinforce(s, signal="discounted-reward-to-go", normalize_advantages=True),
        never,
        separable=False,
    ),
    *map(_published, ("GRPO", "GRPO without deviation", "DAPO")),
    _published("Dr. GRPO", max_episode_steps=LENGTH),
    Estimator("reward-to-go − learned V", lambda s: _baselined(s, values=s.learned), always),
    Estimator("reward-to-go − exact V", lambda s: _baselined(s, values=s.solution.values), always),
    from_psi("exact Q", lambda s, r: of_actions(s, r, s.solution.action_values)),
    from_psi("exact advantage", lambda s, r: of_actions(s, r, s.solution.advantages)),
    Estimator("TD residual, exact V", lambda s: _temporal_difference(s, s.solution.values), always),
    Estimator("TD residual, learned V", lambda s: _temporal_difference(s, s.learned), exact_if_one_step),
    from_psi("GAE(0.9), exact V", lambda s, r: gae_of(s, r, s.solution.values, LAMBDA)),
    from_psi("GAE(0.9), learned V", lambda s, r: gae_of(s, r, s.learned, LAMBDA), exact_if_one_step),
    Estimator("A2C (λ = 1), learned V", lambda s: _of_steps(A2C, s, s.learned, 1.0), exact_without_discount),
    Estimator("PPO's first step, exact V", lambda s: _of_steps(PPO, s, s.solution.values), exact_without_discount),
    Estimator("PPO's first step, learned V", lambda s: _of_steps(PPO, s, s.learned), exact_if_one_step),
    Estimator("TRPO before F⁻¹, exact V", lambda s: _of_steps(TRPO, s, s.solution.values), exact_without_discount),
    Estimator("NPG before F⁻¹, learned V", lambda s: _of_steps(NaturalPolicyGradient, s, s.learned), exact_if_one_step),
)  # fmt: skip


def estimators_of(problem: Problem) -> tuple[Estimator, ...]:
    """Return the estimators that suit a problem's objective."""
    if problem.average:
        return AVERAGE
    return EPISODIC if problem.reference is None else OBJECTIVES
