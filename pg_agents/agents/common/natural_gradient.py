"""Shared by natural-gradient agents: Fisher-vector products, conjugate gradients, steps of a given length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pg_agents.agents.common.cadence_config import NaturalConfig
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.agents.common.parameter_vectors import assign, flatten, learned
from pg_agents.data.minibatches import weights_of_all
from pg_agents.data.rollout import Batch
from pg_agents.distributions import Distribution
from pg_agents.functional.divergences import kl_divergence
from pg_agents.functional.losses import squared_error
from pg_agents.policies import Critic, Policy

FOR_TRANSFORMERS = {"num_steps": None, "fisher_fraction": 0.25, "epochs": 4, "minibatch_size": 256}
FOR_PICTURES = {"fisher_fraction": 0.1, "epochs": 4, "minibatch_size": 256}  # F of all steps takes most of the time


class MeanKL:
    """The divergence of a policy from what it was at construction: Σ_t w_t KL(π_old(·|S_t) ‖ π_θ(·|S_t)).

    Args:
        policy: π_old as it is at construction, π_θ as it is at each call.
        batch: provides the states S_t and the weights w_t.
    """

    def __init__(self, policy: Policy, batch: Batch) -> None:
        self.total = batch.total
        self.policy, self.seen, self.weights = (
            policy,
            (batch.observations, batch.memory, batch.episode_starts),
            batch.weights,
        )
        # With copies of the parameters: a distribution may hold a parameter itself (ln σ), which will change in place.
        before = {name: parameter.detach().clone() for name, parameter in policy.named_parameters()}
        with torch.no_grad():
            self.old: Distribution = torch.func.functional_call(policy, before, self.seen)

    def __call__(self) -> Tensor:
        """Return the divergence, differentiable in the policy's parameters; with ranks, its part on this one."""
        return (self.weights * kl_divergence(self.old, self.policy(*self.seen))).sum()


class Fisher:
    """v ↦ F v, with F the Fisher information of the policy, averaged over the states of a batch.

        F = Σ_t w_t E_{a∼π(·|S_t)}[∇ ln π(a|S_t) ∇ ln π(a|S_t)ᵀ] = ∇² Σ_t w_t KL(π_old(·|S_t) ‖ π_θ(·|S_t)) at θ = θ_old

    The expectation over actions is exact, since the divergence has a closed form. F is never formed: F v is the
    gradient of (∇KL)ᵀ v, and the graph of ∇KL is built once for all products.

    Args:
        divergence: the divergence from the present policy.

    Reference: Pearlmutter (1994); Schulman et al. (2015), appendix C.
    """

    def __init__(self, divergence: MeanKL) -> None:
        self.parameters, self.total = learned(divergence.policy), divergence.total
        with sdpa_kernel(SDPBackend.MATH):  # this kernel of attention can be differentiated twice
            mean_kl = divergence()
        options: dict[str, Any] = {"create_graph": True, "materialize_grads": True}
        self.gradient = flatten(torch.autograd.grad(mean_kl, self.parameters, **options))

    def __call__(self, vector: Tensor) -> Tensor:
        """Return F v, [P], for v [P]."""
        options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
        return self.total(flatten(torch.autograd.grad(self.gradient, self.parameters, vector, **options)))


def some_of(split: Callable[[Batch, int], Iterator[Batch]], batch: Batch, fraction: float) -> Batch:
    """Return a random part of the batch, with weights to match; the batch itself if `fraction` is 1.

    Args:
        split: returns a random partition of a batch into parts of about a given number of steps.
        batch: the batch.
        fraction: the fraction of its steps, above 0 and at most 1.
    """
    steps = int((weights_of_all(batch) != 0).sum())
    return batch if fraction == 1 else next(split(batch, math.ceil(fraction * steps)))


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, iterations: int, tolerance: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Return x with A x ≈ b, [P], and ‖b − A x‖ / ‖b‖, for a symmetric positive semi-definite A.

    It begins at x = 0 and ends early if the residual's norm is at most `tolerance` times that of b, or if A is 0 along
    the next direction. For a singular A and a b in its range, x is the shortest solution.

    Args:
        product: v ↦ A v.
        target: b, [P].
        iterations: most iterations; P of them solve the system up to rounding.
        tolerance: norm of the residual, relative to b, at which it ends.

    Reference: Hestenes & Stiefel (1952).
    """
    solution, residual, direction = torch.zeros_like(target), target, target
    square = start = residual @ residual
    for _ in range(iterations):
        if square <= tolerance**2 * start:
            break
        image = product(direction)
        curvature = direction @ image
        if curvature <= 0:
            break
        rate = square / curvature
        solution, residual = solution + rate * direction, residual - rate * image
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return solution, (square / start.clamp(min=torch.finfo(start.dtype).tiny)).sqrt()


def natural_step(
    fisher: Callable[[Tensor], Tensor], gradient: Tensor, max_kl: float, damping: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Return the natural-gradient step whose KL divergence is δ to second order, [P], and its system's residual.

        s = √(2δ / xᵀ(F + λI)x) x,   (F + λI) x = g

    so that ½ sᵀFs ≤ δ, with equality at λ = 0. A gradient of 0 gives a step of 0.

    Args:
        fisher: v ↦ F v.
        gradient: g, of the objective, [P].
        max_kl: δ.
        damping: λ; it keeps the step short in directions in which F is 0: ‖s‖ ≤ √(2δ/λ).
        iterations: most iterations of the conjugate-gradient method.

    Reference: Schulman et al. (2015), appendix C.
    """

    def damped(vector: Tensor) -> Tensor:
        return fisher(vector) + damping * vector

    direction, residual = conjugate_gradient(damped, gradient, iterations)
    length = (direction @ damped(direction)).clamp(min=torch.finfo(gradient.dtype).tiny)
    return (2 * max_kl / length).sqrt() * direction, residual


def natural_step_of(
    loss: Tensor,
    policy: Policy,
    batch: Batch,
    config: NaturalConfig,
    split: Callable[[Batch, int], Iterator[Batch]],
) -> tuple[Tensor, Tensor]:
    """Return the natural step down a loss, [P], and the residual of its system; see `natural_step`.

    Args:
        loss: the loss, with its graph.
        policy: π_θ.
        batch: the batch over whose states F is averaged.
        config: provides δ, λ, the iterations, and the fraction of the batch that is used for F.
        split: returns a random partition of a batch into parts of about so many steps.
    """
    gradient = -batch.total(flatten(torch.autograd.grad(loss, learned(policy), materialize_grads=True)))
    fisher = Fisher(MeanKL(policy, some_of(split, batch, config.fisher_fraction)))
    return natural_step(fisher, gradient, config.max_kl, config.damping, config.cg_iterations)


@torch.no_grad()
def line_search(
    parameters: Sequence[Tensor],
    step: Tensor,
    measure: Callable[[], tuple[Tensor, Tensor]],
    max_kl: float,
    backtrack: float,
    trials: int,
) -> tuple[float, Tensor, Tensor]:
    """Move the parameters to θ + βʲ s with the smallest j at which L is larger and KL ≤ δ; return βʲ, L − L_old and KL.

    If it holds for no j < `trials`, return 0 three times and leave the parameters bit for bit unchanged.

    Args:
        parameters: θ; changed in place.
        step: s, [P].
        measure: returns L − L_old and KL of the present parameters; a step with NaN is refused.
        max_kl: δ.
        backtrack: β.
        trials: the number of steps tried.

    Reference: Schulman et al. (2015), appendix C.
    """
    before, taken = flatten(parameters), 0.0
    try:
        for fraction in (backtrack**j for j in range(trials)):
            assign(parameters, before + fraction * step)
            improvement, kl = measure()
            if improvement > 0 and kl <= max_kl:
                taken = fraction
                return taken, improvement, kl
    finally:  # also where `measure` raises
        if not taken:
            assign(parameters, before)
    return taken, step.new_zeros(()), step.new_zeros(())


def critic_optimizer(policy: Policy, critic: Critic, adam_epsilon: float) -> FlatOptimizer:
    """Return Adam for the critic alone.

    Raises:
        ValueError: the critic shares parameters with the policy, so that its learning would change the policy.
    """
    own = {id(parameter) for parameter in policy.parameters()}
    if any(id(parameter) in own for parameter in critic.parameters()):
        raise ValueError(
            "critic: it shares parameters with the policy, so that its learning would move the policy out of its trust "
            "region; give it its own parameters"
        )
    return FlatOptimizer("adam", critic, epsilon=adam_epsilon)


def fit_values(critic: Critic, parts: Iterable[Batch], optimizer_step: Callable[[Tensor], float]) -> Tensor:
    """Minimise ½ (V_ψ(S_t) − G_t)², one gradient step per minibatch, and return its mean over minibatches.

    Args:
        critic: V_ψ.
        parts: the minibatches of all epochs.
        optimizer_step: takes one step down the gradient of a loss.
    """
    frozen = not any(parameter.requires_grad for parameter in critic.parameters())
    losses = []
    for part in parts:
        values = critic(part.observations, part.memory, part.episode_starts)
        assert part.targets is not None
        loss = part.sum(squared_error(values, part.targets))
        if not frozen:
            optimizer_step(loss)
        losses.append(part.total(loss))
    return torch.stack(losses).mean()
