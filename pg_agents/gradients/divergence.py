"""Estimators of the gradient of −KL(π‖π_ref), the divergence of whole episodes from a reference policy."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pg_agents.agents.signals import time_weights
from pg_agents.gradients.estimators import Estimator, Learner, Setting, always, from_psi, never
from pg_agents.gradients.psi import exact_if_one_step
from pg_agents.losses import kl_term, mean_over_episodes
from pg_agents.returns import reward_to_go
from pg_agents.rollout import Batch, Rollout

Form = Literal["k1", "k2", "k3", "sequence k2"]
FORMS: tuple[Form, ...] = ("sequence k2", "k1", "k2", "k3")


def _log_ratio(setting: Setting, rollout: Rollout) -> Tensor:
    """Return ln π − ln π_ref of the actions taken, [T, B]; 0 where none was."""
    problem = setting.problem
    assert problem.reference is not None
    states = rollout.observations % problem.mdp.num_states
    return (setting.table - problem.reference)[states, rollout.actions] * rollout.mask


class KLLoss(nn.Module):
    """β Σ weights · (an estimate of the KL divergence), differentiated as it stands: what many libraries add.

    Args:
        setting: with a reference.
        form: "k1", "k2" or "k3" of every token, or "sequence k2", ½ (Σ_t x_t)².
    """

    def __init__(self, setting: Setting, form: Form) -> None:
        super().__init__()
        self.policy, self.form, self.setting = setting.policy(), form, setting

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and no metrics."""
        problem = self.setting.problem
        assert problem.reference is not None
        reference = problem.reference[batch.observations % problem.mdp.num_states, batch.actions]
        log_probs = self.policy(batch.observations).log_prob(batch.actions)
        if self.form == "sequence k2":
            whole = ((batch.weights > 0) * (log_probs - reference)).sum(0)
            terms = batch.weights[0] * 0.5 * whole.square()
        else:
            terms = batch.weights * kl_term(log_probs, reference, self.form)
        return problem.kl_weight * terms.sum(), {}


def _in_the_loss(form: Form) -> Estimator:
    def make(setting: Setting) -> Learner:
        def prepare(rollout: Rollout) -> Batch:
            weights = mean_over_episodes(rollout.mask, dtype=torch.float64)
            return Batch.of(rollout, advantages=torch.zeros_like(weights), weights=weights)

        return Learner(prepare, KLLoss(setting, form))

    theory = {"sequence k2": always, "k2": exact_if_one_step}.get(form, never)
    return Estimator(f"{form} in the loss", make, theory)


def _kl_to_go(setting: Setting, rollout: Rollout) -> Tensor:
    penalty = -setting.problem.kl_weight * _log_ratio(setting, rollout)
    to_go = reward_to_go(penalty, rollout.terminated, rollout.truncated, setting.problem.discount)
    return time_weights(rollout, setting.problem.discount) * to_go


KL = (
    from_psi("k1 in the reward", _kl_to_go),
    *(_in_the_loss(form) for form in FORMS),
)
