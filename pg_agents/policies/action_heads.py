"""Action heads: a network's outputs → a distribution over the actions of a space.

A head has a number of `outputs`, turns them (and the mask of allowed actions, see `pg_agents.spaces.action_masks`) into
a distribution, and converts sampled actions to the environment's units (`unscale_action`).
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from pg_agents.distributions import Bernoulli, Categorical, MultiCategorical
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.box_heads import GaussianHead, SquashedHead
from pg_agents.policies.head import Head
from pg_agents.spaces.action_masks import MASK, mask_size, observes_mask


def make_head(action_space: gym.Space, *, squash: bool = False, initial_log_std: float = 0.0) -> Head:
    """Return the head for an action space.

    Args:
        action_space: Discrete, MultiDiscrete, MultiBinary or Box.
        squash: for a bounded Box: a Gaussian squashed into the bounds by tanh, instead of a clipped one.
        initial_log_std: ln σ before training, for a Box.

    Raises:
        UnsupportedSpaceError: another space, or `squash` for a Box without bounds on all sides.
        ValueError: `squash` or `initial_log_std` for a space that is no Box.
    """
    if action_space.shape is not None and 0 in action_space.shape:
        raise UnsupportedSpaceError(f"action space {action_space} has no components: give it at least one")
    if isinstance(action_space, spaces.Box):
        return SquashedHead(action_space, initial_log_std) if squash else GaussianHead(action_space, initial_log_std)
    for name, given in (("squash", squash), ("initial_log_std", initial_log_std != 0.0)):
        if given:
            raise ValueError(f"{name} is for Box actions: leave it out for {action_space}")
    if isinstance(action_space, spaces.Discrete):
        return DiscreteHead(int(action_space.n))
    if isinstance(action_space, spaces.MultiDiscrete):
        return MultiDiscreteHead(action_space)
    if isinstance(action_space, spaces.MultiBinary):
        return MultiBinaryHead(action_space)
    raise UnsupportedSpaceError(
        f"action space {action_space} is not supported: use Discrete, MultiDiscrete, MultiBinary or Box (a Dict or a "
        "Tuple of finite spaces can be written as one MultiDiscrete), or pass your own policy=..."
    )


def check_mask(observation_space: gym.Space, action_space: gym.Space) -> None:
    """Raise UnsupportedSpaceError if observations contain a mask that does not fit the actions."""
    if not observes_mask(observation_space):
        return
    mask, size = observation_space[MASK], mask_size(action_space)  # type: ignore[index] # a Dict
    shape = mask.shape if isinstance(mask, spaces.Box | spaces.MultiBinary) else None
    if size is None or shape != (size,):
        raise UnsupportedSpaceError(
            f"observation space {observation_space}: its {MASK!r} must be a mask of the actions {action_space}, "
            + ("which have none; give it another name" if size is None else f"a MultiBinary({size})")
        )


def allow(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Return logits [..., A] with −∞ where `mask` [..., A] is 0; unchanged where the mask is 0 for all actions."""
    if mask is None:
        return logits
    allowed = mask.bool()
    return torch.where(allowed | ~allowed.any(-1, keepdim=True), logits, -torch.inf)


class DiscreteHead(Head):
    """Outputs are the logits of a `Categorical`.

    Args:
        num_actions: A.
    """

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.outputs = num_actions

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Categorical:
        """Return the distributions for logits [..., A] and a mask [..., A]."""
        return Categorical(allow(outputs, mask))


class MultiDiscreteHead(Head):
    """Outputs are the logits of all choices side by side, Σ nvec; actions are int64 [..., K].

    Args:
        space: K choices with nvec options each; a space of higher rank is flattened.
    """

    index: Tensor
    present: Tensor

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__()
        counts = torch.as_tensor(space.nvec.flatten().astype(np.int64))
        self.outputs = int(counts.sum())
        index = torch.full(
            (len(counts), int(counts.max())), self.outputs
        )  # [K, N]; missing options point behind the logits, to −∞
        present = torch.arange(index.shape[1]) < counts[:, None]  # [K, N]: which options each choice has
        index[present] = torch.arange(self.outputs)
        self.register_buffer("index", index.ravel(), persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.regular = bool(present.all())

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> MultiCategorical:
        """Return the distributions for logits [..., Σ nvec] and a mask [..., Σ nvec]."""
        logits = self._by_choice(outputs, -torch.inf)
        if mask is not None:
            logits = allow(logits, self._by_choice(mask.bool(), False))
        return MultiCategorical(logits)

    def _by_choice(self, flat: Tensor, missing: float) -> Tensor:
        """Return [..., Σ nvec] as [..., K, N], with `missing` where a choice has no such option."""
        if not self.regular:
            flat = functional.pad(flat, (0, 1), value=missing).index_select(-1, self.index)
        return flat.unflatten(-1, self.present.shape)


class MultiBinaryHead(Head):
    """Outputs are the logits of independent bits, `Bernoulli`; actions are int64 [..., N].

    Args:
        space: N bits; a space of higher rank is flattened.
    """

    def __init__(self, space: spaces.MultiBinary) -> None:
        super().__init__()
        self.outputs = int(np.prod(space.shape))

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Bernoulli:
        """Return the distributions for logits [..., N]; bits where `mask` [..., N] is False stay 0."""
        return Bernoulli(outputs if mask is None else torch.where(mask.bool(), outputs, -torch.inf))
