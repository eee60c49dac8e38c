"""A critic's values of a whole batch, which targets and loss both need, computed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

KEPT = "_kept"  # of a critic: the observations of its latest values and these, with their graph; nothing: ()


@contextmanager
def one_pass(critic: nn.Module | None) -> Iterator[None]:
    """A context in which a critic's parameters stay what they are until its values are differentiated; None: none."""
    if critic is None:
        yield
        return
    vars(critic)[KEPT] = ()
    try:
        yield
    finally:
        del vars(critic)[KEPT]


def values_of(critic: nn.Module, *inputs: Any) -> Tensor:  # noqa: ANN401
    """Return the critic's values, bit for bit, if they depend on its inputs and parameters alone.

    Inside `one_pass`, what is computed without a gradient is kept with one, for the first who wants a gradient at the
    same observations. The loss of an actor-critic then needs no second pass.
    """
    kept = vars(critic).get(KEPT)
    if kept is None:
        return plain_values_of(critic, *inputs)
    if torch.is_grad_enabled():
        vars(critic)[KEPT] = ()
        return kept[1] if kept and kept[0] is inputs[0] else plain_values_of(critic, *inputs)
    with torch.enable_grad():
        values = plain_values_of(critic, *inputs)
    vars(critic)[KEPT] = inputs[0], values
    return values.detach()


def plain_values_of(critic: nn.Module, *inputs: Any) -> Tensor:  # noqa: ANN401
    """Return the critic's values for observations, memory and where episodes start."""
    return critic(*inputs)
