"""The audit of a run: the policy that sampled the actions must be the policy being trained.

Importance ratios, KL divergences and gradients are wrong if learning computes other log-probabilities than those with
which actions were sampled. Both are known before the first update: the recorded ones come from each step's
distribution, and learning computes its own from the whole rollout at once. The audit runs at the start, and again when
texts become longer than any before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from pg_agents.audit.diagnosis import likely_causes
from pg_agents.audit.mismatch import Mismatch
from pg_agents.audit.sampling_test import drawn_otherwise
from pg_agents.data.rollout import Rollout, TokenBlock, map_steps
from pg_agents.data.tree import Tree, tree_map
from pg_agents.errors import AuditError
from pg_agents.policies import Policy

DECISIONS, FEW = 16_384, 1024  # how many are compared in the first rollout, and in texts longer than any before
UNKNOWN = (
    "none of the usual ones explains it alone (dropout, temperature, truncation, precision, end of sequence, padding, "
    "memory)"
)


def audit(
    policy: Policy,
    rollout: Rollout,
    *,
    most: int | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
    always: bool = False,
) -> float:
    """Return the largest |ln π_learned(A_t|S_t) − ln π_recorded(A_t|S_t)| of a rollout; NaN if nothing was compared.

    Nothing is compared for a policy that acts and learns by the same function (it does not override `Policy.step`), on
    observations that are not stored as texts; with `always` it is, as a function of the user's may draw random numbers.

    Args:
        policy: the policy, in the mode in which it learns, not updated since it acted.
        rollout: its rollout.
        most: the number of decisions to compare, the first ones, at most 16,384; None: 16,384.
        decode: maps ids to text, for the message.
        always: compare also a policy that acts and learns by the same function.

    Raises:
        AuditError: log-probabilities differ by more than rounding: by 1e-3, or for parameters of 16 bits by more than
            `ROUNDING`; or actions were not drawn from the recorded distribution (`drawn_otherwise`).
    """
    if not (always or isinstance(rollout.observations, TokenBlock)) and type(policy).step is Policy.step:
        return float("nan")
    mismatch = _compared(policy, beginning(rollout, most), "the first rollout", decode)
    if drawn := drawn_otherwise(mismatch):
        raise AuditError(drawn)
    return float(mismatch.difference.max())


class Audits:
    """The audits of a run: `audit` of its first rollout, then a comparison of each text that is longer than any before.

    The longest text is compared together with its neighbours. Whether actions were drawn from the recorded distribution
    is not tested again, as texts chosen by their length are a biased sample.

    Args:
        policy: as in `audit`.
        most: as in `audit`.
        decode: as in `audit`.
        always: as in `audit`.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        most: int | None = None,
        decode: Callable[[Sequence[int]], str] | None = None,
        always: bool = False,
    ) -> None:
        self.policy, self.most, self.decode, self.always = policy, most, decode, always
        self.longest: int | None = None  # the number of tokens of the longest text compared

    def __call__(self, rollout: Rollout) -> None:
        """Raise AuditError if the policy that sampled `rollout` is not the policy being trained; see `audit`."""
        if self.longest is None:
            audit(self.policy, rollout, most=self.most, decode=self.decode, always=self.always)
            part = beginning(rollout, self.most)
            self.longest = int(_text_lengths(part.observations, part.mask).max())
        if not isinstance(rollout.observations, TokenBlock):
            return
        lengths = _text_lengths(rollout.observations, rollout.mask)
        if (longest := int(lengths.max())) > self.longest:
            columns = _columns(rollout, min(self.most or FEW, FEW), beside=int(lengths.argmax()))
            part = _part(rollout, (slice(None), columns))
            _compared(self.policy, part, f"texts of up to {longest} tokens", self.decode, columns.start)
            self.longest = longest


def beginning(rollout: Rollout, most: int | None = None) -> Rollout:
    """Return the first decisions of a rollout, `DECISIONS` or `most`: its first texts, or else its first steps."""
    decisions = min(most or DECISIONS, DECISIONS)
    if rollout.mask.numel() <= decisions:
        return rollout
    if isinstance(rollout.observations, TokenBlock):
        return _part(rollout, (slice(None), _columns(rollout, decisions)))
    return _part(rollout, (slice(max(1, decisions // rollout.mask.shape[1])), slice(None)))


def _text_lengths(seen: Tree, mask: Tensor) -> Tensor:
    """Return the number of tokens of each text at its last decision, [B]; zeros if observations are not texts."""
    return (seen.lengths * mask).amax(0) if isinstance(seen, TokenBlock) else mask.new_zeros(mask.shape[1]).long()


def _columns(rollout: Rollout, decisions: int, *, beside: int = 0) -> slice:
    """Return consecutive columns around `beside` with at most `decisions` decisions, but at least one column."""
    steps, texts = rollout.mask.shape
    few = min(texts, max(1, decisions // steps))
    first = max(0, min(beside - few // 2, texts - few))
    return slice(first, first + few)


def _part(rollout: Rollout, at: tuple[slice, slice]) -> Rollout:
    """Return the steps and environments `at` of a rollout; texts are kept whole."""
    seen: Tree = rollout.observations
    if isinstance(seen, TokenBlock):
        mask = None if seen.mask is None else seen.mask[at]
        seen = TokenBlock(seen.tokens[at[1]], seen.lengths[at], mask)
    else:
        seen = tree_map(lambda leaf: leaf[at], seen)
    return replace(map_steps(lambda leaf: leaf[at], replace(rollout, observations={})), observations=seen)


def _compared(
    policy: Policy, part: Rollout, what: str, decode: Callable[[Sequence[int]], str] | None, first: int = 0
) -> Mismatch:
    """Return recorded and learned log-probabilities; AuditError if they differ by more than rounding."""
    mismatch = Mismatch(policy, part)
    if not mismatch.agree(mismatch.learned):
        raise AuditError(_message(mismatch, what, decode, first))
    return mismatch


def _message(mismatch: Mismatch, what: str, decode: Callable[[Sequence[int]], str] | None, first: int) -> str:
    t, b = mismatch.worst
    largest = float(mismatch.difference.max())
    rollout, wrong = mismatch.rollout, mismatch.wrong
    where = f"most at step {t} of environment {first + b}, action {_shown(rollout.actions[t, b], decode)}"
    if isinstance(rollout.observations, TokenBlock):
        block = rollout.observations
        where += f" after the prompt {_shown(block.tokens[b, : int(block.lengths[0, b])], decode)}"
    recorded, learned = float(rollout.log_probs[t, b]), float(mismatch.learned[t, b])
    found = "; ".join(likely_causes(mismatch)) or UNKNOWN
    average, rounding = float(mismatch.difference[rollout.mask].mean()), mismatch.rounding
    return (
        f"audit: the policy that acted is not the policy that learns: log-probabilities of {what} differ by "
        f"up to {largest:.3g}, {average:.2g} on average (rounding: {rounding.most:g}, {rounding.mean:g}), in "
        f"{int(wrong.sum())} of {int(rollout.mask.sum())} decisions, {where}: recorded {recorded:.4f}, learned "
        f"{learned:.4f}. Likely cause: {found}"
    )


def _shown(tokens: Tensor, decode: Callable[[Sequence[int]], str] | None) -> str:
    if decode is None or tokens.is_floating_point():
        return str(tokens.tolist())
    return repr(decode([int(token) for token in tokens.flatten()]))
