"""Which encoders a policy and a critic have, and whether they share one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from torch import nn

from pg_agents.policies.encoder import Encoder, has_images
from pg_agents.policies.network_config import NetworkConfig
from pg_agents.policies.normalization import ObservationScale
from pg_agents.spaces.action_masks import without_mask

HIDDEN = (64, 64)  # sizes of the hidden layers, unless somebody says otherwise


@dataclass(frozen=True)
class Encoders:
    """The encoders of a policy and a critic, and the sizes of the hidden layers above them.

    Attributes:
        of_policy: arguments of the policy's constructor: its encoder, unless it makes one that suits the space.
        own: the same for a critic that does not share the policy's encoder.
        shared: whether it does.
        hidden: above the encoder; in a recurrent policy above the memory.
        of_recurrent_critic: above the encoder and the memory.
    """

    of_policy: dict[str, Any]
    own: dict[str, Any]
    shared: bool
    hidden: tuple[int, ...]
    of_recurrent_critic: tuple[int, ...]

    def of_critic(self, policy: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the arguments of the constructor of a critic beside a policy."""
        return {"shared": policy.encoder} if self.shared else self.own


def make_encoders(
    space: gym.Space, config: NetworkConfig, network: nn.Module | None, scale: ObservationScale | None, *, critic: bool
) -> Encoders:
    """Return the encoders for observations of a space.

    Args:
        space: of one observation.
        config: the networks' options.
        network: a module of the user's, to be used instead of an encoder that suits the space.
        scale: standardises the observations.
        critic: whether there is one, with which the encoder can be shared.

    Raises:
        ValueError: the encoder is to be shared, and there would be none.
    """
    above = network is not None or has_images(without_mask(space))  # the encoder is a network by itself
    shared = critic and (above if config.share_encoder is None else config.share_encoder)
    given = None if config.hidden is None else tuple(config.hidden)
    if shared and not above:
        if given == ():
            raise ValueError("share_encoder=True with hidden=() leaves nothing to share; leave one of them out")
        form: Any = {"hidden": given or HIDDEN, "activation": config.activation or "tanh"}
        return Encoders({"encoder": Encoder(space, scale, **form)}, {}, True, (), ())
    default = () if above or config.recurrent else HIDDEN
    layers = default if given is None else given, HIDDEN if given is None else given
    if network is None:
        return Encoders({}, {}, shared, *layers)
    own = {} if shared or not critic else {"encoder": Encoder(space, scale, network=copy.deepcopy(network))}
    return Encoders({"encoder": Encoder(space, scale, network=network)}, own, shared, *layers)
