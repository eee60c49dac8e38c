"""The audit of a run's start: what acted and what learns must be the same policy.

Importance ratios, KL divergences and gradients are all wrong where the log-probabilities that learning computes are not
those that actions were sampled with. Both are known before the first update: the recorded ones come from the
distributions that were sampled from, step by step, and learning computes its own from the whole rollout at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from pg_agents.causes import likely_causes
from pg_agents.drawn import drawn_otherwise
from pg_agents.mismatch import Mismatch
from pg_agents.policies import Policy
from pg_agents.rollout import Rollout, TokenBlock
from pg_agents.tree import tree_map

DECISIONS = 16_384  # as many are looked at
UNKNOWN = (
    "none of the usual ones explains it alone (dropout, temperature, truncation, precision, end of sequence, padding, "
    "memory)"
)


class AuditError(RuntimeError):
    """What acted and what learns are not the same policy; the message says where they differ, and what explains it."""


def audit(
    policy: Policy,
    rollout: Rollout,
    *,
    most: int | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> float:
    """Return the largest |ln π_learned(A_t|S_t) − ln π_recorded(A_t|S_t)| of a rollout; NaN where nothing was compared.

    Policies that act by the function that they learn by, on observations that are not stored as texts, are not looked
    at: there is nothing in between.

    Args:
        policy: in the mode in which it learns, not updated since it acted.
        rollout: what it did.
        most: decisions that are looked at, the first ones, up to 16,384; None: so many.
        decode: ids → text, for the message.

    Raises:
        AuditError: they differ by more than rounding does: by 1e-3, or, where parameters have 16 bits, by more than
            `ROUNDING` says; or actions were drawn otherwise than recorded (`drawn_otherwise`).
    """
    if not isinstance(rollout.observations, TokenBlock) and type(policy).step is Policy.step:
        return float("nan")
    part = beginning(rollout, most)
    mismatch = Mismatch(policy, part)
    largest = float(mismatch.difference.max())
    if not mismatch.agree(mismatch.learned):
        raise AuditError(_message(mismatch, largest, decode))
    if drawn := drawn_otherwise(mismatch):
        raise AuditError(drawn)
    return largest


def beginning(rollout: Rollout, most: int | None = None) -> Rollout:
    """Return the first decisions of a rollout, `DECISIONS` or `most`: its first texts, or else its first steps."""
    decisions = min(most or DECISIONS, DECISIONS)
    if rollout.mask.numel() <= decisions:
        return rollout
    steps, seen = len(rollout.mask), rollout.observations
    if isinstance(seen, TokenBlock):
        few = max(1, decisions // steps)
        mask = None if seen.mask is None else seen.mask[:, :few]
        seen, at = TokenBlock(seen.tokens[:few], seen.lengths[:, :few], mask), (slice(None), slice(few))
    else:
        at = (slice(max(1, decisions // rollout.mask.shape[1])), slice(None))
        seen = tree_map(lambda leaf: leaf[at], seen)
    fields = {name: getattr(rollout, name)[at] for name in ("actions", "log_probs", "mask", "starts", "times")}
    return replace(rollout, observations=seen, **fields)


def _message(mismatch: Mismatch, largest: float, decode: Callable[[Sequence[int]], str] | None) -> str:
    t, b = mismatch.worst
    rollout, wrong = mismatch.rollout, mismatch.wrong
    where = f"most at step {t} of environment {b}, action {_shown(rollout.actions[t, b], decode)}"
    if isinstance(rollout.observations, TokenBlock):
        block = rollout.observations
        where += f" after the prompt {_shown(block.tokens[b, : int(block.lengths[0, b])], decode)}"
    recorded, learned = float(rollout.log_probs[t, b]), float(mismatch.learned[t, b])
    found = "; ".join(likely_causes(mismatch)) or UNKNOWN
    average, rounding = float(mismatch.difference[rollout.mask].mean()), mismatch.rounding
    return (
        "audit: what acted and what learns are not the same policy: log-probabilities of the first rollout differ by "
        f"up to {largest:.3g}, {average:.2g} on average (rounding: {rounding.most:g}, {rounding.mean:g}), in "
        f"{int(wrong.sum())} of {int(rollout.mask.sum())} decisions, {where}: recorded {recorded:.4f}, learned "
        f"{learned:.4f}. Likely cause: {found}"
    )


def _shown(tokens: Tensor, decode: Callable[[Sequence[int]], str] | None) -> str:
    if decode is None or tokens.is_floating_point():
        return str(tokens.tolist())
    return repr(decode([int(token) for token in tokens.flatten()]))
