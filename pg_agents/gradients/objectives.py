"""Estimators of the gradient of J − β KL(π‖π_ref), the KL of whole episodes, by agents with a reference."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from pg_agents.agents import A2C, GRPO, PPO, RLOO, Reinforce, ReinforceBaseline
from pg_agents.agents.base import Agent
from pg_agents.agents.published import PUBLISHED
from pg_agents.data.rollout import Batch
from pg_agents.functional.losses import kl_term, policy_gradient
from pg_agents.gradients.estimators import Estimator, Learner, Setting, always, learner_of, never, of_steps
from pg_agents.gradients.psi import exact_if_one_step, exact_without_discount

LENGTH = 10  # the divisor in Dr. GRPO's loss, a mere scale


def beside(setting: Setting, agent: type[Agent], **arguments: Any) -> Agent:  # noqa: ANN401
    """Return an agent of the setting's policy, with its problem's reference and β."""
    problem = setting.problem
    given: dict[str, Any] = {
        "discount": problem.discount,
        "reference": setting.reference(),
        "kl_weight": problem.kl_weight,
    }
    return agent(policy=setting.policy(), **given | arguments)


def _reinforce(setting: Setting, **arguments: Any) -> Learner:  # noqa: ANN401
    return learner_of(beside(setting, Reinforce, signal="discounted-reward-to-go", **arguments))


def _baselined(setting: Setting) -> Learner:
    critic = setting.critic(setting.learned)
    return learner_of(beside(setting, ReinforceBaseline, critic=critic, signal="discounted-reward-to-go"))


def _compared(setting: Setting, agent: type[Agent], **arguments: Any) -> Learner:  # noqa: ANN401
    return learner_of(beside(setting, agent, **arguments))


def _of_values(setting: Setting, agent: type[Agent], values: Tensor, gae_lambda: float) -> Learner:
    arguments = {"critic": setting.critic(values), "gae_lambda": gae_lambda, "normalize_advantages": False}
    return of_steps(beside(setting, agent, **arguments))


def _ppo(setting: Setting, values: Tensor) -> Learner:
    return _of_values(setting, PPO, values, PUBLISHED["RLHF's PPO"].arguments["gae_lambda"])


def _published(name: str) -> Estimator:
    """Return the first step of a published objective with the problem's β."""
    one = PUBLISHED[name]
    own = {key: value for key, value in one.arguments.items() if key not in ("kl_weight", "discount")}
    own |= {"max_episode_steps": LENGTH} if own.get("aggregation") == "constant-length" else {}
    return Estimator(name, lambda setting: _compared(setting, one.agent, **own), never, separable=False)


class InTheLoss(nn.Module):
    """Σ weights · [−Ψ_t ln π(A_t|S_t) + β x_t], or with ½ (Σ_t x_t)² of each episode: terms that no agent here has.

    Args:
        setting: a setting with a reference.
        form: "k1" or "sequence k2".
    """

    def __init__(self, setting: Setting, form: Literal["k1", "sequence k2"]) -> None:
        super().__init__()
        self.policy, self.form, self.weight = setting.policy(), form, setting.problem.kl_weight

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and no metrics."""
        assert batch.reference_log_probs is not None
        log_probs = self.policy(batch.observations).log_prob(batch.actions)
        loss = batch.sum(policy_gradient(log_probs, batch.advantages))
        if self.form == "k1":
            return loss + self.weight * batch.sum(kl_term(log_probs, batch.reference_log_probs, "k1")), {}
        whole = ((batch.weights > 0) * (log_probs - batch.reference_log_probs)).sum(0)
        return loss + self.weight * torch.dot(batch.weights[0], 0.5 * whole.square()), {}


def _in_the_loss(setting: Setting, form: Literal["k1", "sequence k2"]) -> Learner:
    agent = beside(setting, Reinforce, signal="discounted-reward-to-go", kl_penalty="k2-loss")
    return Learner(lambda rollout: agent.prepared(rollout)[0], InTheLoss(setting, form))


OBJECTIVES = (
    Estimator("k1 in the reward", _reinforce, always),
    Estimator("k1 in the reward, − learned V", _baselined, always),
    Estimator("k1 in the reward, − the others", lambda s: _compared(s, RLOO), always, separable=False),
    Estimator("k1 in the reward, A2C (λ = 1)", lambda s: _of_values(s, A2C, s.learned, 1.0), exact_without_discount),
    Estimator("k1 in the reward, PPO, exact V", lambda s: _ppo(s, s.solution.values), exact_without_discount),
    Estimator("k1 in the reward, PPO, learned V", lambda s: _ppo(s, s.learned), exact_if_one_step),
    Estimator("sequence k2 in the loss", lambda s: _in_the_loss(s, "sequence k2"), exact_without_discount),
    Estimator("k1 in the loss", lambda s: _in_the_loss(s, "k1"), never),
    Estimator("k2 in the loss", lambda s: _reinforce(s, kl_penalty="k2-loss"), exact_if_one_step),
    Estimator("k3 in the loss", lambda s: _reinforce(s, kl_penalty="k3-loss"), never),
    Estimator(
        "RLOO, k2 in the loss",
        lambda s: _compared(s, RLOO, kl_penalty="k2-loss"),
        exact_if_one_step,
        separable=False,
    ),
    Estimator("GRPO, k1 in the reward", lambda s: _compared(s, GRPO), never, separable=False),
    *map(_published, (name for name in PUBLISHED if name not in ("RLOO", "RLHF's PPO"))),
)  # fmt: skip
