"""A policy in operations that every runtime has."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pg_agents._fast.pictures import plain_to_floats
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical
from pg_agents.policies import Policy
from pg_agents.policies.action_heads import allow
from pg_agents.policies.activations import ACTIVATIONS
from pg_agents.policies.gru import GRU
from pg_agents.policies.image_encoder import ImageEncoder
from pg_agents.policies.layers import MLP
from pg_agents.policies.transformer import TransformerPolicy
from pg_agents.spaces.action_masks import split_mask

PLAIN = {ACTIVATIONS["tanh"]: torch.tanh, ACTIVATIONS["relu"]: torch.relu}


def plain_copy(policy: Policy) -> Policy:
    """Return a copy on the CPU that computes the same without what depends on a batch's size or on earlier calls."""
    made = copy.deepcopy(policy).cpu().eval().requires_grad_(False)
    for module in made.modules():
        part: Any = module
        if isinstance(module, MLP):
            part.activate = PLAIN.get(module.activate, module.activate)
        elif isinstance(module, ImageEncoder):
            part.forward = partial(_features, module)
        elif isinstance(module, GRU):
            part.step = partial(_next_memory, module)
        elif isinstance(module, TransformerPolicy):
            part.step = partial(_without_cache, module)
    return made


def _features(encoder: ImageEncoder, images: Tensor) -> Tensor:
    """Return the features of images [B, *space.shape], all at once."""
    pictures, dtype = encoder._channels_first(images), next(encoder.network.parameters()).dtype
    return encoder.network(plain_to_floats(pictures, dtype, encoder.low, encoder.width))


def _next_memory(layer: GRU, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Return h' [B, H] for inputs [B, F] and h [B, H]; see `GRU`."""
    cell = layer.cell
    x_r, x_z, x_n = torch.nn.functional.linear(inputs, cell.weight_ih, cell.bias_ih).chunk(3, -1)
    u_r, u_z, u_n = torch.nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh).chunk(3, -1)
    candidate = torch.tanh(x_n + torch.sigmoid(x_r + u_r) * u_n)
    return candidate + torch.sigmoid(x_z + u_z) * (hidden - candidate)


def _without_cache(policy: TransformerPolicy, observation: Tree, memory: None = None) -> tuple[Categorical, None]:
    """Return the distributions of the next tokens after windows, which are read as a whole; see its `step`."""
    observation, mask = split_mask(observation)
    hidden = policy.trunk(observation["tokens"].long())  # [B, W, width]; attention is causal: padding changes nothing
    last = (observation["length"] - 1).clamp(min=0)[:, None, None].expand(-1, 1, hidden.shape[-1])
    return Categorical(allow(policy.head(hidden.gather(1, last).squeeze(1)), mask)), None
