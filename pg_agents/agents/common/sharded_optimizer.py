"""The optimizer of an agent whose language models are shared out among processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pg_agents.agents.common.flat_optimizer import ALL_FROZEN, FlatOptimizer
from pg_agents.agents.common.optimizers import OPTIMIZERS
from pg_agents.data.shares import Ranks
from pg_agents.llm.sharding import CutModel


class ShardedOptimizer:
    """What `FlatOptimizer` is, of parameters of which every process holds its own rows; its memory is of these alone.

    Args:
        before: the agent's optimizer so far, whose groups, options and memory it takes over.
        models: the agent's networks, which learn or (a reference) are only kept.
        ranks: the processes.
    """

    shares_out = True

    def __init__(self, before: FlatOptimizer, models: Sequence[CutModel], ranks: Ranks) -> None:
        self.models, self.ranks = models, ranks
        of_each = {model.module: [(model, one) for one in model.parameters] for model in models}
        groups = [of_each[module] for module in before.modules]
        groups = [sum(groups, [])] if before.together else groups
        self.parameters = sum(groups, [])
        kind, options = type(before.optimizer), before.optimizer.param_groups[0]
        make = next(make for make in OPTIMIZERS.values() if getattr(make, "func", make) is kind)
        same = {"eps": options["eps"]} if "eps" in options else {}
        self.optimizer = make([{"params": [one.rows for _, one in group]} for group in groups], lr=1.0, **same)

    @contextmanager
    def learning(self, ranks: Ranks) -> Iterator[None]:
        """A context in which the networks are cut; outside of it they are whole.

        Raises:
            RuntimeError: the ranks do not learn together now, as they do in `train`: one alone would wait for ever.
        """
        if ranks.count != self.ranks.count:
            raise RuntimeError(f"the parameters are shared out among {self.ranks.count} processes; learn by train")
        for model in self.models:
            model.cut()
        try:
            yield
        finally:
            for model in self.models:
                model.gather()

    def refresh(self) -> None:
        """Do nothing: the parameters' own rows stay where they are."""

    def set_learning_rates(self, rates: Sequence[float | Tensor]) -> None:
        """Set the learning rate of each group; there may be more rates than groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate

    def step(
        self, loss: Tensor, max_norm: float | None, steps: Tensor | None = None, ranks: Ranks | None = None
    ) -> float:
        """Take one step down the gradient of the sum of all ranks' losses, scaled down to `max_norm`.

        Args:
            loss: a scalar, this rank's.
            max_norm: of the gradient; None: no limit.
            steps: as in `FlatOptimizer`; there is one learner.
            ranks: those that share out the parameters, from the beginning.

        Returns:
            its norm before scaling; if that is not finite, no step was taken.

        Raises:
            ValueError: every parameter is frozen.
        """
        if not any(one.own.requires_grad for _, one in self.parameters):
            raise ValueError(ALL_FROZEN)
        loss.backward()
        for _, one in self.parameters:
            one.rows.grad = None if one.own.grad is None else one.own.grad.to_local()
            one.own.grad = None
        gradients = [one.rows.grad for _, one in self.parameters if one.rows.grad is not None]
        squares = [torch.linalg.vector_norm(gradient, dtype=torch.float64).square() for gradient in gradients]
        total = torch.stack(squares).sum()
        self.ranks.add([total])
        norm = math.sqrt(total) if total >= 0 else math.nan
        if max_norm is not None and max_norm < norm < math.inf:
            torch._foreach_mul_(gradients, max_norm / norm)
        if math.isfinite(norm):
            self.optimizer.step()
        for _, one in self.parameters:
            one.rows.grad = None
        return norm

    def get_state(self, names: Mapping[nn.Parameter, str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what the optimizer remembers, gathered on rank 0, as `FlatOptimizer` does; all ranks call it."""
        moments: dict[str, Tensor] = {}
        for _, one in self.parameters:
            for moment, value in self.optimizer.state.get(one.rows, {}).items():
                moments[f"{names[one.whole]}/{moment}"] = self._gathered(value) if value.ndim else value
        awake = {one.rows: names[one.whole] for _, one in self.parameters if one.whole.requires_grad}
        groups = [
            {
                "learning_rate": torch.as_tensor(group["lr"]).tolist(),
                "vectors": [{"members": [awake[rows]], "flat": False} for rows in group["params"] if rows in awake],
            }
            for group in self.optimizer.param_groups
        ]
        return moments, {"groups": groups, "asleep": []}

    def _gathered(self, rows: Tensor) -> Tensor:
        """Return the rows of all ranks, on the processor, on rank 0, which writes them; nothing on the others."""
        whole = torch.cat(self.ranks.gather(rows))
        return whole.cpu() if self.ranks.number == 0 else whole[:0].clone()

    def set_state(
        self, parameters: Mapping[str, nn.Parameter], moments: Mapping[str, Tensor], layout: Mapping[str, Any]
    ) -> None:
        """Remember one's own rows of what `get_state` has returned, here or in a `FlatOptimizer`."""
        found: dict[nn.Parameter, dict[str, Tensor]] = {}
        for name, value in moments.items():
            owner, _, moment = name.rpartition("/")
            found.setdefault(parameters[owner], {})[moment] = value
        self.optimizer.state.clear()
        for model, one in self.parameters:
            for moment, value in found.get(one.whole, {}).items():
                mine = model.rows(value, one.rows).to(one.rows.device) if value.ndim else value
                self.optimizer.state[one.rows][moment] = mine.clone()
        for group, wanted in zip(self.optimizer.param_groups, layout["groups"], strict=True):
            group["lr"] = wanted["learning_rate"]
