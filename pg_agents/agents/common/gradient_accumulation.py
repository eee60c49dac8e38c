"""The loss of a batch that is too large to differentiate at once, computed part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.minibatches import Unit, minibatches
from pg_agents.data.rollout import Batch, TokenBlock
from pg_agents.policies import Policy


def accumulated_loss(
    module: nn.Module, policy: Policy, batch: Batch, size: int | None
) -> tuple[Tensor, WeightedMetrics]:
    """Return a module's loss and metrics, with the graph of about `size` steps in memory at a time.

        L + Σ_i g_i (θ_i − θ̄_i),   g = ∇L, added up part by part, and θ̄ = θ without a gradient

    has the value and the gradient of the whole batch's loss L, since losses are weighted sums (`minibatches`).

    Args:
        module: `module(batch)` is (L, metrics); its parameters are θ.
        policy: the module's policy, on which it depends how the batch can be divided (`unit_of`).
        batch: the batch.
        size: steps in a part; None: the whole batch.
    """
    if size is None or not batch.weights.any():
        return module(batch)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    total = [torch.zeros_like(parameter) for parameter in parameters]
    losses, found = [], []
    for part in minibatches(batch, size, None, unit=unit_of(policy, batch)):
        loss, means = module(part)
        for gradients, gradient in zip(total, _gradients(loss, parameters), strict=True):
            gradients += gradient
        losses.append(loss.detach())
        found.append(means)
    slopes = [(g / len(losses) * (p - p.detach())).sum() for g, p in zip(total, parameters, strict=True)]
    return torch.stack(losses).mean() + torch.stack(slopes).sum(), WeightedMetrics.joined(found)


def is_whole(agent: Any) -> bool:  # noqa: ANN401
    """Return whether the first gradient of an update is that of its batch as a whole, and the critic is on its own."""
    own = agent.critic is not None and agent.critic.shared_encoder is None
    return own and agent.current("minibatch_size") is None and agent.current("micro_batch_size") is None


def unit_of(policy: Policy, batch: Batch) -> Unit:
    """Return the unit that is kept whole when a batch is divided: a step or an environment."""
    connected = policy.recurrent or isinstance(batch.observations, TokenBlock)
    return "environment" if connected else "step"


def _gradients(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
