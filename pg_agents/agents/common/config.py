"""What hyperparameters may be: a name means the same in every agent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pg_agents.agents.common.advantages import NormalizedOver, Signal
from pg_agents.agents.common.flat_optimizer import ADAM_EPSILON, OPTIMIZERS
from pg_agents.agents.common.kl_regularization import KLPenalty
from pg_agents.functional.comparisons import Comparison
from pg_agents.functional.losses import Aggregation
from pg_agents.schedules import LinearSchedule

SCHEDULED = ("learning_rate", "critic_learning_rate", "entropy_weight", "clip", "kl_weight")  # over a run
STEP_SIZES = ("learning_rate", "critic_learning_rate", "max_grad_norm", "max_kl")  # what keeps a step small
COUPLING = ("max_grad_norm", "normalize_advantages", "normalize_rewards", "target_kl")  # by what all have in common
FLAGS = ("normalize_advantages", "normalize_rewards", "discounted_time")

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "learning_rate": ("a finite number above 0", lambda x: 0 < x < math.inf),
    "critic_learning_rate": ("a finite number above 0, or None", lambda x: x is None or 0 < x < math.inf),
    "gain_learning_rate": ("a finite number above 0, or None", lambda x: x is None or 0 < x < math.inf),
    "initial_gain": ("a finite number", lambda x: math.isfinite(x)),
    "discount": ("between 0 and 1", lambda x: 0 <= x <= 1),
    "entropy_weight": ("a finite number, 0 or above", lambda x: 0 <= x < math.inf),
    "kl_weight": ("a finite number, 0 or above", lambda x: 0 <= x < math.inf),
    "kl_penalty": (f"one of {', '.join(get_args(KLPenalty))}", lambda x: x in get_args(KLPenalty)),
    "gae_lambda": ("between 0 and 1", lambda x: 0 <= x <= 1),
    "value_weight": ("a finite number, 0 or above", lambda x: 0 <= x < math.inf),
    "clip": ("a finite number above 0", lambda x: 0 < x < math.inf),
    "clip_high": ("a number above 0, or None", lambda x: x is None or x > 0),
    "group_size": ("a whole number, 2 or above", lambda x: _is_count(x) and x > 1),
    "advantage": (f"one of {', '.join(get_args(Comparison))}", lambda x: x in get_args(Comparison)),
    "aggregation": (f"one of {', '.join(get_args(Aggregation))}", lambda x: x in get_args(Aggregation)),
    "target_kl": ("a number above 0, or None", lambda x: x is None or x > 0),
    "epochs": ("a whole number, 1 or above", lambda x: _is_count(x)),
    "minibatch_size": ("a whole number, 2 or above, or None", lambda x: x is None or (_is_count(x) and x > 1)),
    "micro_batch_size": ("a whole number, 1 or above, or None", lambda x: x is None or _is_count(x)),
    "max_kl": ("a finite number above 0", lambda x: 0 < x < math.inf),
    "damping": ("a finite number, 0 or above", lambda x: 0 <= x < math.inf),
    "cg_iterations": ("a whole number, 1 or above", lambda x: _is_count(x)),
    "fisher_fraction": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "backtrack": ("between 0 and 1, both excluded", lambda x: 0 < x < 1),
    "line_search_trials": ("a whole number, 1 or above", lambda x: _is_count(x)),
    "max_grad_norm": ("a number above 0, or None for no clipping", lambda x: x is None or x > 0),
    "num_steps": ("a whole number, 1 or above, or None for whole episodes", lambda x: x is None or _is_count(x)),
    "max_episode_steps": (
        "a whole number, 1 or above, or None",
        lambda x: x is None or _is_count(x),
    ),
    "signal": (f"one of {', '.join(get_args(Signal))}", lambda x: x in get_args(Signal)),
    "optimizer": (f"one of {', '.join(OPTIMIZERS)}", lambda x: x in OPTIMIZERS),
    "adam_epsilon": ("a finite number above 0", lambda x: 0 < x < math.inf),
    "normalize_over": (f"one of {', '.join(get_args(NormalizedOver))}", lambda x: x in get_args(NormalizedOver)),
    "constant": ("a finite number", lambda x: math.isfinite(x)),
    **{name: ("True or False", lambda x: isinstance(x, bool)) for name in FLAGS},
}


def check_hyperparameters(values: Mapping[str, Any], num_learners: int = 1) -> None:
    """Check those of `values` that are hyperparameters, for so many independent learners.

    Raises:
        ValueError: one is out of range, does not go with another, or would couple the learners; the message names it,
            its value and what it may be.
    """
    for name, (rule, holds) in RULES.items():
        if name not in values:
            continue
        value = values[name]
        ends = (value.start, value.end) if isinstance(value, LinearSchedule) else (value,)
        # A learning rate may end at 0: the last update is made before the run is over.
        confused = isinstance(value, bool) and name not in FLAGS  # True would be a 1
        if confused or not all(_holds(holds, end) or (i == 1 and end == 0) for i, end in enumerate(ends)):
            raise ValueError(
                f"{name} must be {rule}, got {value if isinstance(value, LinearSchedule) else repr(value)}"
            )
    _check_together(values)
    if num_learners > 1:
        _check_independent(values, num_learners)


def smaller_steps(values: Mapping[str, Any]) -> str:
    """Return which of `values` keep a step small: "a smaller learning_rate (now 0.1) or max_grad_norm (now 0.5)"."""
    return "a smaller " + " or ".join(f"{name} (now {value})" for name, value in values.items() if name in STEP_SIZES)


def _check_together(values: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that do not go together."""
    optimizer, epsilon = values.get("optimizer"), values.get("adam_epsilon", ADAM_EPSILON)
    if optimizer != "adam" and epsilon != ADAM_EPSILON:
        raise ValueError(f"adam_epsilon goes with optimizer='adam', got {epsilon} with {optimizer!r}; leave it out")
    if values.get("aggregation") == "constant-length" and values.get("max_episode_steps") is None:
        raise ValueError(
            "aggregation: 'constant-length' divides by max_episode_steps, got None; give an episode's most steps"
        )


def _check_independent(values: Mapping[str, Any], num_learners: int) -> None:
    """Raise ValueError for what would make a learner's update depend on what the others lived through."""
    coupled = [name for name in COUPLING if values.get(name)]
    if coupled:
        raise ValueError(f"{coupled[0]} would couple the {num_learners} independent learners: leave it off")
    if values.get("minibatch_size") is not None and values.get("num_steps", 1) is None:
        raise ValueError(
            f"num_steps=None would couple the {num_learners} independent learners, whose minibatches would be as many "
            "as the longest episode makes: give a number of steps"
        )


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:  # noqa: ANN401
    try:
        return bool(rule(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_count(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
