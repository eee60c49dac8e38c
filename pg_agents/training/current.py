"""What an agent learns with at a point of its run: step sizes, the weight of the entropy, the width of actions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pg_agents.agents.base import Agent
from pg_agents.policies.box_heads import BoxHead
from pg_agents.schedules import LinearSchedule
from pg_agents.training.appended import Value
from pg_agents.training.run import Run

ALWAYS = ("learning_rate", "critic_learning_rate", "entropy_weight")  # are reported as constants, too


def current_numbers(run: Run) -> dict[str, Value]:
    """Return the step sizes, the weight of the entropy, what is scheduled, and σ, now; of learners the means.

    An option is reported as train/NAME, unless it is None; σ, the mean over the components of a Box, as train/std.
    """
    agent = run.agent
    found = {name: agent.current(name) for name in _names(agent)} | _deviation(agent)
    return {f"train/{name}": _mean(value) for name, value in found.items() if value is not None}


def current_numbers_of_learners(agent: Agent) -> list[dict[str, Value]]:
    """Return of each of several learners what `current_numbers` would return of it alone."""
    found: list[dict[str, Value]] = [{} for _ in range(agent.policy.num_learners)]
    for name in _names(agent):
        options, numbers = agent.arguments.get(name), agent.current(name)
        if numbers is not None:
            each = options if isinstance(options, tuple) else (options,) * len(found)
            for values, option, number in zip(found, each, _each(numbers, len(found)), strict=True):
                values |= {f"train/{name}": number} if name in ALWAYS or _changes(option) else {}
    for name, numbers in _deviation(agent).items():
        for values, number in zip(found, _each(numbers, len(found)), strict=True):
            values[f"train/{name}"] = number
    return found


def _names(agent: Agent) -> list[str]:
    return [*ALWAYS, *(name for name, value in agent.arguments.items() if name not in ALWAYS and _changes(value))]


def _changes(option: Any) -> bool:  # noqa: ANN401
    return any(isinstance(one, LinearSchedule) for one in (option if isinstance(option, tuple) else (option,)))


def _deviation(agent: Agent) -> dict[str, Tensor]:
    """Return σ of Box actions, in half the box's width, averaged over components; [L] of several learners."""
    head = getattr(agent.policy, "head", None)
    return {"std": head.log_std.detach().exp().mean(-1)} if isinstance(head, BoxHead) else {}


def _each(value: float | Tensor, count: int) -> list[float]:
    return torch.as_tensor(value, dtype=torch.float64).expand(count).tolist()


def _mean(value: float | Tensor) -> float:
    return float(torch.as_tensor(value, dtype=torch.float64).mean())
