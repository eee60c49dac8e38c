"""The options of language models as policies and critics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pg_agents.configuration import Configuration, Count, Fraction, Positive

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class LanguageConfig(Configuration):
    """The options of a language model as a policy and, where the agent has one, as a critic."""

    policy: str
    """hf:PATH, a pretrained causal language model, in a folder of transformers or a .gguf file; hf-config:PATH, its
    architecture with new weights. Left out: a network that suits the environment."""
    temperature: Positive = 1.0
    """Temperature of a language model's policy, in acting and in learning."""
    top_k: Count | None = None
    """A language model chooses among the k most probable tokens; None: among all."""
    top_p: Fraction | None = None
    """A language model chooses among the fewest tokens whose probabilities add up to p; None: among all."""
    chunk: Count = 512
    """Rows of a language model's logits that are computed at once in learning; fewer take less memory."""
    dtype: Precision = "float32"
    """Precision of a language model's parameters. In bfloat16 and float16, changes of a parameter by less than a 256th,
    or a 2048th, of it are lost."""
    gradient_checkpointing: bool = False
    """Compute a language model's layers once more for the gradient, which takes time and saves memory."""
    lora: Count | None = None
    """Rank of the adapters that learn in place of a language model's own parameters (LoRA); None: all of its parameters
    learn. A critic learns all of its own."""
