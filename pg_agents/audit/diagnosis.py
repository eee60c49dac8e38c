"""Finds why recorded and learned log-probabilities differ, by testing each usual cause."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from pg_agents.audit.mismatch import Mismatch, evaluating
from pg_agents.data.rollout import TokenBlock
from pg_agents.data.tree import Tree, tree_map

FEW = 256  # decisions for which the probabilities of all actions are computed


def likely_causes(mismatch: Mismatch) -> list[str]:
    """Return the causes that explain a mismatch, the most certain first."""
    noise = _tried(of_noise, mismatch)
    if noise:
        return [noise]  # tests of other causes would be random too
    for certain in (of_temperature, of_truncation, of_precision):
        if found := _tried(certain, mismatch):
            return [found]
    return [found for cause in (of_last_token, of_padding, of_memory) if (found := _tried(cause, mismatch))]


def _tried(cause: Callable[[Mismatch], str | None], mismatch: Mismatch) -> str | None:
    """Return cause(mismatch); None if it raises an error, which must not hide the mismatch."""
    try:
        return cause(mismatch)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError):
        return None


def of_noise(mismatch: Mismatch) -> str | None:
    """Two passes differ, or they agree in eval() mode: dropout."""
    with evaluating(mismatch.policy):
        if mismatch.agree(mismatch.learn()):
            return "dropout: they agree in eval() mode and not in train() mode; turn it off"
    apart = float(mismatch.distance(mismatch.learned, mismatch.learn()).max())
    if apart <= mismatch.tolerance:
        return None
    return f"dropout, or other noise: two passes over the same rollout differ by {apart:.3g} themselves; turn it off"


def _few(mismatch: Mismatch) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the learned ln π of all actions [n, A], the actions [n] and the recorded ln π [n] of some decisions."""
    rollout, z = mismatch.rollout, mismatch.of_all_actions(slice(FEW))
    if z is None:
        return None
    return z, rollout.actions[rollout.mask][:FEW], rollout.log_probs[rollout.mask][:FEW].double()


def of_temperature(mismatch: Mismatch) -> str | None:
    """Multiplying the learned logits by a number gives the recorded log-probabilities: temperature."""
    found = _few(mismatch)
    if found is None:
        return None
    z, taken, recorded = found

    def error(scale: float) -> float:
        scaled = (z * scale).log_softmax(-1).gather(-1, taken[:, None]).squeeze(-1)
        return float((scaled - recorded).abs().nan_to_num(nan=math.inf).mean())

    low, high = math.log(0.02), math.log(50.0)
    for _ in range(5):  # each grid is finer than the one before
        grid = [math.exp(low + (high - low) * i / 40) for i in range(41)]
        errors = [error(scale) for scale in grid]
        best = errors.index(min(errors))
        low, high = math.log(grid[max(0, best - 1)]), math.log(grid[min(40, best + 1)])
    if errors[best] > max(mismatch.tolerance / 3, 0.01 * error(1.0)):
        return None
    ratio = 1 / grid[best]
    return (
        f"temperature: logits are divided by {ratio:.3g} times as much in acting as in learning; make them one number"
    )


def of_truncation(mismatch: Mismatch) -> str | None:
    """Dividing learned probabilities by the sum over the most probable actions gives the recorded ones: truncation."""
    found = _few(mismatch)
    if found is None:
        return None
    z, taken, recorded = found
    learned = z.gather(-1, taken[:, None]).squeeze(-1)
    ordered = z.exp().sort(descending=True).values
    kept = ordered.cumsum(-1)
    shares = (learned - recorded).exp()[:, None]  # the probability of the kept actions, if some were left out
    count = ((kept - shares).abs()).argmin(-1, keepdim=True)
    fits = (kept.gather(-1, count).log() - shares.log()).abs() <= mismatch.tolerance
    if not fits.all() or float(shares.max()) > math.exp(mismatch.tolerance):
        return None
    least = float(kept.gather(-1, count).min()) + mismatch.tolerance
    before = float((kept - ordered).gather(-1, count).max())
    if int(count.min()) == int(count.max()) or before < least:
        return "truncation: in acting the least probable actions are left out (top-k, top-p), in learning they are not"
    return None


@torch.no_grad()
def of_precision(mismatch: Mismatch) -> str | None:
    """Changing between 16 and 32 bits moves the learned log-probabilities by as much as they are off: precision."""
    policy, kind = mismatch.policy, mismatch.rollout.mask.device.type
    if next(policy.parameters()).dtype.itemsize < 4:
        moved = mismatch.learn(copy.deepcopy(policy).float())
    else:
        with torch.autocast(kind, torch.bfloat16):
            moved = mismatch.learn()
    by_rounding, apart = mismatch.distance(moved, mismatch.learned), mismatch.difference
    alike = float(by_rounding.sum()) > 0.3 * float(apart.sum()) and float(apart.max()) < 3 * float(by_rounding.max())
    if not alike:
        return None
    return (
        f"precision: between 16 and 32 bits learning itself moves by up to {float(by_rounding.max()):.2g}; act and "
        "learn in the same dtype, or in float32"
    )


def of_last_token(mismatch: Mismatch) -> str | None:
    """Only the last decisions of episodes differ: the end of sequence."""
    rollout = mismatch.rollout
    following = torch.zeros_like(rollout.mask)
    following[:-1] = rollout.mask[1:] & ~rollout.episode_starts[1:]
    last = rollout.mask & ~following
    if (mismatch.wrong & ~last).any() or not (rollout.mask & ~last).any():
        return None
    return "end of sequence: only the last token of each text differs; it is an action like the others, and is learned"


def of_padding(mismatch: Mismatch) -> str | None:
    """Texts with short prompts differ, or a text has other log-probabilities alone than in a batch: padding."""
    block = mismatch.rollout.observations
    if not isinstance(block, TokenBlock):
        return None
    prompts, rows = block.lengths[0], mismatch.wrong.any(0)
    used = mismatch.rollout.mask.any(0)
    short = prompts < prompts[used].max()
    only_short = bool(short[rows].all()) and bool((used & ~short & ~rows).any())
    t, b = mismatch.worst
    alone = _alone(mismatch, b)
    tolerance, recorded = mismatch.tolerance, mismatch.rollout.log_probs[t, b]
    if abs(float(alone[t, 0] - recorded)) <= tolerance:
        which = "; only texts with short prompts differ" if only_short else ""
        return f"padding, or positions: alone the text has in learning what was recorded, among others not{which}"
    if only_short:
        return "padding, or positions: only texts with prompts shorter than the longest differ"
    return None


def _alone(mismatch: Mismatch, column: int) -> Tensor:
    """Return ln π of one text's actions, [T, 1], read alone and without padding."""
    rollout, block = mismatch.rollout, mismatch.rollout.observations
    assert isinstance(block, TokenBlock)
    steps = rollout.mask[:, column].nonzero()
    lengths = block.lengths[:, column : column + 1]
    width = int(lengths[: int(steps[-1]) + 1].max())
    mask = None if block.mask is None else block.mask[:, column : column + 1]
    only = TokenBlock(block.tokens[column : column + 1, :width], lengths.clamp(max=width), mask)
    with torch.no_grad():
        return mismatch.policy(only).log_prob(rollout.actions[:, column : column + 1])


@torch.no_grad()
def of_memory(mismatch: Mismatch) -> str | None:
    """A step without memory gives the learned log-probability, not the recorded one: memory."""
    policy, rollout = mismatch.policy, mismatch.rollout
    if policy.recurrent:
        return None
    t, b = mismatch.worst
    seen: Tree = rollout.observations
    if isinstance(seen, TokenBlock):
        position = torch.arange(seen.tokens.shape[1], device=seen.tokens.device)
        length = seen.lengths[t, b]
        seen = {"tokens": (seen.tokens[b] * (position < length))[None], "length": length[None]}
    else:
        seen = tree_map(lambda leaf: leaf[t, b][None], seen)
    fresh = policy.step(seen, None)[0].log_prob(rollout.actions[t, b][None])[0]
    tolerance = mismatch.tolerance
    if abs(float(fresh - rollout.log_probs[t, b])) <= tolerance:
        return "learning: a single step gives what was recorded again; the pass over the whole rollout is wrong there"
    if abs(float(fresh - mismatch.learned[t, b])) <= tolerance:
        return "memory: a step that begins without any (a cache) gives what learning has, and not what was recorded"
    return None
