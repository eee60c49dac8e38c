"""Checks of networks of the user's: of the shapes that they return, and of layers that draw random numbers."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents.policies.policy import Policy, shape_of

NOISY = nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm  # change what a row gives, in training mode
NEEDED = ("sample", "mode", "log_prob")  # of a distribution that acts
METHODS = (*NEEDED, "entropy", "stack")  # of one that learns
OURS = "pg_agents.distributions"


def without_noise(policy: Policy) -> None:
    """Put layers that compute something else in training mode into evaluation mode, and warn if there are any.

    A step's action would otherwise be drawn with another mask of Dropout, or beside other rows of BatchNorm, than
    learning computes with, so that π_θ/π_old would not be 1 before the first update. Policies with a `step` of their
    own are left to the audit, which compares both.
    """
    if type(policy).step is not Policy.step:
        return
    found = [module for module in policy.modules() if isinstance(module, NOISY) and module.training]
    found = [module for module in found if getattr(module, "p", 1) > 0]
    for module in found:
        module.eval()
    if found:
        kinds = ", ".join(sorted({type(module).__name__ for module in found}))
        warnings.warn(
            f"policy: {kinds} of {type(policy).__name__} is put into evaluation mode, as learning has to compute the "
            "probabilities with which actions were drawn; leave it out (LayerNorm works)",
            UserWarning,
            stacklevel=3,
        )


def check_decision(policy: Policy, distribution: Any, actions: Tensor | None, space: Any, count: int) -> None:  # noqa: ANN401
    """Raise ValueError if a distribution of the user's for `count` observations, or what it drew, is of a wrong shape.

    Args:
        policy: whose distribution it is.
        distribution: the distribution.
        actions: what it drew; None: nothing yet.
        space: the space of one action.
        count: B.
    """
    name, kind = type(policy).__name__, type(distribution)
    missing = [method for method in METHODS if not callable(getattr(distribution, method, None))]
    if missing and missing[0] in NEEDED:
        raise ValueError(
            f"policy: {name} returned a {kind.__module__}.{kind.__name__}, which has no method {missing[0]}; return a "
            f"distribution of {OURS}, such as Categorical(logits) or DiagonalGaussian(mean, log_std), or a class with "
            f"{', '.join(METHODS)}"
        )
    if actions is None:
        return
    discrete = isinstance(space, spaces.Discrete)
    if actions.shape[:1] != (count,) or (discrete and actions.ndim != 1):
        wanted = f"[{count}], a number for each" if discrete else f"[{count}, …], a row for each"
        raise ValueError(f"policy: {kind.__name__}.sample() returned {shape_of(actions)}, expected {wanted}")
    with torch.no_grad():
        found = {"log_prob(actions)": distribution.log_prob(actions)}
        if "entropy" not in missing:
            found["entropy()"] = distribution.entropy()
    for call, values in found.items():
        if not isinstance(values, Tensor) or values.shape != (count,):
            raise ValueError(
                f"policy: {kind.__name__}.{call} returned {shape_of(values)} for {count} observations, expected "
                f"[{count}]: one number for each action (sum over the parts of an action)"
            )
