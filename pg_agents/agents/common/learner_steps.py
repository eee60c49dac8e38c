"""Steps of torch's optimizers for matrices with a row of parameters for each learner, of which some take no step.

A learner that takes no step keeps its parameters, its moments and its count of steps; step sizes may differ. States and
arithmetic are those of `torch.optim`, a row at a time, so that a step has the same bits whether others take it or not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

Group = dict[str, Any]  # of an optimizer: its parameters and options
Rows = list[Tensor]


@torch.no_grad()
def step_of_learners(optimizer: torch.optim.Optimizer, steps: Tensor) -> None:
    """Take a step for the learners for whom `steps` is True, bool [L], down the gradients of their rows."""
    kind = {torch.optim.Adam: _adam, torch.optim.RMSprop: _rmsprop, torch.optim.SGD: _sgd}[type(optimizer)]
    learners = steps.nonzero().flatten().tolist()
    for group in optimizer.param_groups:
        for matrix in group["params"]:
            rates = torch.as_tensor(group["lr"], dtype=torch.float64).expand(len(matrix)).tolist()
            for rate in {rates[learner] for learner in learners}:
                some = [learner for learner in learners if rates[learner] == rate]
                kind(matrix, optimizer.state[matrix], group | {"lr": rate}, partial(_rows, some))


def _rows(learners: list[int], matrix: Tensor) -> Rows:
    return [matrix[learner] for learner in learners]


def have_met(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether all learners have taken as many steps; these are then counted once, as if they always had."""
    counts = [(state, torch.as_tensor(state.get("step", 0.0))) for state in optimizer.state.values()]
    if not all(bool((count == count.flatten()[0]).all()) for _, count in counts):
        return False
    for state, count in counts:
        if count.ndim:
            state["step"] = count.flatten()[0].clone()
    return True


def _adam(matrix: Tensor, state: dict[str, Any], group: Group, of: Callable[[Tensor], Rows]) -> None:
    mean, square, count = _remembered(state, matrix, "exp_avg", "exp_avg_sq")
    counts, (beta1, beta2) = of(count), group["betas"]
    torch._foreach_add_(counts, 1)
    torch._fused_adam_(
        of(matrix),
        of(_gradient(matrix)),
        of(mean),
        of(square),
        [],
        counts,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=0.0,
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


def _rmsprop(matrix: Tensor, state: dict[str, Any], group: Group, of: Callable[[Tensor], Rows]) -> None:
    square, count = _remembered(state, matrix, "square_avg")
    rmsprop(
        of(matrix),
        of(_gradient(matrix)),
        of(square),
        [],
        [],
        of(count),
        foreach=False,
        lr=group["lr"],
        alpha=group["alpha"],
        eps=group["eps"],
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
    )


def _sgd(matrix: Tensor, state: dict[str, Any], group: Group, of: Callable[[Tensor], Rows]) -> None:
    rows = of(matrix)
    sgd(
        rows,
        of(_gradient(matrix)),
        [None] * len(rows),
        foreach=False,
        fused=False,
        lr=group["lr"],
        weight_decay=0.0,
        momentum=0.0,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )


def _gradient(matrix: Tensor) -> Tensor:
    assert matrix.grad is not None
    return matrix.grad


def _remembered(state: dict[str, Any], matrix: Tensor, *moments: str) -> list[Tensor]:
    """Return the moments and the count of steps of each learner, [L], from a state of torch's, or of a new one."""
    for name in moments:
        state.setdefault(name, torch.zeros_like(matrix))
    count = torch.as_tensor(state.get("step", 0.0), dtype=torch.float32, device=matrix.device)
    state["step"] = count.expand(len(matrix)).clone() if count.ndim == 0 else count
    return [*(state[name] for name in moments), state["step"]]
