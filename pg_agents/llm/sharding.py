"""Language models whose parameters are shared out among processes while they learn (PyTorch's FSDP2).

A model is *cut* while gradients are computed: each process holds its rows of every parameter, their gradients and the
optimizer's memory of them, and a block's parameters are gathered only while it computes. It is *whole* at all other
times, while texts are generated, scored and saved: then every process has all parameters, as if none were shared out.

Reference: Zhao et al. (2023); Rajbhandari et al. (2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from pg_agents.data.shares import Ranks


@dataclass(frozen=True, eq=False)
class CutParameter:
    """A parameter of a model that is shared out.

    Attributes:
        own: stands for it while the model is cut, a DTensor.
        rows: one's own rows of it, the memory of `own`.
        whole: the parameter while the model is whole.
    """

    own: Any
    rows: Tensor
    whole: nn.Parameter


class CutModel:
    """A policy, a critic or a reference that is a language model, shared out among processes.

    Args:
        module: is changed in place; its parameters are those of rank 0 on all ranks.
        ranks: the processes, all of torch.distributed's group.
    """

    def __init__(self, module: nn.Module, ranks: Ranks) -> None:
        from torch.distributed.device_mesh import init_device_mesh  # here: few runs need it, and it takes a second
        from torch.distributed.fsdp import FSDPModule, fully_shard

        self.module: Any = module
        self.ranks = ranks
        mesh = init_device_mesh(next(module.parameters()).device.type, (ranks.count,))
        ordered: list[Any] = [*blocks(module), module]
        for part in ordered:
            fully_shard(part, mesh=mesh)
        # In the same order on all ranks, whatever else one of them has computed (it evaluates, say):
        for part, before in zip(ordered, [module, *ordered], strict=False):
            part.set_modules_to_backward_prefetch([before])
        self.parts: list[Any] = [part for part in module.modules() if isinstance(part, FSDPModule)]
        for part in self.parts:
            part.set_gradient_divide_factor(1.0)  # a loss is a sum over all ranks
            part.set_force_sum_reduction_for_comms(True)
        own: list[Any] = [*module.parameters()]
        self._begin(own[0].device)
        self._gather()
        both = zip(own, module.parameters(), strict=True)  # in the same order
        self.parameters = [CutParameter(own, own.to_local().detach(), whole) for own, whole in both]

    @torch.no_grad()
    def _begin(self, device: torch.device) -> None:
        """Let the module compute once, as a whole: its parts learn which of them is the outermost."""
        one = torch.ones(1, dtype=torch.int64, device=device)
        self.module({"tokens": torch.zeros_like(one)[None], "length": one})

    def cut(self) -> None:
        """Let each process hold its own rows of the parameters, which may have been changed since they were whole.

        Raises:
            RuntimeError: something holds the memory of a whole parameter.
        """
        held = [list(one.whole.shape) for one in self.parameters if not one.whole.untyped_storage().resizable()]
        if held:
            raise RuntimeError(f"a parameter {held[0]} cannot be shared out: a NumPy array holds it; copy it")
        with torch.no_grad():
            for one in self.parameters:
                one.own.requires_grad_(one.whole.requires_grad)
                one.rows.copy_(self.rows(one.whole, one.rows))
        for part in self.parts:
            part.set_reshard_after_forward(part is not self.module, recurse=False)  # its head is needed after it
            part.reshard()

    def gather(self) -> None:
        """Let every process hold all parameters."""
        self._gather()
        increment_version([one.whole for one in self.parameters if one.whole.requires_grad])

    def _gather(self) -> None:
        for part in self.parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()

    def rows(self, value: Tensor, like: Tensor) -> Tensor:
        """Return one's own rows of what is of a parameter's shape; `like` has as many."""
        first = self.ranks.number * -(-len(value) // self.ranks.count)
        return value[first : first + len(like)]


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks of the transformers in a module, as their classes name them."""
    names = {name for part in module.modules() for name in getattr(part, "_no_split_modules", None) or ()}
    return (part for part in module.modules() if type(part).__name__ in names)
