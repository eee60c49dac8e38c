"""Completions of texts by a policy that reads windows of tokens, as it acts in environments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.checks import whole_number
from pg_agents.distributions import draw
from pg_agents.generators import make_generators
from pg_agents.llm.texts import Coder
from pg_agents.policies import Policy
from pg_agents.seeding import Purpose, spawn
from pg_agents.shown import shown

ROWS = 64  # texts that are read and continued together


@torch.no_grad()
def completions(
    policy: Policy,
    coder: Coder,
    texts: Iterable[Any],
    *,
    max_new_tokens: int,
    greedy: bool,
    seed: int,
    window: int | None = None,
) -> list[str]:
    """Return a completion of each text, in their order, by a policy that acts until it has ended.

    Args:
        policy: reads {"tokens": [B, W], "length": [B]}, and keeps a cache of what it has read.
        coder: texts → tokens → texts.
        texts: what is to be continued.
        max_new_tokens: the most tokens in a completion.
        greedy: take the most probable tokens instead of sampling.
        seed: of the sampled tokens.
        window: the most tokens that the policy reads; None: it says so itself.

    Raises:
        ValueError: no list of texts, one without tokens, or an option out of range; texts too long for the policy.
        FloatingPointError: the policy's distribution is not finite.
    """
    most = whole_number("max_new_tokens", max_new_tokens, 1)
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise ValueError(f"texts must be several, in order, got {shown(texts)}; write [text]")
    prompts = [_ids(coder, text) for text in texts]
    longest = max(map(len, prompts), default=0)
    if window is not None and longest + most > window:
        raise ValueError(
            f"max_new_tokens: {most} after a text of {longest} tokens are more than the {window} that the agent reads; "
            "give fewer, or shorter texts"
        )
    device = next(policy.parameters()).device
    generator = make_generators([spawn(whole_number("seed", seed), Purpose.ACTIONS)], device)
    found: list[str] = []
    for first in range(0, len(prompts), ROWS):
        some = prompts[first : first + ROWS]
        found += map(coder.answer, _continued(policy, coder, some, most, greedy, generator, device))
    return found


def _ids(coder: Coder, text: Any) -> list[int]:  # noqa: ANN401
    ids = coder.encode(text)
    if not ids:
        raise ValueError(f"texts: {shown(text)} has no tokens")
    return ids


def _continued(
    policy: Policy,
    coder: Coder,
    prompts: Sequence[list[int]],
    most: int,
    greedy: bool,
    generator: Any,  # noqa: ANN401
    device: torch.device,
) -> Iterator[list[int]]:
    """Yield the completions of some prompts, which grow together."""
    begun = torch.tensor([*map(len, prompts)], device=device)
    tokens = torch.zeros(len(prompts), int(begun.max()) + most, dtype=torch.int64, device=device)
    for row, ids in enumerate(prompts):
        tokens[row, : len(ids)] = torch.tensor(ids, device=device)
    ends = torch.tensor(sorted(coder.ends), dtype=torch.int64, device=device)
    length, read, growing = begun.clone(), begun.clone(), torch.ones_like(begun, dtype=torch.bool)
    memory: Any = None
    for _ in range(most):
        read = torch.where(growing, length, read)  # rows that have ended show what they showed: nothing is computed
        distribution, memory = policy.step({"tokens": tokens, "length": read}, memory)
        taken = draw(distribution, lambda row: f"in text {row}", greedy=greedy, generator=generator)
        rows = growing.nonzero().squeeze(1)
        tokens[rows, length[rows]] = taken[rows]
        length[rows] += 1
        growing &= ~torch.isin(taken, ends)
        if not growing.any():
            break
    for row, (start, end) in enumerate(zip(begun.tolist(), length.tolist(), strict=True)):
        yield _listed(tokens[row, start:end])


def _listed(tokens: Tensor) -> list[int]:
    found: list[int] = tokens.tolist()
    return found


@contextmanager
def sampling_as(policy: Any, **options: Any) -> Iterator[None]:  # noqa: ANN401
    """A context in which a language model samples with other options than it learns with: those that are not None.

    Raises:
        ValueError: an option is out of range, or the policy is no language model.
    """
    given = {name: value for name, value in options.items() if value is not None}
    before = getattr(policy, "sampling", None)
    if given and before is None:
        name, value = next(iter(given.items()))
        raise ValueError(f"{name}: {value} is for language models; leave it out")
    if before is None:
        yield
        return
    policy.sampling = replace(before, **given)
    try:
        yield
    finally:
        policy.sampling = before
