"""A trial of a language model: packed and cached texts must have the logits that each text has alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pg_agents.data.rollout import TokenBlock
from pg_agents.llm.hidden_states import decision_states

SHORT = 5  # tokens of the first trial
ROOM = 5e9  # the most parameters times tokens of a text, which take a second or two


def affordable(model: nn.Module, length: int) -> int:
    """Return how many tokens the trial of a model has whose texts have up to `length` tokens."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return max(SHORT, min(length, int(ROOM / max(parameters, 1))))


@torch.no_grad()
def try_out(policy: Any, length: int) -> None:  # noqa: ANN401
    """Raise ValueError unless texts, packed or read token by token, have the logits that each has alone.

    Two long texts share all but their last three tokens, and so do two short ones in the same batch.

    Args:
        policy: the `HuggingFacePolicy` of the model.
        length: the number of tokens of the long texts, `SHORT` or more.
    """
    refuse = f"model: {type(policy.model).__name__} cannot be a policy"
    ids, device = policy.head.out_features, policy.head.weight.device
    texts, lengths = _texts(length, ids, device)
    logits = policy.model(texts, use_cache=False).logits[..., :ids]
    expected = logits[torch.arange(len(texts), device=device), lengths - 1].float()
    try:
        hidden, _ = decision_states(policy.trunk, TokenBlock(texts, lengths))
        found = {"side by side": policy.head(hidden).view(*lengths.shape, -1)}
        cache, stepped = None, []
        for now in lengths:
            _, cache = policy.step({"tokens": texts, "length": now}, cache)
            stepped.append(cache.logits)
        found["token by token"] = torch.stack(stepped)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{refuse}: it takes no mask, positions or cache as other models do: {error}") from error
    rounding = 5e-2 if policy.head.weight.dtype.itemsize < 4 else 1e-3  # SmolLM2: 2e-2 and 2e-6
    for how, seen in found.items():
        if not _size(seen.float() - expected) <= rounding * _size(expected):
            raise ValueError(f"{refuse}: its texts of {length} tokens have other logits {how} than alone")


def _size(values: Tensor) -> float:
    """Return the root mean square; NaN if any value is NaN."""
    return float(values.square().mean().sqrt())


def _texts(length: int, ids: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return four texts, [4, length], and their lengths at four decisions, [4, 4]."""
    position = torch.arange(length, device=device)
    first = position * (position + 1) // 2 + position // ids
    long = first + (position >= length - 3) * (1 + position % 2)
    short = first + (position >= SHORT - 3) * (1 + position % 2)
    texts = torch.stack([first, long, first + 1, short + 1]) % ids
    now = torch.arange(length - 3, length + 1, device=device)
    return texts, torch.stack([now, now, now - length + SHORT, now - length + SHORT], 1)
