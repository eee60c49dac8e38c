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
    """A language model: hf:PATH, a pretrained causal model in a folder of transformers or a .gguf file; hf-config:PATH,
    its architecture with new weights. By default a new network for the environment's spaces."""
    temperature: Positive = 1.0
    """Temperature of a language model's policy, in acting and in learning."""
    top_k: Count | None = None
    """Number of most probable tokens among which a language model samples; None: all."""
    top_p: Fraction | None = None
    """p: a language model samples among the fewest tokens whose probabilities add up to p; None: all."""
    chunk: Count = 512
    """Number of rows of a language model's logits to compute at once in learning; fewer save memory."""
    dtype: Precision = "float32"
    """Precision of a language model's parameters. Changes smaller than 1/256 of a parameter are lost in bfloat16,
    changes smaller than 1/2048 in float16."""
    gradient_checkpointing: bool = False
    """Compute a language model's layers again for the gradient, which saves memory and costs time."""
    lora: Count | None = None
    """Rank of the adapters that are trained instead of a language model's own parameters (LoRA); None: its own
    parameters are trained. A critic's parameters are all trained."""
