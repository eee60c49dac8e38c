"""Tests whether actions were drawn from the recorded distributions.

If A_t is drawn from π_t, with entropy H_t, then X_t = ln π_t(A_t) + H_t has conditional mean zero for any policy. If
actions are drawn otherwise (colder, hotter, the best of several), the sum drifts away; its random fluctuations are
bounded by Freedman's inequality,

    P(Σ X_t ≥ s) ≤ exp(−s² / 2(V + b s/3)),   V = Σ_t Var[X_t],   X_t ≤ b.

Reference: Freedman, "On tail probabilities for martingales", Annals of Probability, 1975.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pg_agents.audit.mismatch import Mismatch

LOOKED_AT, AT_ONCE = 1024, 128  # decisions
UNLIKELY = 1e-9


@torch.no_grad()
def drawn_otherwise(mismatch: Mismatch) -> str | None:
    """Return how the actions differ from draws of the recorded distributions; None if chance explains them.

    Recorded and learned log-probabilities must agree, as the learned ones of all actions stand in for the recorded
    ones. None too if actions are not categorical.
    """
    rollout = mismatch.rollout
    count = min(LOOKED_AT, int(rollout.mask.sum()))
    taken = rollout.actions[rollout.mask]
    drift, variance, above, below = 0.0, 0.0, 0.0, 0.0
    for start in range(0, count, AT_ONCE):
        rows = slice(start, min(start + AT_ONCE, count))
        log_probs = mismatch.of_all_actions(rows)
        if log_probs is None:
            return None
        excess, weights = _excess(log_probs), log_probs.exp()
        drift += float(excess.gather(-1, taken[rows, None]).sum())
        variance += float((weights * excess.square()).sum())
        possible = torch.where(weights > 0, excess, 0.0)
        above, below = max(above, float(possible.max())), max(below, -float(possible.min()))
    bound = above if drift > 0 else below
    exponent = drift**2 / (2 * (variance + bound * abs(drift) / 3)) if drift else 0.0
    if exponent <= -math.log(UNLIKELY / 2):
        return None
    more, how = ("more", "colder, or greedy") if drift > 0 else ("less", "hotter")
    chance = f"1e-{int(exponent / math.log(10))}"
    return (
        "audit: actions are not drawn from the distribution whose log-probabilities are recorded: over "
        f"{count} decisions these add up to {abs(drift):.0f} {more} than minus the entropies (by chance with a "
        f"probability below {chance}). Likely cause: sample() is {how}, and log_prob() does not know"
    )


def _excess(log_probs: Tensor) -> Tensor:
    """Return ln π(a) + H of all actions, [n, A], from ln π, [n, A]; its mean under π is 0."""
    finite = log_probs.clamp(min=-1000.0)
    return finite - (log_probs.exp() * finite).sum(-1, keepdim=True)
