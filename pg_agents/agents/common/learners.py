"""An update of several independent learners at once, each as it would be alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.agents.common.gradient_accumulation import accumulated_loss
from pg_agents.data.learners import apart, of_columns
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch

Metrics = dict[str, Tensor]


def optimize_learners(agent: Any, batch: Batch) -> Metrics:  # noqa: ANN401
    """Minimise each learner's loss by gradient steps, as `Agent.optimize` does for one; return metrics [L].

    A learner whose update has ended early, or that has fewer minibatches than others, takes no step meanwhile.

    Raises:
        FloatingPointError: a learner's gradient is not finite; no learner has taken that step.
    """
    going = torch.ones(batch.num_learners, dtype=torch.bool, device=batch.weights.device)
    ended: dict[int, Tensor] = {}  # learner → the state of its generator, as orders are drawn for the others, too
    taken, norms, counts = [], going * 0.0, going * 0.0
    for part in agent.parts(batch):
        part = part if going.all() else replace(part, weights=part.weights * of_columns(going, part.weights.shape[1]))
        loss, means = accumulated_loss(agent, agent.policy, part, agent.current("micro_batch_size"))
        taken.append(means)
        stops = going & agent.should_stop_early(means)
        if stops.any():
            ended |= {i: agent.generator[i].get_state() for i in stops.nonzero().flatten().tolist()}
            going = going & ~stops
            if not going.any():
                break
        steps = going & (apart(part.weights, len(going)) != 0).flatten(1).any(1)
        norm = agent.flat_optimizer.step(loss, agent.current("max_grad_norm"), steps)
        if not (finite := norm.isfinite()).all():
            learner = int((~finite).nonzero()[0])
            raise agent.not_finite(f"the gradient of learner {learner} (seed {agent.seeds[learner]})")
        norms += torch.where(steps, norm, 0.0)
        counts += steps
    for learner, state in ended.items():
        agent.generator[learner].set_state(state)
    return dict(WeightedMetrics.joined(taken)) | {"grad_norm": norms / counts}
