"""Distributions over a language model's tokens that never hold all logits at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pg_agents.distributions.categorical import Categorical
from pg_agents.generators import Source

IMPOSSIBLE = -1000.0  # ln π of a token so improbable that π is 0 in any precision


@dataclass(frozen=True)
class Sampling:
    """How a model's logits z become a policy: π(a) ∝ exp(z_a / τ) on the tokens that are kept.

    First the `top_k` most probable tokens are kept, then of these the fewest whose probabilities add up to `top_p`;
    tokens as probable as the last one are kept too.

    Args:
        temperature: τ > 0.
        top_k: number of tokens, or None.
        top_p: above 0, at most 1; 1 or None: all tokens.

    Raises:
        ValueError: an argument has a wrong type or is out of range.

    Reference: Holtzman et al. (2020) for top-p.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < float("inf"):
            greedy = "evaluation takes the most probable token"
            raise ValueError(f"temperature must be a number above 0, got {self.temperature!r}; {greedy}")
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise ValueError(f"top_k must be a whole number, 1 or above, or None for all tokens, got {self.top_k!r}")
        if self.top_p is not None and (not isinstance(self.top_p, int | float) or not 0 < self.top_p <= 1):
            raise ValueError(f"top_p must be above 0 and at most 1, or None for all tokens, got {self.top_p!r}")
        if self.top_p == 1:
            object.__setattr__(self, "top_p", None)  # a sum of probabilities that rounding keeps below 1 cuts the tail

    def __call__(self, logits: Tensor, taken: Tensor | None = None) -> Tensor:
        """Return z / τ with −∞ at the tokens that are not kept, […, V], in float32 at least.

        Args:
            logits: z, […, V].
            taken: tokens that are always kept, int64 […]: a sampled token must keep a probability when rounding
                differs from that of the sampler, or the parameters have changed.
        """
        z = logits.float() if logits.dtype.itemsize < 4 else logits
        z = z / self.temperature if self.temperature != 1 else z
        if self.top_k is None and self.top_p is None:
            return z
        kept = z >= self._least(z)
        if taken is not None:
            kept = kept.scatter(-1, taken[..., None], True)
        return torch.where(kept, z, -torch.inf)

    def _least(self, z: Tensor) -> Tensor:
        """Return the smallest z that is kept, […, 1]."""
        ordered = z.topk(min(self.top_k or z.shape[-1], z.shape[-1])).values
        if self.top_p is None:
            return ordered[..., -1:]
        probabilities = ordered.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities  # the sum over more probable tokens
        return ordered.gather(-1, (before < self.top_p).sum(-1, keepdim=True).clamp(min=1) - 1)


class HeadLogProbs(torch.autograd.Function):
    """ln π(a) and the entropy H of N positions from their hidden states, `chunk` rows of logits at a time.

        z = W h + b,    ∂ ln π(a)/∂z = (1[a] − π) / τ,    ∂H/∂z = −π (ln π + H) / τ

    If all rows fit into one chunk, their logits are kept for the gradient; otherwise they are computed a second time.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        actions: Tensor | None,
        sampling: Sampling,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.sampling, ctx.chunk, ctx.logits = sampling, chunk, None
        values, entropies = [], []
        for rows in _chunks(len(hidden), chunk):
            taken = None if actions is None else actions[rows]
            logits = _normalized(hidden[rows], weight, bias, taken, sampling)
            entropies.append(_entropy(logits))
            values.append(
                torch.zeros_like(entropies[-1]) if taken is None else logits.gather(-1, taken[:, None]).squeeze(-1)
            )
            ctx.logits = logits if len(hidden) <= chunk else None
        log_probs, entropy = _joined(values, hidden), _joined(entropies, hidden)
        ctx.save_for_backward(hidden, weight, bias, actions, entropy)
        return log_probs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: Tensor | None, of_entropy: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401, D102
        hidden, weight, bias, actions, entropy = ctx.saved_tensors
        into_hidden = torch.zeros_like(hidden)
        into_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        into_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for rows in _chunks(len(hidden), ctx.chunk):
            taken = None if actions is None else actions[rows]
            logits = ctx.logits
            if logits is None:
                logits = _normalized(hidden[rows], weight, bias, taken, ctx.sampling)
            gradient = logits.exp()
            slope = torch.zeros_like(entropy[rows])[:, None] if of_value is None else -of_value[rows, None]
            if of_entropy is None:
                gradient *= slope
            else:
                finite = logits.clamp(min=IMPOSSIBLE)
                gradient *= slope - of_entropy[rows, None] * (finite + entropy[rows, None])
            if of_value is not None and taken is not None:
                gradient.scatter_add_(-1, taken[:, None], of_value[rows, None])
            gradient = (gradient / ctx.sampling.temperature if ctx.sampling.temperature != 1 else gradient).to(hidden)
            into_hidden[rows] = gradient @ weight
            if into_weight is not None:
                into_weight.addmm_(gradient.T, hidden[rows])
            if into_bias is not None:
                into_bias += gradient.sum(0)
        return into_hidden, into_weight, into_bias, None, None, None


class TokenCategorical:
    """π(a) over V tokens at positions […], from hidden states; at most `chunk` rows of logits exist at a time.

    Where no decision was taken, log-probability and entropy are 0.

    Args:
        hidden: the hidden states of the N positions where a decision was taken, [N, D].
        where: which positions these are, bool […] with N True.
        head: maps hidden states to logits.
        sampling: how logits become the policy.
        chunk: the number of rows of logits computed at once.
    """

    def __init__(self, hidden: Tensor, where: Tensor, head: nn.Linear, sampling: Sampling, chunk: int) -> None:
        self.hidden, self.where, self.head = hidden, where, head
        self.sampling, self.chunk = sampling, chunk
        self._entropy: Tensor | None = None
        self._finite = True

    def _compute(self, actions: Tensor | None) -> Tensor:
        log_probs, self._entropy = HeadLogProbs.apply(
            self.hidden, self.head.weight, self.head.bias, actions, self.sampling, self.chunk
        )
        return log_probs

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a) for int64 actions […]."""
        return self._spread(self._compute(actions[self.where]))

    def entropy(self) -> Tensor:
        """Return −Σ_a π(a) ln π(a), […]; `log_prob` has computed it already, if it was called."""
        if self._entropy is None:
            self._compute(None)
        assert self._entropy is not None
        return self._spread(self._entropy)

    def sample(self, generator: Source = None) -> Tensor:
        """Draw actions, int64 […]."""
        return self._draw(lambda distribution: distribution.sample(generator))

    def mode(self) -> Tensor:
        """Return the most probable tokens, int64 […]."""
        return self._draw(lambda distribution: distribution.mode())

    def is_finite(self) -> bool:
        """Return whether no logit that tokens were drawn from is NaN or +∞."""
        return self._finite

    @torch.no_grad()
    def _draw(self, draw: Callable[[Categorical], Tensor]) -> Tensor:
        drawn = []
        for rows in _chunks(len(self.hidden), self.chunk):
            logits = self.head(self.hidden[rows])
            self._finite &= Categorical(logits).is_finite()  # before truncation, which drops NaN
            drawn.append(draw(Categorical(self.sampling(logits))))
        return self._spread(torch.cat(drawn))

    def _spread(self, values: Tensor) -> Tensor:
        spread = values.new_zeros(self.where.shape)
        spread[self.where] = values
        return spread

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]."""
        first = distributions[0]
        hidden = torch.cat([distribution.hidden for distribution in distributions])
        where = torch.stack([distribution.where for distribution in distributions])
        return cls(hidden, where, first.head, first.sampling, first.chunk)


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _normalized(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, taken: Tensor | None, sampling: Sampling
) -> Tensor:
    """Return ln π(a) of all tokens, [n, V]."""
    return sampling(functional.linear(hidden, weight, bias), taken).log_softmax(-1)


def _entropy(logits: Tensor) -> Tensor:
    """Return −Σ_a π(a) ln π(a), [n], of normalised logits [n, V]; 0 ln 0 = 0."""
    return -(logits.exp() * logits.clamp(min=IMPOSSIBLE)).sum(-1)


def _joined(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(parts) if parts else like.new_zeros(0)
