"""Which encoders a policy and a critic have, and whether they share one."""

from __future__ import annotations

import copy
import shlex
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from torch import nn

from pg_agents.errors import UnsupportedSpaceError, UserError
from pg_agents.policies.encoder import Encoder, has_images
from pg_agents.policies.network_config import NetworkConfig
from pg_agents.policies.normalization import ObservationScale
from pg_agents.spaces.action_masks import without_mask
from pg_agents.spaces.wrappers import Wrapper

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
        UnsupportedSpaceError: an encoder that suits the space could read some of its parts only.
    """
    if network is None:
        _check_parts(space)
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


def _check_parts(space: gym.Space) -> None:
    """Raise UnsupportedSpaceError for a Dict of which networks can read some parts, but not all."""
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {}
    kept = [key for key, part in parts.items() if _is_readable(part)]
    if 0 < len(kept) < len(parts):
        left_out = ", ".join(f"{key!r} ({type(parts[key]).__name__})" for key in parts if key not in kept)
        text = str(Wrapper("FilterObservation", {"filter_keys": list(kept)}))
        raise UnsupportedSpaceError(
            f"observation space: networks cannot read its {left_out}; leave it out with wrappers=[{text!r}] "
            f"(--wrapper {shlex.quote(_as_words(text, kept))})"
        )


def _as_words(text: str, keys: list[str]) -> str:
    """Return the text of the filter without quotation marks, where it is read in the same way."""
    words = f"FilterObservation:filter_keys=[{','.join(keys)}]"
    try:
        return words if Wrapper.parse(words) == Wrapper.parse(text) else text
    except UserError:
        return text


def _is_readable(space: gym.Space) -> bool:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return all(map(_is_readable, space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces))
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
