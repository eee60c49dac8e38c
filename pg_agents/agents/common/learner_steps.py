"""Steps of torch's optimizers for matrices with a row of parameters for each learner, of which some take no step.

A learner that takes no step keeps its parameters, its moments and its count of steps; step sizes may differ. The
states are those of `torch.optim`, whose own `step` goes on from them while all learners have taken as many steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Group = dict[str, Any]  # of an optimizer: its parameters and options
Rate = Tensor  # the step size of each learner, 0 without a step, [L, 1]


@torch.no_grad()
def step_of_learners(optimizer: torch.optim.Optimizer, steps: Tensor) -> None:
    """Take a step for the learners for whom `steps` is True, bool [L], down the gradients of their rows."""
    kind = {torch.optim.Adam: _adam, torch.optim.RMSprop: _rmsprop, torch.optim.SGD: _sgd}[type(optimizer)]
    for group in optimizer.param_groups:
        for matrix in group["params"]:
            taken = steps.to(matrix)[:, None]
            kind(matrix, optimizer.state[matrix], group, taken, _per_row(group["lr"], matrix) * taken)


def have_met(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether all learners have taken as many steps; these are then counted once, as if they always had."""
    counts = [(state, torch.as_tensor(state.get("step", 0.0))) for state in optimizer.state.values()]
    if not all(bool((count == count.flatten()[0]).all()) for _, count in counts):
        return False
    for state, count in counts:
        if count.ndim:
            state["step"] = count.flatten()[0].clone()
    return True


def _adam(matrix: Tensor, state: dict[str, Any], group: Group, taken: Tensor, rate: Rate) -> None:
    gradient, (beta1, beta2) = matrix.grad, group["betas"]
    assert gradient is not None
    mean, square, count = _remembered(state, matrix, "exp_avg", "exp_avg_sq")
    count += taken[:, 0].to(count)
    mean.lerp_(gradient, taken * (1 - beta1))
    square.lerp_(gradient.square(), taken * (1 - beta2))
    counts = count[:, None].clamp(min=1).to(torch.float64)  # of a learner that has taken no step yet, 0
    first, second = (1 - beta1**counts).to(matrix), (1 - beta2**counts).to(matrix)
    matrix.sub_((square / second).sqrt_().add_(group["eps"]).reciprocal_().mul_(mean).mul_(rate / first))


def _rmsprop(matrix: Tensor, state: dict[str, Any], group: Group, taken: Tensor, rate: Rate) -> None:
    assert matrix.grad is not None
    square, count = _remembered(state, matrix, "square_avg")
    count += taken[:, 0].to(count)
    square.lerp_(matrix.grad.square(), taken * (1 - group["alpha"]))
    matrix.sub_(square.sqrt().add_(group["eps"]).reciprocal_().mul_(matrix.grad).mul_(rate))


def _sgd(matrix: Tensor, state: dict[str, Any], group: Group, taken: Tensor, rate: Rate) -> None:
    assert matrix.grad is not None
    matrix.sub_(matrix.grad * rate)


def _remembered(state: dict[str, Any], matrix: Tensor, *moments: str) -> list[Tensor]:
    """Return the moments and the count of steps of each learner, [L], from a state of torch's, or of a new one."""
    for name in moments:
        state.setdefault(name, torch.zeros_like(matrix))
    count = torch.as_tensor(state.get("step", 0.0), dtype=torch.float32, device=matrix.device)
    state["step"] = count.expand(len(matrix)).clone() if count.ndim == 0 else count
    return [*(state[name] for name in moments), state["step"]]


def _per_row(rate: float | Tensor, matrix: Tensor) -> Tensor:
    return torch.as_tensor(rate, dtype=matrix.dtype, device=matrix.device).expand(len(matrix))[:, None]
