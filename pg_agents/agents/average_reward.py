"""The actor-critic for tasks that never end: its objective is the average reward per step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout, StepCadence
from pg_agents.data.tree import tree_map
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error, with_entropy
from pg_agents.policies import ActionCritic, Policy
from pg_agents.schedules import Scheduled


class AverageReward(Agent):
    """Average-reward actor-critic: learn in a task that never ends, from every step of it.

        θ ← θ + α [Q_ψ(S_t,A_t) − Σ_a π_θ(a|S_t) Q_ψ(S_t,a)] ∇ ln π_θ(A_t|S_t)     (24)
        d = R_{t+1} − λ + Q_ψ(S_{t+1},A_{t+1}) − Q_ψ(S_t,A_t)                        (25)
        ψ ← ψ + β d ∇ Q_ψ(S_t,A_t),   λ ← λ + β_λ d                                  (26, 27)

    averaged over the environments; all right-hand sides are of the parameters before the update. A_{t+1} is the action
    that was taken next, so the update for step t is made when step t + 1 has been recorded; `last` is what is kept in
    between. λ estimates the gain: with a constant β_λ it stays near it, and its mean over time is closer.

    Where an episode was truncated no action was taken in what followed: that step is left out, and nothing passes from
    one side of a reset to the other. A termination is an error, as the average reward is one of endless tasks.

    Args:
        policy: π_θ, over Discrete actions.
        critic: Q_ψ.
        learning_rate: α of the policy; may be scheduled.
        critic_learning_rate: β of the critic; None: the policy's; may be scheduled.
        gain_learning_rate: β_λ of the estimated gain; None: the critic's.
        initial_gain: λ_0. One above all rewards makes what was tried look poor beside what was not: it explores.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        optimizer: "adam", "rmsprop" or "sgd"; equations 24 and 26 are "sgd". λ follows equation 27 with each.
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range; when it learns, for an episode that terminated.

    Reference: Konda & Tsitsiklis (2000); Van Roy's lecture note, section 2.4.
    """

    name = "average-reward"
    action_values: ClassVar[bool] = True
    continuing: ClassVar[bool] = True
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {
            "learning_rate": 0.01,
            "critic_learning_rate": 0.05,
            "gain_learning_rate": 0.003,
            "initial_gain": 1.0,
        }
    }
    gain: Tensor

    def __init__(
        self,
        *,
        policy: Policy,
        critic: ActionCritic,
        learning_rate: Scheduled = 3e-4,
        critic_learning_rate: Scheduled | None = 1e-3,
        gain_learning_rate: float | None = None,
        initial_gain: float = 0.0,
        entropy_weight: Scheduled = 0.0,
        max_grad_norm: float | None = None,
        optimizer: OptimizerName = "adam",
        adam_epsilon: float = ADAM_EPSILON,
    ) -> None:
        super().__init__(
            policy,
            critic,
            learning_rate=learning_rate,
            critic_learning_rate=critic_learning_rate,
            discount=1.0,
            max_grad_norm=max_grad_norm,
            normalize_rewards=False,
            optimizer=optimizer,
            adam_epsilon=adam_epsilon,
        )
        self.gain_learning_rate, self.initial_gain = gain_learning_rate, initial_gain
        self.entropy_weight = entropy_weight
        self.check()
        gain = torch.full((policy.num_learners,), float(initial_gain), dtype=torch.float64)  # as rewards are
        self.register_buffer("gain", gain)
        self.last: Rollout | None = None  # the latest row, whose update waits for the next action; of the run

    @property
    def cadence(self) -> StepCadence:
        """One step of each environment."""
        return StepCadence(1)

    def learn(self, rollout: Rollout) -> Metrics:
        """Learn from the steps whose next action `rollout` brings, λ ← λ + β_λ d; keep its last row for the next time.

        Raises:
            ValueError: an episode terminated; nothing was learned from `rollout`.
            FloatingPointError: as in `update`.
        """
        if bool((rollout.terminated & rollout.mask).any()):
            raise ValueError(
                "env: an episode terminated, but average-reward learns in tasks that never do; take another agent "
                "(actor-critic), or let the environment go on from its first state instead of terminating"
            )
        joined, self.last = _joined(self.last, rollout), _rows(rollout, slice(-1, None))
        if not bool(_continued(joined).any()):
            return {}
        metrics = super().learn(joined)
        differences = metrics.pop("differences")
        rate = self.gain_learning_rate or self.current("critic_learning_rate") or self.current("learning_rate")
        self.gain += rate * differences
        return metrics | {"temporal_difference": differences.mean(), "gain": self.gain.mean()}

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute the advantages and R_{t+1} − λ + Q(S_{t+1},A_{t+1}) of all rows [T, B] but the last, [T − 1, B].

        The metric `differences` is the mean d of each learner, [L].
        """
        values = self.critic(rollout.observations, rollout.memory, rollout.episode_starts)  # [T, B, A]
        taken = values.gather(-1, rollout.actions[..., None]).squeeze(-1)  # [T, B]
        distribution = self.policy(rollout.observations, rollout.memory, rollout.episode_starts)
        advantages = taken - (_probabilities(distribution) * values).sum(-1)
        rows = _rows(rollout, slice(-1))
        weights = mean_over_steps(_continued(rollout), self.policy.num_learners, taken.dtype)
        targets = rows.rewards - self.gain + taken[1:]
        differences = (weights * (targets - taken[:-1])).sum(0)  # [B]
        mean = differences if self.policy.num_learners > 1 else differences.sum(0, keepdim=True)
        batch = Batch.of(rows, advantages=advantages[:-1], weights=weights, targets=targets)
        return batch, {"differences": mean}

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −[Q − Σ_a π Q] ln π(A_t|S_t) − η H(π(·|S_t)) + ½ d², averaged over the environments."""
        assert batch.targets is not None
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        values = self.critic(batch.observations, batch.memory, batch.episode_starts)
        taken = values.gather(-1, batch.actions[..., None]).squeeze(-1)
        terms = policy_gradient(distribution.log_prob(batch.actions), batch.advantages)
        errors, entropy = squared_error(taken, batch.targets), distribution.entropy()
        loss = batch.sum(with_entropy(terms + errors, entropy, self.current("entropy_weight")))
        return loss, batch.means(policy_loss=terms, value_loss=errors, entropy=entropy)


def _probabilities(distribution: Any) -> Tensor:  # noqa: ANN401
    if not hasattr(distribution, "probabilities"):
        raise TypeError(
            f"policy: average-reward sums over all actions and needs Discrete ones, got a policy whose distribution "
            f"({type(distribution).__name__}) has no probabilities()"
        )
    return distribution.probabilities()


def _continued(rollout: Rollout) -> Tensor:
    """Return of all rows but the last whether the next row goes on from them, bool [T − 1, B]."""
    # After an end no row but a start is valid.
    return rollout.mask[:-1] & rollout.mask[1:] & ~rollout.episode_starts[1:]


ROWS = ("actions", "log_probs", "rewards", "terminated", "truncated", "mask", "episode_starts", "times")


def _rows(rollout: Rollout, rows: slice) -> Rollout:
    """Return some rows of a rollout."""
    fields = {name: getattr(rollout, name)[rows] for name in ROWS}
    return replace(rollout, observations=tree_map(lambda leaf: leaf[rows], rollout.observations), **fields)


def _joined(first: Rollout | None, then: Rollout) -> Rollout:
    """Return two rollouts as one; the second alone where they are not of the same environments."""
    if first is None or first.mask.shape[1] != then.mask.shape[1]:
        return then
    fields = {name: torch.cat([getattr(first, name), getattr(then, name)]) for name in ROWS}
    observations = tree_map(lambda *leaves: torch.cat(leaves), first.observations, then.observations)
    return replace(then, observations=observations, memory=first.memory, **fields)
