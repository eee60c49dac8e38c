"""Any causal language model of transformers as a policy, and as a critic."""

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
from pg_agents.llm.lora import adapters_begin
from pg_agents.llm.packing import additive, visible_windows
from pg_agents.llm.reach import check_length
from pg_agents.llm.trial import SHORT, affordable, try_out
from pg_agents.policies.policy import Memory, Policy


class HuggingFacePolicy(Policy):
    """π_θ(a|s), the next token after a window of tokens, by a causal language model.

        π_θ(a|s) ∝ exp(z_a(s) / τ) on the tokens that top-k and top-p keep

    The same function acts and is learned from. A prompt that several rows share is read once, in acting and, with
    gradient, in learning; logits are computed only where a decision was taken, and never all of them at once.

    Args:
        model: any causal language model of transformers, used as it is but for dropout, which is turned off.
        temperature: τ.
        top_k: keep the k most probable tokens; None: all.
        top_p: keep the fewest tokens whose probabilities add up to p; None: all.
        chunk: rows of logits that are computed at once in learning.
        vocabulary: choose among the model's first so many tokens; None: all.
        tokenizer: kept with the policy and saved with it; None: it reads ids.

    Raises:
        ValueError: arguments out of range, or a model whose logits are not a linear function of its hidden states or
            that cannot read texts side by side. Windows that are too long for it are refused where they are first seen.
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
        self.tried = SHORT
        try_out(self, SHORT)

    def admit(self, window: int) -> None:
        """Check that texts of up to `window` tokens can be acted and learned on, by a trial if they are new.

        Raises:
            ValueError: they are longer than the model's positions, or than what each of its layers sees; or the trial
                has other logits than the model.
        """
        if window > self.tried:
            check_length(self.trunk.config, window)
            self.tried, before = window, affordable(self.model, self.tried)
            if (length := affordable(self.model, window)) > before:
                try_out(self, length)

    @property
    def trunk(self) -> Any:  # noqa: ANN401
        """Tokens → hidden states."""
        return self.model.get_decoder()

    @property
    def head(self) -> Any:  # noqa: ANN401
        """Hidden states → logits, of the tokens that are chosen among."""
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
        """Return the policy as it is now; where it learns adapters alone, which change nothing yet, it without them."""
        return WithoutAdapters(self) if adapters_begin(self.model) else super().frozen_copy()

    @torch.no_grad()
    def step(self, observation: Tree, memory: TokenCache | None = None) -> tuple[Categorical, TokenCache]:
        """Return the distributions [B, V] after windows {"tokens": [B, W], "length": [B]}, and the cache.

        One token is read where a window continues what the cache holds, nothing where it is what the cache holds, and
        all of it elsewhere, once for equal windows. The cache passed in is extended in place: use the one returned.
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
            self.model.eval()  # a model that is to recompute what it learns from takes no cache while it is training
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

    def write_files(self, folder: Path) -> None:
        """Write the model's configuration and the tokenizer, of which `new_model` makes a model of the same form."""
        self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class FirstTokens:
    """The part of a linear head that gives the first V tokens' logits: rows of its weight, [V, D], and bias."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return logits […, V] of hidden states […, D]."""
        return functional.linear(hidden, self.weight, self.bias)

    @property
    def out_features(self) -> int:
        """V."""
        return len(self.weight)


def _first(bias: Tensor | None, count: int | None) -> Tensor | None:
    return None if bias is None else bias[:count]


class WithoutAdapters(Policy):
    """A policy as it was before its adapters learned: the same model with them turned off, which takes no memory.

    Args:
        policy: whose model has adapters.
    """

    def __init__(self, policy: HuggingFacePolicy) -> None:
        super().__init__()
        self.shared = (policy,)  # not a module of its own: neither saved nor moved twice

    @property
    def outputs(self) -> int | None:
        """How many tokens there are."""
        return self.shared[0].outputs

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Any:  # noqa: ANN401
        """Return the distributions of the next tokens."""
        with self.shared[0].model.disable_adapter():
            return self.shared[0](observations, memory, episode_starts)
