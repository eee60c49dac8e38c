"""Observations that an encoder has turned into features already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """Features in the place of observations: networks that share an encoder take them, so that it runs once.

    Attributes:
        features: what the encoder made of the observations, [..., size].
        mask: the action mask that the observations held; None: none.
    """

    features: Tensor
    mask: Any = None
