"""Optimizers, and the vectors that they see instead of many small parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from pg_agents._fast.flat_vectors import join_moments, lay_out, part_moment

OptimizerName = Literal["adam", "rmsprop", "sgd"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "rmsprop": partial(torch.optim.RMSprop, eps=1e-5),
    "sgd": torch.optim.SGD,
}
ADAM_EPSILON = 1e-8  # unless it is given
State = dict[str, Any]  # what an optimizer remembers of a tensor


class FlatOptimizer:
    """Steps of a torch optimizer down the gradient of modules' parameters, laid out as vectors.

    Small parameters become views of a vector (`lay_out`), those of different dtypes, devices or ages (steps taken) of
    different ones.

    Frozen parameters are left out. Whoever moves, replaces, freezes or unfreezes parameters need not say so: they are
    laid out again, each with the moments it had, which frozen ones keep.

    Args:
        name: "adam", "rmsprop" or "sgd".
        *modules: whose parameters are a group each, with a learning rate; those that an earlier module has too are its.
        together: make one group of all.
        epsilon: ε of Adam: a step is α m̂ / (√v̂ + ε). That of RMSprop is 1e-5.
    """

    def __init__(
        self,
        name: OptimizerName,
        *modules: nn.Module | None,
        together: bool = False,
        epsilon: float = ADAM_EPSILON,
    ) -> None:
        self.modules, self.together = [module for module in modules if module is not None], together
        self.groups = self._groups()
        self.members: dict[Tensor, list[nn.Parameter]] = {}  # which parameters lie in a vector, in order
        self.asleep: dict[nn.Parameter, State] = {}  # of frozen ones
        options = {"eps": epsilon} if name == "adam" else {}
        laid_out = [{"params": self._lay_out(group, {})} for group in self.groups]
        self.optimizer = OPTIMIZERS[name](laid_out, lr=1.0, **options)
        self._remember(self.groups)

    def refresh(self) -> None:
        """Lay the parameters out again where one has moved, was replaced, frozen or unfrozen."""
        groups = self._groups()
        if self._places(groups) == self.places:
            return
        states = self.asleep | self._states()
        self.asleep = {p: states[p] for group in groups for p in group if p in states and not p.requires_grad}
        self.groups, self.members = groups, {}
        self.optimizer.state.clear()
        for group, parameters in zip(self.optimizer.param_groups, groups, strict=True):
            group["params"] = self._lay_out(parameters, states)
            for vector in group["params"]:
                parts = [states.get(member, {}) for member in self.members[vector]]
                if parts[0]:
                    self.optimizer.state[vector] = {
                        key: join_moments(vector, [part[key] for part in parts]) for key in parts[0]
                    }
        self._remember(groups)

    def set_learning_rates(self, rates: Sequence[float]) -> None:
        """Set the learning rate of each group; there may be more rates than groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate

    def step(self, loss: Tensor, max_norm: float | None) -> float:
        """Take one step down the gradient of `loss`, scaled down to `max_norm`; return the norm it had before.

        Where the gradient is not finite there is no step, and so is what is returned.

        Raises:
            ValueError: every parameter is frozen.
        """
        if self._have_moved():
            self.refresh()
        if not self.members:
            raise ValueError(
                "policy, critic: every parameter is frozen (requires_grad is False); there is nothing to learn"
            )
        for vector in self.members:
            if vector.grad is not None:
                vector.grad.zero_()
        loss.backward()
        gradients = [vector.grad for vector in self.members if vector.grad is not None]
        norm = math.hypot(*(float(torch.linalg.vector_norm(gradient)) for gradient in gradients))
        if math.isfinite(norm):
            if max_norm is not None and norm > max_norm:
                torch._foreach_mul_(gradients, max_norm / norm)
            self.optimizer.step()
            for members in self.members.values():
                increment_version(members)  # nothing else shows that a parameter has changed with its vector
        for vector, members in self.members.items():
            if vector is members[0]:
                vector.grad = None  # as large as the parameters: not in memory while the next rollout is learned from
        return norm

    def _groups(self) -> list[list[nn.Parameter]]:
        seen: set[int] = set()
        groups = []
        for module in self.modules:
            groups.append([parameter for parameter in module.parameters() if id(parameter) not in seen])
            seen |= {id(parameter) for parameter in groups[-1]}
        return [sum(groups, [])] if self.together else groups

    def _lay_out(self, parameters: list[nn.Parameter], states: dict[nn.Parameter, State]) -> list[Tensor]:
        """Return what the optimizer is to see of a group."""
        kinds: dict[tuple[Any, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.requires_grad:
                state = states.get(parameter, {})
                age = (tuple(state), float(state.get("step", 0)))
                kinds.setdefault((parameter.dtype, parameter.device, *age), []).append(parameter)
        vectors: dict[Tensor, list[nn.Parameter]] = {}
        for members in kinds.values():
            vectors |= lay_out(members)
        self.members |= vectors
        return list(vectors)

    def _states(self) -> dict[nn.Parameter, State]:
        """Return what the optimizer remembers of each parameter."""
        states: dict[nn.Parameter, State] = {}
        for vector, members in self.members.items():
            state = self.optimizer.state.get(vector, {})
            each = {key: part_moment(vector, value, members) for key, value in state.items()}
            states |= {member: {key: each[key][i] for key in each} for i, member in enumerate(members)}
        return states

    def _remember(self, groups: list[list[nn.Parameter]]) -> None:
        """Remember where everything lies now that it has been laid out."""
        self.places = self._places(groups)
        small = (parameter for group in groups for parameter in group if parameter not in self.members)
        self.gradients = [(parameter, parameter.requires_grad, parameter.grad) for parameter in small]

    def _have_moved(self) -> bool:
        """Return whether somebody has frozen some, set gradients to None or moved all since the update began."""
        return any(
            p.requires_grad is not learns or p.grad is not gradient for p, learns, gradient in self.gradients
        ) or any(members[0].data_ptr() != vector.data_ptr() for vector, members in self.members.items())

    def _places(self, groups: list[list[nn.Parameter]]) -> list[tuple[Any, ...]]:
        """Return which parameters there are, and where they lie; where they are parts of a vector, their gradients."""

        def place(p: nn.Parameter) -> tuple[Any, ...]:
            gradient = None if p.grad is None or p in self.members else p.grad.data_ptr()
            return id(p), p.requires_grad, p.data_ptr(), gradient

        return [place(parameter) for group in groups for parameter in group]
