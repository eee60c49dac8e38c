"""What hyperparameters may be: a name means the same in every agent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch

from pg_agents.agents.signals import Signal

OptimizerName = Literal["adam", "sgd"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "learning_rate": ("a finite number above 0", lambda x: 0 < x < math.inf),
    "critic_learning_rate": ("a finite number above 0, or None", lambda x: x is None or 0 < x < math.inf),
    "gain_learning_rate": ("a finite number above 0, or None", lambda x: x is None or 0 < x < math.inf),
    "initial_gain": ("a finite number", lambda x: math.isfinite(x)),
    "discount": ("between 0 and 1", lambda x: 0 <= x <= 1),
    "entropy_weight": ("a finite number, 0 or above", lambda x: 0 <= x < math.inf),
    "max_grad_norm": ("a number above 0, or None for no clipping", lambda x: x is None or x > 0),
    "num_steps": ("a whole number, 1 or above", lambda x: _is_count(x)),
    "max_episode_steps": (
        "a whole number, 1 or above, or None",
        lambda x: x is None or _is_count(x),
    ),
    "signal": (f"one of {', '.join(get_args(Signal))}", lambda x: x in get_args(Signal)),
    "optimizer": (f"one of {', '.join(OPTIMIZERS)}", lambda x: x in OPTIMIZERS),
    "constant": ("a finite number", lambda x: math.isfinite(x)),
}


def check_hyperparameters(values: Mapping[str, Any]) -> None:
    """Check those of `values` that are hyperparameters.

    Raises:
        ValueError: one is out of range; the message names it, its value and what it may be.
    """
    for name, (rule, holds) in RULES.items():
        if name in values and not _holds(holds, values[name]):
            raise ValueError(f"{name} must be {rule}, got {values[name]!r}")


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:  # noqa: ANN401
    try:
        return bool(rule(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_count(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
