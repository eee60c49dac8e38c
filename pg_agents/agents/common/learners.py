"""An update of several independent learners at once, each as it would be alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.agents.common.gradient_accumulation import accumulated_loss
from pg_agents.data.learners import by_learner, of_columns
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch

Metrics = dict[str, Tensor]


def optimize_learners(agent: Any, batch: Batch) -> Metrics:  # noqa: ANN401
    """Minimise each learner's loss by gradient steps, as `Agent.optimize` does for one; return metrics [L].

    A learner whose update has ended early, or that has fewer minibatches than others, takes no step meanwhile.

    Raises:
        FloatingPointError: a learner's gradient is not finite; no learner has taken that step.
    """
    learners, most = batch.num_learners, agent.current("max_grad_norm")
    going = torch.ones(learners, dtype=torch.bool, device=batch.weights.device)
    ended: dict[int, Tensor] = {}  # learner → the state of its generator, as orders are drawn for the others, too
    all_alike = bool(batch.weights.all())  # then every part is of every learner, until one ends
    taken, norms, counts = [], [], []
    for part in agent.parts(batch):
        if ended:
            part = replace(part, weights=part.weights * of_columns(going, part.weights.shape[1]))
        loss, means = accumulated_loss(agent, agent.policy, part, agent.current("micro_batch_size"))
        taken.append(means)
        stops = agent.should_stop_early(means)
        if isinstance(stops, Tensor) and (stops := going & stops).any():
            ended |= {i: agent.generator[i].get_state() for i in stops.nonzero().flatten().tolist()}
            going = going & ~stops
            if len(ended) == learners:
                break
        alike = all_alike and not ended
        steps = None if alike else going & (by_learner(part.weights.sum(0), learners).sum(-1) != 0)
        norm = agent.flat_optimizer.step(loss, most, steps)
        if not math.isfinite(norm.sum()):
            learner = int((~norm.isfinite()).nonzero()[0])
            raise agent.not_finite(f"the gradient of learner {learner} (seed {agent.seeds[learner]})")
        norms.append(norm if steps is None else norm.where(steps, 0.0))
        counts.append(1 if steps is None else steps)
    for learner, state in ended.items():
        agent.generator[learner].set_state(state)
    grad_norm = {"grad_norm": sum(norms[1:], norms[0]) / sum(counts)} if norms else {}
    return dict(WeightedMetrics.joined(taken)) | grad_norm
