"""Optimizers, and the vectors that they see instead of many small parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

OptimizerName = Literal["adam", "rmsprop", "sgd"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "rmsprop": partial(torch.optim.RMSprop, eps=1e-5),
    "sgd": torch.optim.SGD,
}
LARGE = 2**20  # parameters; from there on the arithmetic takes longer than the calls


class Descent:
    """Steps of a torch optimizer down the gradient of groups of parameters, each group laid out as one vector.

    The parameters become views of a vector and their gradients views of another. What is done to all of them is then
    one operation instead of one for each, and those calls are most of what a step costs a small network. Groups of more
    than `LARGE` parameters, or of several kinds (dtypes, devices), stay as they are.

    Parameters that are frozen are left out. Whoever moves a parameter (to another device, say), freezes or unfreezes
    one, calls `gather` before the next step.

    Args:
        name: "adam", "rmsprop" or "sgd".
        groups: parameters by group; a learning rate each.
    """

    def __init__(self, name: OptimizerName, groups: Iterable[Iterable[nn.Parameter]]) -> None:
        self.groups = [list(group) for group in groups]
        vectors = [self._lay_out(group) for group in self.groups]
        self.optimizer = OPTIMIZERS[name]([{"params": group} for group in vectors], lr=1.0)
        self._look()

    def _look(self) -> None:
        """Take down what the optimizer sees, and which parameters lie where in it."""
        self.vectors = [vector for group in self.optimizer.param_groups for vector in group["params"]]
        self.views, self.places = self._views(), self._places()

    def gather(self) -> None:
        """Lay out the parameters again where one has moved; moments of vectors whose length has changed begin at 0."""
        if self._places() == self.places:
            return
        for group, parameters in zip(self.optimizer.param_groups, self.groups, strict=True):
            old, group["params"] = group["params"], self._lay_out(parameters)
            states = [self.optimizer.state.pop(vector, {}) for vector in old]
            if [vector.shape for vector in old] == [vector.shape for vector in group["params"]]:
                for vector, state in zip(group["params"], states, strict=True):
                    self.optimizer.state[vector] = {k: _beside(vector, value) for k, value in state.items()}
        self._look()

    def set_learning_rates(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each group; there may be more rates than groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate

    def step(self, loss: Tensor, max_norm: float | None) -> float:
        """Take one step down the gradient of `loss`, scaled down to `max_norm`; return the norm it had before.

        Where the gradient is not finite there is no step, and so is what is returned.
        """
        for vector in self.vectors:
            if vector.grad is not None:
                vector.grad.zero_()
        loss.backward()
        gradients = [vector.grad for vector in self.vectors if vector.grad is not None]
        norm = math.hypot(*(float(torch.linalg.vector_norm(gradient)) for gradient in gradients))
        if math.isfinite(norm):
            if max_norm is not None and norm > max_norm:
                torch._foreach_mul_(gradients, max_norm / norm)
            self.optimizer.step()
            increment_version(
                self.views
            )  # whoever goes by a parameter's version cannot see that its vector has changed
        return norm

    @staticmethod
    @torch.no_grad()
    def _lay_out(parameters: list[nn.Parameter]) -> list[Tensor]:
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        kinds = {(parameter.dtype, parameter.device) for parameter in learned}
        if len(kinds) != 1 or sum(parameter.numel() for parameter in learned) > LARGE:
            return list(learned)
        vector = torch.cat([parameter.reshape(-1) for parameter in learned])
        vector.grad = torch.zeros_like(vector)
        sizes = [parameter.numel() for parameter in learned]
        for parameter, part, grad in zip(learned, vector.split(sizes), vector.grad.split(sizes), strict=True):
            parameter.data, parameter.grad = part.view_as(parameter), grad.view_as(parameter)
        return [vector]

    def _views(self) -> list[nn.Parameter]:
        """Return the parameters that lie in vectors."""
        vectors = {id(vector) for vector in self.vectors}
        everything = [parameter for group in self.groups for parameter in group]
        return [parameter for parameter in everything if parameter.requires_grad and id(parameter) not in vectors]

    def _places(self) -> list[tuple[Any, ...]]:
        """Return where each parameter and its gradient lie."""
        everything = (parameter for group in self.groups for parameter in group)
        return [(p.requires_grad, p.data_ptr(), None if p.grad is None else p.grad.data_ptr()) for p in everything]


def _beside(vector: Tensor, value: Any) -> Any:  # noqa: ANN401
    """Return a moment where its vector is; the count of steps, a number, stays."""
    return value.to(vector) if isinstance(value, Tensor) and value.shape == vector.shape else value


def make_descent(name: OptimizerName, policy: nn.Module, critic: nn.Module | None, *, together: bool) -> Descent:
    """Return the descent of the policy's parameters and of the critic's that are not the policy's.

    They are two groups, or one if they are to have the same learning rate (`together`). Learning rates are set at each
    update.
    """
    groups = [list(policy.parameters())]
    if critic is not None:
        shared = {id(parameter) for parameter in policy.parameters()}
        groups.append([parameter for parameter in critic.parameters() if id(parameter) not in shared])
    return Descent(name, [sum(groups, [])] if together else [group for group in groups if group])
