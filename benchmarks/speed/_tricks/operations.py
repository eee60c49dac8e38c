"""The tricks, their twins, and what each is for: its own operation, in the shapes that a small workload has."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import nn

from benchmarks.speed._tricks.replaced import Make
from pg_agents._fast import (
    adam_steps,
    arrays,
    at_once,
    flat_vectors,
    gathers,
    gru_rows,
    logistic_tanh,
    means,
    module_calls,
    one_pass,
    recurrence,
    sampling,
)
from pg_agents._fast import pictures as picture_order
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.agents.common.optimizers import OPTIMIZERS
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.functional.returns import explained_variance
from pg_agents.policies import ImageEncoder

Operation = Callable[[], object]


class Trick(NamedTuple):
    """A trick, its plain twin, and its operation.

    Attributes:
        trick: the function.
        twin: what takes its place.
        operation: what the trick is for.
        alike: workloads in which a call saves about as much as in the operation; None: in all.
    """

    trick: FunctionType
    twin: FunctionType
    operation: Make
    alike: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """As in "arrays.any_true"."""
        return f"{self.trick.__module__.rsplit('.', 1)[1]}.{self.trick.__qualname__}"


def networks() -> nn.ModuleList:
    """Return networks as large as the policy and the critic of CartPole are."""
    return nn.ModuleList(
        nn.Sequential(nn.Linear(4, 64), nn.Linear(64, 64), nn.Linear(64, outputs)) for outputs in (2, 1)
    )


def step_of_adam() -> Operation:
    """A step down a gradient: zeros, derivative, norm, clipping, Adam."""
    modules = networks()
    descent = FlatOptimizer("adam", *modules, together=True)
    descent.set_learning_rates([1e-3])
    parameters = list(modules.parameters())
    return lambda: descent.step(sum(parameter.sum() for parameter in parameters), 0.5)  # type: ignore[arg-type]


def two_groups_of_adam() -> Operation:
    """Adam's step for a policy and a critic with a learning rate each."""
    vectors = [torch.randn(4_700), torch.randn(4_600)]
    optimizer = OPTIMIZERS["adam"]([{"params": [vector]} for vector in vectors], lr=1e-3)
    for vector in vectors:
        vector.grad = torch.randn_like(vector)
    optimizer.step()
    return lambda: adam_steps.take_step(optimizer)


def values() -> Operation:
    """Values of 16 environments for their targets, and for the loss."""
    critic, features = networks()[1], torch.randn(16, 4)

    def run() -> None:
        with one_pass.one_pass(critic):
            with torch.no_grad():
                one_pass.values_of(critic, features)
            one_pass.values_of(critic, features)

    return run


def hyperbolic_tangent() -> Operation:
    """Of a hidden layer for 1,024 environments."""
    x = torch.randn(1024, 64)
    return lambda: logistic_tanh.tanh(x.clone())


def draw(draws: FunctionType, rows: int, actions: int) -> Make:
    """Actions of `rows` environments."""

    def make() -> Operation:
        unnormalized = torch.randn(rows, actions)
        return lambda: draws(unnormalized, None)

    return make


def returns() -> Operation:
    """λ-returns of 128 steps of 8 environments."""
    offsets, factors = torch.randn(128, 8, dtype=torch.float64), torch.full((128, 8), 0.9, dtype=torch.float64)
    return lambda: recurrence.backward_recurrence(offsets.clone(), factors)


def gru() -> Operation:
    """32 steps of 8 environments through 64 units, with the derivative."""
    cell, inputs = nn.GRUCell(4, 64), torch.randn(32, 8, 4)
    hidden, keep = torch.zeros(8, 64), torch.ones(32, 8, 1)
    return lambda: gru_rows.run_cell(cell, inputs, hidden, keep).sum().backward()


def metrics() -> Operation:
    """Means of five terms over 16 minibatches of 256 rows."""
    weights, terms = torch.full((256,), 1 / 256), {name: torch.randn(256) for name in "abcde"}
    return lambda: dict(WeightedMetrics.joined([WeightedMetrics(weights, terms) for _ in range(16)]))


def fits() -> Operation:
    """The explained variance of 64 updates from one step of 16 environments."""
    values, targets = torch.randn(64, 1, 16), torch.randn(64, 1, 16, dtype=torch.float64)
    rows = [(*pair, torch.ones(1, 16, dtype=torch.bool)) for pair in zip(values, targets, strict=True)]
    return lambda: at_once.of_all(explained_variance, rows)


def minibatches() -> Operation:
    """One epoch of observations in 4 minibatches of 256."""
    observations, order = torch.randn(1024, 4), torch.randperm(1024)
    return lambda: list(gathers.deal_out(observations, order, [0, 256, 512, 768, 1024]))


def module_of_three() -> Make:
    """A call of each of three layers."""
    layers, features = networks()[0], torch.randn(8, 4)

    def run() -> torch.Tensor:
        x = features
        for layer in layers:  # type: ignore[attr-defined]
            x = module_calls.call(layer, x)
        return x

    return torch.no_grad()(run)


def submodules() -> Operation:
    """Access to three submodules."""

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.network, self.head = nn.Identity(), nn.Identity(), nn.Identity()
            module_calls.hold_directly(self, "encoder", "network", "head")

    holder = Holder()
    return lambda: (holder.encoder, holder.network, holder.head)


def flags() -> Operation:
    """Whether one of 8 episodes has ended."""
    done = np.zeros(8, bool)
    return lambda: arrays.any_true(done)


def stacked() -> Operation:
    """16 rewards of 16 environments."""
    rows = [np.ones(16) for _ in range(16)]
    return lambda: arrays.stack_rows(rows)


def pictures() -> Operation:
    """256 stacks of 4 frames of 84×84 through the network that makes features of them, with the derivative."""
    encoder = ImageEncoder(Box(0, 255, (4, 84, 84), np.uint8))
    frames = torch.randint(0, 256, (256, 4, 84, 84), dtype=torch.uint8)
    return lambda: encoder(frames).sum().backward()


def _twins(trick: Callable, twin: Callable) -> tuple[FunctionType, FunctionType]:
    assert isinstance(trick, FunctionType) and isinstance(twin, FunctionType)
    return trick, twin


TRICKS = [
    Trick(*_twins(flat_vectors.lay_out, flat_vectors.plain_lay_out), step_of_adam),
    Trick(*_twins(adam_steps.take_step, adam_steps.plain_take_step), two_groups_of_adam),
    Trick(*_twins(one_pass.values_of, one_pass.plain_values_of), values),
    Trick(*_twins(logistic_tanh.tanh, logistic_tanh.plain_tanh), hyperbolic_tangent, alike=()),
    Trick(*_twins(module_calls.call, module_calls.plain_call), module_of_three),
    Trick(*_twins(module_calls.hold_directly, module_calls.plain_hold_directly), submodules),
    Trick(*_twins(sampling.race, sampling.plain_sample), draw(sampling.race, 8, 2)),  # type: ignore[arg-type]
    Trick(*_twins(sampling.inversion, sampling.plain_sample), draw(sampling.inversion, 64, 256), alike=("tokens",)),  # type: ignore[arg-type]
    Trick(*_twins(recurrence.backward_recurrence, recurrence.plain_backward_recurrence), returns, alike=("PPO",)),
    Trick(*_twins(gru_rows.run_cell, gru_rows.plain_run_cell), gru, alike=()),
    Trick(*_twins(means.summary, means.plain_summary), metrics),
    Trick(*_twins(at_once.of_all, at_once.plain_of_all), fits),
    Trick(*_twins(picture_order.to_floats, picture_order.plain_to_floats), pictures, alike=()),
    Trick(*_twins(gathers.deal_out, gathers.plain_deal_out), minibatches),
    Trick(*_twins(arrays.stack_rows, arrays.plain_stack_rows), stacked, alike=("tables",)),
    Trick(*_twins(arrays.any_true, arrays.plain_any_true), flags),
]
