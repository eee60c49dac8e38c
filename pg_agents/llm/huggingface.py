"""Any causal language model of transformers as a policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pg_agents.checks import whole_number
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical, Sampling, TokenCategorical
from pg_agents.llm.hidden_states import decision_states, turn_off_dropout, unmasked
from pg_agents.llm.kv_cache import DecodeCache, PrefillCache, TokenCache
from pg_agents.llm.lora import WithoutAdapters, adapters_begin
from pg_agents.llm.packing import additive, visible_windows
from pg_agents.llm.precision import compute_again, computed_kept
from pg_agents.llm.reach import check_length
from pg_agents.llm.take_away import Adapters, save_pretrained
from pg_agents.llm.trial import SHORT, affordable, try_out
from pg_agents.policies.policy import Memory, Policy


class HuggingFacePolicy(Policy):
    """π_θ(a|s), the next token after a window of tokens, by a causal language model.

        π_θ(a|s) ∝ exp(z_a(s) / τ) on the tokens that top-k and top-p keep

    Acting and learning compute the same function. A prompt that several rows share is read once, in acting and, with
    its gradient, in learning; logits are computed only where a decision was taken, `chunk` rows at a time.

    Args:
        model: any causal language model of transformers; its dropout is turned off, and what it computes from its
            configuration alone, the frequencies of rotary embeddings, is in float32 whatever its precision.
        temperature: τ.
        top_k: keep the k most probable tokens; None: all.
        top_p: keep the fewest tokens whose probabilities add up to p; None: all.
        chunk: the number of rows of logits computed at once in learning.
        vocabulary: the number of the model's first tokens to choose among; None: all.
        tokenizer: saved with the policy; None: the policy reads ids.

    Raises:
        ValueError: an argument is out of range, the model's logits are not linear in its hidden states, or it cannot
            read packed texts; in `step`: a window is too long for the model.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        chunk: int = 512,
        vocabulary: int | None = None,
        tokenizer: Any = None,  # noqa: ANN401
    ) -> None:
        super().__init__()
        if not hasattr(model, "get_output_embeddings"):
            read = 'load_model(path)[0], or Agent.for_env(env, policy="hf:PATH")'
            raise TypeError(f"model must be a causal language model of transformers, got {model!r}; {read}")
        self.vocabulary, self.tokenizer = vocabulary, tokenizer
        self.sampling = Sampling(temperature, top_k, top_p)
        self.chunk = whole_number("chunk", chunk, 1)
        self.model = model
        ids = getattr(model.get_output_embeddings(), "out_features", None)
        if vocabulary is not None and ids is not None and not 1 <= whole_number("vocabulary", vocabulary) <= ids:
            raise ValueError(f"vocabulary must be from 1 to the {ids} tokens that the model has, got {vocabulary}")
        if not isinstance(model.get_output_embeddings(), nn.Linear) or getattr(
            model.config, "final_logit_softcapping", None
        ):
            name = type(model).__name__
            raise ValueError(f"model: {name} cannot be a policy: its logits are not linear in its hidden states")
        turn_off_dropout(model)
        compute_again(model)
        self.tried = SHORT
        try_out(self, SHORT)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:  # noqa: ANN401 - every move and cast of a module
        with computed_kept(self):
            return super()._apply(fn, recurse)

    def admit(self, window: int) -> None:
        """Check that the policy can act on and learn from texts of up to `window` tokens, by a trial if they are new.

        Raises:
            ValueError: they are longer than the model's positions or than a layer's window, or the trial's logits
                differ from the model's.
        """
        if window > self.tried:
            check_length(self.trunk.config, window)
            self.tried, before = window, affordable(self.model, self.tried)
            if (length := affordable(self.model, window)) > before:
                try_out(self, length)

    @property
    def trunk(self) -> Any:  # noqa: ANN401
        """The module that maps tokens to hidden states."""
        return self.model.get_decoder()

    @property
    def head(self) -> Any:  # noqa: ANN401
        """The function from hidden states to the logits of the tokens to choose among."""
        head = self.model.get_output_embeddings()
        whole = self.vocabulary is None or self.vocabulary == getattr(head, "out_features", None)
        return head if whole else FirstTokens(head.weight[: self.vocabulary], _first(head.bias, self.vocabulary))

    def version(self) -> int:
        """Return a number that every change of the parameters in place makes larger."""
        return sum(parameter._version for parameter in self.model.parameters())

    def forward(
        self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None
    ) -> TokenCategorical:
        """Return the distributions of the next tokens; see `decision_states` for the forms of observations."""
        hidden, where = decision_states(self.trunk, observations)
        return TokenCategorical(hidden, where, self.head, self.sampling, self.chunk)

    def frozen_copy(self) -> Policy:
        """Return a frozen copy; if only adapters are trained and change nothing yet, the model without adapters."""
        return WithoutAdapters(self) if adapters_begin(self.model) else super().frozen_copy()

    @torch.no_grad()
    def step(self, observation: Tree, memory: TokenCache | None = None) -> tuple[Categorical, TokenCache]:
        """Return the distributions [B, V] after windows {"tokens": [B, W], "length": [B]}, and the cache.

        If a window continues the cached tokens, its last token is read; if it equals them, none; otherwise all of it,
        once for equal windows. The cache passed in is changed in place: use the returned one.
        """
        observation = unmasked(observation)
        tokens, length = observation["tokens"], observation["length"].clamp(min=1)
        self.admit(tokens.shape[1])
        seen = visible_windows(tokens, length)
        version = self.version()
        fits = memory is not None and memory.version == version and memory.tokens.shape == tokens.shape
        cache = memory if memory is not None and fits else TokenCache(version, tokens)
        differs = cache.tokens != seen
        before = torch.arange(tokens.shape[1], device=tokens.device) < length[:, None] - 1
        stale = (differs & before).any(1) if cache.keys else torch.ones_like(length, dtype=torch.bool)
        grown = differs.any(1) & ~stale
        training = self.model.training
        if self.model.is_activation_checkpointing:
            self.model.eval()  # with gradient checkpointing, a model in train() mode takes no cache
        if stale.any():
            self._read(cache, seen, stale.nonzero().squeeze(1))
        if grown.any():
            self._extend(cache, seen, grown.nonzero().squeeze(1))
        if self.model.is_activation_checkpointing:
            self.model.train(training)
        return Categorical(self.sampling(cache.logits)), cache

    def _read(self, cache: TokenCache, seen: Tensor, rows: Tensor) -> None:
        """Read the windows of `rows` from their start, equal ones once."""
        windows, source = seen[rows].unique(dim=0, return_inverse=True)
        length = (windows >= 0).sum(1)
        width = int(length.max())
        reading, position = PrefillCache(), torch.arange(width, device=rows.device)
        visible = position <= position[:, None]
        hidden = self.trunk(
            windows[:, :width].clamp(min=0),
            attention_mask=additive(visible, self.head.weight.dtype).expand(len(windows), 1, -1, -1),
            position_ids=position[None],
            past_key_values=reading,
            use_cache=True,
        ).last_hidden_state
        last = hidden[torch.arange(len(windows), device=rows.device), length - 1]
        cache.store(rows, reading, source)
        cache.keep_logits(rows, self.head(last)[source])
        cache.tokens[rows] = seen[rows]

    def _extend(self, cache: TokenCache, seen: Tensor, rows: Tensor) -> None:
        """Read the last token of the windows of `rows`."""
        position = (seen[rows] >= 0).sum(1) - 1
        reading = DecodeCache(cache, rows, position)
        hidden = self.trunk(
            seen[rows, position][:, None],
            attention_mask=additive(reading.visible, self.head.weight.dtype)[:, None, None],
            position_ids=position[:, None],
            past_key_values=reading,
            use_cache=True,
        ).last_hidden_state
        cache.keep_logits(rows, self.head(hidden[:, 0]))
        cache.tokens[rows] = seen[rows]

    def save_pretrained(
        self, path: str | Path, *, adapters: Adapters = "merged", base: str | Path | None = None
    ) -> None:
        """Write the model to a folder that transformers and vLLM load; see `pg_agents.llm.take_away`.

        Args:
            path: a new or empty folder, or one that this method wrote, which is replaced.
            adapters: "merged" into the model's parameters, or "apart", as peft's folder of adapters alone.
            base: with "apart", the folder or the name of the base model; None: where the model was loaded from.

        Raises:
            ValueError: `adapters` is neither, or does not suit the model; the base model is not known.
            SavedFilesError: the path holds anything else.
            NotSavedError: the files cannot be written; what was there before is as it was.
        """
        save_pretrained(self, path, adapters=adapters, base=base)

    def write_files(self, folder: Path) -> None:
        """Write the model's configuration and the tokenizer, from which `new_model` makes a model of the same shape."""
        self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class FirstTokens:
    """The part of a linear head for the first V tokens: the first rows of its weight, [V, D], and of its bias, [V]."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the logits […, V] of hidden states […, D]."""
        return functional.linear(hidden, self.weight, self.bias)

    @property
    def out_features(self) -> int:
        """V."""
        return len(self.weight)


def _first(bias: Tensor | None, count: int | None) -> Tensor | None:
    return None if bias is None else bias[:count]
