"""Hidden states of tokens, from the trunk of a causal language model of transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pg_agents.data.rollout import TokenBlock
from pg_agents.data.tree import Tree
from pg_agents.llm.packing import pack
from pg_agents.llm.reach import check_length, limit
from pg_agents.spaces.action_masks import split_mask


def turn_off_dropout(model: nn.Module) -> None:
    """Set every dropout probability to 0, so that acting and learning compute the same function."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def decision_states(trunk: nn.Module, observations: Tree) -> tuple[Tensor, Tensor]:
    """Return the hidden states at the N decisions of observations, [N, D], and which positions these are, bool […].

    Args:
        trunk: maps tokens to hidden states.
        observations: a `TokenBlock` [T, B], whose equal prompts are read once, or {"tokens": [..., W],
            "length": [...]}, for which every window is read.
    """
    observations, config = unmasked(observations), trunk.config
    if isinstance(observations, TokenBlock):
        block = observations
        check_length(config, block.tokens.shape[1])
        packs = pack(block, limit(config))
        bias = packs.attention_mask(next(trunk.parameters()).dtype)
        read = trunk(packs.tokens, attention_mask=bias, position_ids=packs.positions, use_cache=False)
        where = torch.ones_like(block.lengths, dtype=torch.bool) if block.mask is None else block.mask
        return read.last_hidden_state.flatten(0, 1)[packs.decisions], where
    length = observations["length"].clamp(min=1)
    tokens = observations["tokens"].flatten(0, -2)[:, : int(length.max())]
    check_length(config, tokens.shape[1])
    hidden = trunk(tokens, use_cache=False).last_hidden_state  # padding is at the end, where no token attends to it
    rows = torch.arange(len(tokens), device=tokens.device)
    return hidden[rows, length.flatten() - 1], torch.ones_like(length, dtype=torch.bool)


def unmasked(observations: Tree) -> Tree:
    """Return the observations; ValueError if they have action masks."""
    observations, mask = split_mask(observations)
    if mask is not None:
        raise ValueError("env: language models take no action masks; leave them out, or give top_k or top_p")
    return observations
