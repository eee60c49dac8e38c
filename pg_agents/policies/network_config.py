"""The options of networks that begin at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pg_agents.checks import is_count
from pg_agents.configuration import Configuration, Count, Finite, Rule
from pg_agents.policies.activations import Activation
from pg_agents.search import Among, OnOrOff


def _are_sizes(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, Sequence) and not isinstance(value, str) and all(is_count(size) for size in value)


Sizes = Annotated[Sequence[int], Rule("the sizes of the hidden layers, like (64, 64)", _are_sizes)]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Configuration):
    """The options of networks that begin at random; see `make_networks` for which spaces get which."""

    num_learners: Count = 1
    """L, the number of independent learners, each with parameters, a seed and a share of the environments of its own:
    L runs as one. They have `seeds`, or else the agent's seed and the numbers after it."""
    hidden: Annotated[Sizes | None, Among((32, 32), (128, 128), (256, 256))] = None
    """Sizes of the hidden layers of MLPs; None: 64 64, but no hidden layers after the encoder of an image, nor after a
    GRU in the policy. If `hidden`, `activation` or `recurrent` is given, Discrete observations and actions get an MLP
    instead of tables."""
    activation: Activation | None = None
    """Activation of the hidden layers of MLPs; None: tanh."""
    squash: bool = False
    """For bounded Box actions: a Gaussian squashed into the bounds by tanh, instead of one clipped to them."""
    initial_log_std: Annotated[Finite, Among(-1.0, -0.5, 0.0)] = 0.0
    """Initial ln σ for Box actions, with σ in units of half the distance between the bounds."""
    normalize_observations: OnOrOff = False
    """Standardise the real numbers in observations by their running mean and standard deviation."""
    recurrent: Count | None = None
    """Size of the memory of a recurrent policy, a GRU; None: no memory."""
    share_encoder: bool | None = None
    """Let policy and critic share one encoder, which learns from both losses at the policy's learning rate: the network
    for images, or the user's `encoder`, and where there is neither the hidden layers. None: for images and for a user's
    encoder, unless the agent has to keep its networks apart (trpo, npg)."""
