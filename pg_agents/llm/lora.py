"""LoRA adapters: few trainable parameters in addition to a model's own, which are frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pg_agents.checks import whole_number
from pg_agents.data.tree import Tree
from pg_agents.policies.policy import Memory, Policy

INSTALL = "pip install 'pg-agents[lora]'"


def with_lora(model: Any, rank: int = 8, *, alpha: float | None = None) -> Any:  # noqa: ANN401
    """Return a causal language model with low-rank adapters on all linear layers except the head.

        h ↦ W h + (α / r) B A h,   A [r, n] random, B [m, r] initially zero

    W is frozen. There is no dropout, so that acting and learning compute the same function.

    Args:
        model: a model of transformers; its layers are changed in place.
        rank: r.
        alpha: α; None: 2 r.

    Raises:
        ImportError: peft is not installed.
        ValueError: the rank is below 1.

    Reference: Hu et al. (2022).
    """
    rank = whole_number("rank", rank, 1)
    try:
        import peft
    except ImportError as error:
        raise ImportError(f"LoRA needs peft: {INSTALL}") from error
    settings: dict[str, Any] = {"r": rank, "lora_alpha": 2 * rank if alpha is None else alpha, "lora_dropout": 0.0}
    return peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **settings))


class WithoutAdapters(Policy):
    """A policy before its adapters were trained: the same model with adapters turned off, which shares its memory.

    Args:
        policy: a `HuggingFacePolicy` whose model has adapters.
    """

    def __init__(self, policy: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.shared = (policy,)  # in a tuple, so that it is not a submodule: neither saved nor moved twice

    @property
    def outputs(self) -> int | None:
        """The number of tokens."""
        return self.shared[0].outputs

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Any:  # noqa: ANN401
        """Return the distributions of the next tokens."""
        with self.shared[0].model.disable_adapter():
            return self.shared[0](observations, memory, episode_starts)


def adapters_begin(model: Any) -> bool:  # noqa: ANN401
    """Return whether only a model's adapters are trained and their output is still zero."""
    if not hasattr(model, "disable_adapter"):
        return False
    with torch.enable_grad(), model.disable_adapter():
        bare = _some_logits(model)
    with torch.no_grad():
        return not bare.requires_grad and torch.equal(bare, _some_logits(model))


def _some_logits(model: Any) -> Tensor:  # noqa: ANN401
    """Return the logits of a short text, [1, 4, V]."""
    head = model.get_output_embeddings()
    tokens = torch.arange(4, device=head.weight.device)[None] % head.out_features
    return model(tokens, use_cache=False).logits
