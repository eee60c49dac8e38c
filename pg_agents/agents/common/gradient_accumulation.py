"""The loss of a batch that is too large to differentiate at once, computed part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    if size is None:
        return module(batch)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    cut = any(hasattr(parameter, "to_local") for parameter in parameters)
    if not (cut or batch.weights.any()):
        return module(batch)
    parts = [*minibatches(batch, size, None, unit=unit_of(policy, batch))] if batch.weights.any() else [batch]
    total = [torch.zeros_like(_rows(parameter)) for parameter in parameters]
    losses, found = [], []
    for part in parts + _idle(batch, parts) if cut else parts:
        loss, means = module(part)
        for gradients, gradient in zip(total, _gradients(loss / len(parts), parameters), strict=True):
            gradients += gradient
        losses.append(loss.detach())
        found.append(means)
    slopes = [(g * (_rows(p) - _rows(p).detach())).sum() for g, p in zip(total, parameters, strict=True)]
    whole = torch.stack(losses[: len(parts)]).mean() + torch.stack(slopes).sum()
    return whole, WeightedMetrics.joined(found[: len(parts)])


def _idle(batch: Batch, parts: list[Batch]) -> list[Batch]:
    """Return parts of weight 0, as many as others have more: for those, they need one's rows of the parameters."""
    most = len(parts) if batch.share is None else max(map(int, batch.share.ranks.gather(torch.tensor(len(parts)))))
    return [replace(parts[0], weights=torch.zeros_like(parts[0].weights))] * (most - len(parts))


def is_whole(agent: Any) -> bool:  # noqa: ANN401
    """Return whether the first gradient of an update is that of its batch as a whole, and the critic is on its own.

    No critic that is shared out is: its values would have a graph of parameters that are gathered again since.
    """
    own = agent.critic is not None and agent.critic.shared_encoder is None and not agent.flat_optimizer.shares_out
    return own and agent.current("minibatch_size") is None and agent.current("micro_batch_size") is None


def unit_of(policy: Policy, batch: Batch) -> Unit:
    """Return the unit that is kept whole when a batch is divided: a step or an environment."""
    connected = policy.recurrent or isinstance(batch.observations, TokenBlock)
    return "environment" if connected else "step"


def _rows(parameter: Any) -> Tensor:  # noqa: ANN401
    """Return a parameter, or one's own rows of one that is shared out among processes (`llm.sharding`)."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def _gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradients of a loss; of shared parameters one's own rows of the sum over all ranks."""
    if not any(hasattr(parameter, "to_local") for parameter in parameters):
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    loss.backward()
    found = [torch.zeros_like(_rows(one)) if one.grad is None else _rows(one.grad) for one in parameters]
    for one in parameters:
        one.grad = None
    return found
