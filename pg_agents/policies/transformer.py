"""A small causal transformer over a window of tokens, with a key–value cache as its memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pg_agents.data.rollout import TokenBlock
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical
from pg_agents.policies.action_heads import allow
from pg_agents.policies.policy import Critic, Memory, Policy
from pg_agents.spaces.action_masks import split_mask


@dataclass(frozen=True)
class KVCache:
    """The tokens that were read in each row, with every layer's keys and values.

    Rows whose observation does not continue the cached tokens (a new episode, or a window that slid and so moved every
    token) are read again, and all rows after the parameters have changed. The cache carries no other information.

    Attributes:
        version: the version of the parameters with which it was computed.
        tokens: int64 [B, W]; −1 at positions not read.
        keys: [L, B, H, W, D].
        values: [L, B, H, W, D].
    """

    version: int
    tokens: Tensor
    keys: Tensor
    values: Tensor


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each [N, H, T, D], of x [N, T, width]."""
        n, t, width = x.shape
        q, k, v = self.project(self.norm1(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the block's output from its input x [N, T, width] and its attention's output [N, H, T, D]."""
        x = x + self.out(attended.transpose(1, 2).flatten(-2))
        return x + self.mlp(self.norm2(x))


class Trunk(nn.Module):
    """Token windows → hidden states: learned token and position embeddings, pre-norm blocks, a final norm.

    Args:
        vocabulary: V, the number of tokens.
        window: W, the length of the longest sequence.
        width: the size of hidden states.
        layers: the number of blocks.
        heads: the number of attention heads of a block.

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    def __init__(self, vocabulary: int, window: int, *, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads={heads}, got {width}")
        self.window, self.heads = window, heads
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(window, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=width**-0.5)

    def layers(self) -> list[Block]:
        """Return the blocks, in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def empty_cache(self, tokens: Tensor) -> KVCache:
        """Return an empty cache for windows of the shape of `tokens`, [B, W]."""
        batch, window = tokens.shape
        width, heads = self.tokens.embedding_dim, self.heads
        keys = self.tokens.weight.new_zeros(len(self.blocks), batch, heads, window, width // heads)
        return KVCache(self.version(), torch.full_like(tokens, -1), keys, keys.clone())

    def version(self) -> int:
        """Return a number that grows with every in-place change of the parameters."""
        return sum(parameter._version for parameter in self.parameters())

    def forward(self, tokens: Tensor) -> Tensor:
        """Return hidden states [N, T, width] of tokens [N, T], with causal attention."""
        return self.read(tokens)[0]

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return hidden states [N, T, width], and all keys and values, [L, N, H, T, D] each."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        keys, values = [], []
        for block in self.layers():
            q, k, v = block.queries_keys_values(x)
            x = block.finish(x, functional.scaled_dot_product_attention(q, k, v, is_causal=True))
            keys.append(k)
            values.append(v)
        return self.norm(x), torch.stack(keys), torch.stack(values)

    def follow(self, block: TokenBlock) -> Tensor:
        """Return the hidden states at the last visible token of each step of a block, [T, B, width]."""
        rows = torch.arange(len(block.tokens), device=block.tokens.device)
        prompt, place = block.lengths[0], torch.arange(int(block.lengths[0].max()), device=rows.device)
        seen = torch.where(place < prompt[:, None], block.tokens[:, : len(place)], -1)
        prompts, source = seen.unique(dim=0, return_inverse=True)
        if 2 * len(prompts) > len(rows):
            return self(block.tokens)[rows, block.lengths - 1]  # of [B, W, width]
        read = self.read(prompts.clamp(min=0))  # each distinct prompt once; no token attends to the padding behind it
        first = read[0][source, prompt - 1][:, None]
        if len(block.lengths) == 1:  # there are no completions
            return first.transpose(0, 1)
        later = self._behind(block, source, place < prompt[:, None], read[1], read[2])
        return torch.cat([first, later], 1)[rows, block.lengths - prompt]

    def _behind(self, block: TokenBlock, source: Tensor, there: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the hidden states [B, T − 1, width] of completions whose prompts were read before.

        Row b's prompt is number source[b] of N, at the positions there[b] of P; keys and values are [L, N, H, P, D].
        """
        rows, steps = len(source), len(block.lengths) - 1
        place = block.lengths[0, :, None] + torch.arange(steps, device=source.device)  # [B, T − 1]
        x = self.tokens(block.tokens.gather(1, place.clamp(max=block.tokens.shape[1] - 1)))
        x = x + self.positions(place.clamp(max=self.window - 1))
        own = torch.ones(steps, steps, dtype=torch.bool, device=source.device).tril()
        visible = torch.cat([there[:, None].expand(-1, steps, -1), own.expand(rows, -1, -1)], -1)[:, None]
        for layer, shared_k, shared_v in zip(self.layers(), keys, values, strict=True):
            q, k, v = layer.queries_keys_values(x)
            k = torch.cat([shared_k.index_select(0, source), k], 2)
            v = torch.cat([shared_v.index_select(0, source), v], 2)
            x = layer.finish(x, functional.scaled_dot_product_attention(q, k, v, attn_mask=visible))
        return self.norm(x)

    def extend(self, cache: KVCache, tokens: Tensor, position: Tensor) -> Tensor:
        """Read one more token of each row into the cache, in place, and return its hidden state, [B, width].

        Args:
            cache: the cache of the tokens before.
            tokens: the new tokens, int64 [B].
            position: the position of each new token, int64 [B].
        """
        rows = torch.arange(len(tokens), device=tokens.device)
        x = (self.tokens(tokens) + self.positions(position))[:, None]  # [B, 1, width]
        visible = torch.arange(cache.keys.shape[3], device=tokens.device) <= position[:, None]  # [B, W]
        for block, keys, values in zip(self.layers(), cache.keys, cache.values, strict=True):
            q, k, v = block.queries_keys_values(x)
            keys[rows, :, position], values[rows, :, position] = k[:, :, 0], v[:, :, 0]
            attended = functional.scaled_dot_product_attention(q, keys, values, attn_mask=visible[:, None, None])
            x = block.finish(x, attended)
        cache.tokens[rows, position] = tokens
        cache.tokens[~visible] = -1  # keys behind this position belong to other prefixes
        return self.norm(x)[:, 0]


def hidden_states(trunk: Trunk, observations: Tree) -> Tensor:
    """Return the hidden state at the last token of each observation.

    Args:
        trunk: the transformer.
        observations: a `TokenBlock`, for which one pass over its texts gives all steps, [T, B, width]; or
            {"tokens": [..., W], "length": [...]}, for which every window is read, [..., width].
    """
    if isinstance(observations, TokenBlock):
        return trunk.follow(observations)
    length = observations["length"]
    tokens = observations["tokens"].flatten(0, -2)[:, : max(1, int(length.max()))]
    last = (length.flatten() - 1).clamp(min=0)
    hidden = trunk(tokens)[torch.arange(len(tokens), device=tokens.device), last]
    return hidden.view(*length.shape, -1)


class TransformerPolicy(Policy):
    """π_θ(a|s), a distribution over the next token after a window of tokens.

    Args:
        vocabulary: the number of tokens.
        window: the length of the longest window.
        width: the size of hidden states.
        layers: the number of blocks.
        heads: the number of attention heads of a block.
    """

    def __init__(self, vocabulary: int, window: int, *, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.trunk = Trunk(vocabulary, window, width=width, layers=layers, heads=heads)
        self.head = nn.Linear(width, vocabulary)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Categorical:
        """Return the distributions of the next tokens; see `hidden_states` for the forms of observations."""
        observations, mask = split_mask(observations)
        return Categorical(allow(self.head(hidden_states(self.trunk, observations)), mask))

    def step(self, observation: Tree, memory: KVCache | None = None) -> tuple[Categorical, KVCache]:
        """Return the distributions [B, V] after windows {"tokens": [B, W], "length": [B]}, and the cache.

        If a window continues the cached tokens, only its last token is read; otherwise all of it. The cache passed in
        is changed in place: use the returned one.
        """
        observation, mask = split_mask(observation)
        tokens, last = observation["tokens"], observation["length"] - 1
        known = memory is not None and memory.version == self.trunk.version() and memory.tokens.shape == tokens.shape
        cache = memory if memory is not None and known else self.trunk.empty_cache(tokens)
        before = torch.arange(tokens.shape[1], device=tokens.device) < last[:, None]  # positions read before
        stale = ((cache.tokens != tokens) & before).any(1)
        if stale.any():
            self._read_again(cache, tokens[:, : int(last[stale].max())], stale)
        rows = torch.arange(len(tokens), device=tokens.device)
        return Categorical(allow(self.head(self.trunk.extend(cache, tokens[rows, last], last)), mask)), cache

    def _read_again(self, cache: KVCache, tokens: Tensor, stale: Tensor) -> None:
        """Read the tokens before the last, [B, w], in stale rows, bool [B]; equal windows once."""
        windows, source = tokens[stale].unique(dim=0, return_inverse=True)
        _, keys, values = self.trunk.read(windows)
        rows, width = stale.nonzero().squeeze(1), tokens.shape[1]
        cache.tokens[rows, :width] = tokens[rows]
        cache.keys[:, rows, :, :width], cache.values[:, rows, :, :width] = keys[:, source], values[:, source]


class TransformerCritic(Critic):
    """V_ψ(s) of a window of tokens; its arguments are those of `TransformerPolicy`."""

    def __init__(self, vocabulary: int, window: int, *, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.trunk = Trunk(vocabulary, window, width=width, layers=layers, heads=heads)
        self.head = nn.Linear(width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values; see `hidden_states` for the forms of observations."""
        return self.head(hidden_states(self.trunk, split_mask(observations)[0])).squeeze(-1)
