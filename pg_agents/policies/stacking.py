"""Networks of several independent learners as one network, which computes all of them at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from torch import nn

from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.policy import ActionCritic, Critic, Policy

Module = TypeVar("Module", bound=nn.Module)


class Stack:
    """Stacks networks of L learners; a part that two networks share is stacked once.

    Parts with parameters say what they are together by `stacked(parts)`, a static method; parts without are equal for
    all learners.
    """

    def __init__(self) -> None:
        self.done: dict[int, nn.Module] = {}  # by the identity of the first learner's part

    def __call__(self, modules: Sequence[Module]) -> Module:
        """Return modules of the same kind, one of each learner, as one.

        Raises:
            UnsupportedSpaceError: a part that cannot be stacked.
        """
        first: Any = modules[0]
        if id(first) not in self.done:
            if callable(getattr(first, "stacked", None)):
                self.done[id(first)] = first.stacked(modules)
            elif next(first.parameters(recurse=False), None) is not None:
                raise UnsupportedSpaceError(
                    f"num_learners: the networks of {len(modules)} learners with a {type(first).__name__} cannot be "
                    "computed as one: train them one after the other"
                )
            else:
                self.done[id(first)] = self._of_parts(first, modules)
        return self.done[id(first)]  # type: ignore[return-value]

    def _of_parts(self, first: Any, modules: Sequence[nn.Module]) -> nn.Module:  # noqa: ANN401
        whole = copy.copy(first)
        for kind in ("_parameters", "_buffers", "_modules"):
            vars(whole)[kind] = dict(vars(first)[kind])
        for name, part in first._modules.items():
            if part is not None:
                whole._modules[name] = self([module.get_submodule(name) for module in modules])
        for name, held in vars(first).items():  # parts that are plain attributes too, and a shared encoder
            if isinstance(held, nn.Module):
                vars(whole)[name] = self([vars(module)[name] for module in modules])
            elif isinstance(held, tuple) and held and all(isinstance(one, nn.Module) for one in held):
                vars(whole)[name] = tuple(map(self, zip(*(vars(module)[name] for module in modules), strict=True)))
        if isinstance(whole, Policy | Critic | ActionCritic):
            whole.num_learners = len(modules)
        return whole
