"""The optimizers that agents offer, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch

OptimizerName = Literal["adam", "rmsprop", "sgd"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "rmsprop": partial(torch.optim.RMSprop, eps=1e-5),
    "sgd": torch.optim.SGD,
}
ADAM_EPSILON = 1e-8  # the default
