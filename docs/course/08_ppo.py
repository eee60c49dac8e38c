# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---


# %% [markdown]
# # 8. PPO: use the data again, but not too often
#
# A rollout is costly, a gradient step is cheap. So take many steps on the same rollout. After the first of them the
# data come from a policy that no longer is the one that learns; PPO corrects for that, and stops where the correction
# would carry the policy too far.
#
# ## The derivation
#
# Let $\pi_{\text{old}}$ be the policy that collected the rollout. The sum over actions in the surrogate (7.2) becomes
# an expectation over its actions once each is weighed by the *ratio* of the two probabilities:
#
# $$L(\theta) = \mathbb{E}_{\text{old}}\left[ \rho_t(\theta)\, \hat A_t \right], \qquad
# \rho_t(\theta) = \frac{\pi_\theta(A_t|S_t)}{\pi_{\text{old}}(A_t|S_t)}. \tag{8.1}$$
#
# This is equation 6 of Schulman et al. (2017). At $\theta = \theta_{\text{old}}$ all ratios are 1, and since
# $\nabla \rho = \rho\, \nabla \ln \pi$ its gradient is the policy gradient. Further away nothing holds it back. If one
# action was lucky, every step raises its ratio, and the more it is raised the more it counts.
#
# TRPO bounds the step. PPO changes the objective, so that it pays nothing to move a ratio beyond $1 \pm \varepsilon$,
# equation 7 there:
#
# $$L^{\text{clip}}(\theta) = \mathbb{E}_{\text{old}}\left[ \min\left( \rho_t \hat A_t,\;
# \operatorname{clip}(\rho_t, 1 - \varepsilon, 1 + \varepsilon)\, \hat A_t \right) \right]. \tag{8.2}$$
#
# Read it by the sign of the advantage. If the action was good, the ratio should rise; above $1 + \varepsilon$ the
# clipped term is the smaller one, and it is constant: no gradient. Below $1 - \varepsilon$, where another sample's step
# has pushed it, the unclipped term is the smaller one, and pulls it back. So
#
# $$\nabla L^{\text{clip}} = \mathbb{E}_{\text{old}}\left[ m_t\, \rho_t \hat A_t \nabla \ln \pi_\theta \right], \qquad
# m_t = 0 \text{ if } \hat A_t > 0,\, \rho_t > 1 + \varepsilon
# \text{ or } \hat A_t < 0,\, \rho_t < 1 - \varepsilon, \text{ else } 1. \tag{8.3}$$
#
# The minimum matters: with the clipped term alone, a ratio that has gone the wrong way would get no gradient to return.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from pg_envs import known_returns
from torch import nn

import pg_agents as pg
from pg_agents.data.rollout import Batch
from pg_agents.functional.losses import clipped_surrogate, mean_over_episodes
from pg_agents.gradients import Estimator, Instrument, problem_of
from pg_agents.gradients.estimators import Learner, always
from pg_agents.gradients.psi import of_actions
from pg_agents.policies import TabularPolicy
from pg_agents.training.tuned import tuned_settings

torch.set_num_threads(1)

# %% [markdown]
# ## The shape of the objective
#
# For one action, as a function of its ratio: `clipped_surrogate` returns a loss, minus (8.2).

# %%
ratios = torch.linspace(0.4, 1.8, 141)
figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for axes, advantage in zip(panels, (1.0, -1.0), strict=True):
    advantages = torch.full_like(ratios, advantage)
    axes.plot(ratios, ratios * advantages, "k:", label="ρ Â, not clipped")
    axes.plot(ratios, -clipped_surrogate(ratios.log(), advantages, 0.2), label="(8.2), ε = 0.2")
    axes.axvspan(0.8, 1.2, color="0.93", zorder=0, label="1 ± ε")
    axes.set(xlabel="ratio ρ", ylabel="objective", title=f"advantage {advantage:+.0f}")
    axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Twenty passes over each rollout
#
# Eight learners on the grid of chapter 5, with a learning rate of 0.05 and twenty passes over every rollout, with and
# without clipping ($\varepsilon = 10^6$ clips nothing), and with a single pass.

# %%
LEARNERS, STEPS = 8, 6000


def learn(**options):
    """Return steps, and the learners' mean return over their newest episodes."""
    env = gym.make_vec("pg/GridWorld-v0", LEARNERS * 4)
    agent = pg.PPO.for_env(env, num_learners=LEARNERS, num_steps=64, learning_rate=0.05, **options)
    rows = []

    def probe(run):
        means = [one.mean_return_last_100 for one in run.summary.learners]
        rows.append((run.steps / LEARNERS, np.nan if None in means else np.mean(means)))

    pg.train(agent, env, total_steps=LEARNERS * STEPS, log_every=LEARNERS * 250, probes=[probe], progress=False)
    return np.array(rows).T


settings = {
    "20 passes, ε = 0.2": {"epochs": 20, "clip": 0.2},
    "20 passes, not clipped": {"epochs": 20, "clip": 1e6},
    "1 pass": {"epochs": 1},
}
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, options in settings.items():
    steps, returns = learn(**options)
    axes.plot(steps, returns, label=name)
    print(f"{name}: {returns[-1]:.2f}")
axes.axhline(known_returns(gym.make("pg/GridWorld-v0")).optimal, color="k", ls="--", label="the best policy")
axes.set(xlabel="steps", ylabel="return of the newest episodes", title="Grid, means of 8 learners")
axes.legend(fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# With clipping, twenty passes learn from far fewer steps than one. Without it they ruin the policy: it becomes certain
# of whatever the first rollouts happened to praise.
#
# The same agent with a small network solves CartPole, with the settings that come with the package:

# %%
tuned = tuned_settings("ppo", "CartPole-v1")
env = gym.make_vec("pg/CartPole-v1", tuned.num_envs)
agent = pg.PPO.for_env(env, **tuned.arguments)
summary = pg.train(agent, env, total_steps=tuned.total_steps, stop_return=475, progress=False)
print(f"{summary.mean_return_last_100:.0f} (the most is 500) after {summary.total_steps:,} steps")


# %% [markdown]
# ## Exercise
#
# Write `surrogate(ratio, advantages, clip)`, whose mean (8.2) is maximised. `check` measures the gradient at
# $\theta = \theta_{\text{old}}$ against `exact_gradient`'s, and looks at the slope in each of the regions of (8.3).


# %% tags=["check"]
class Clipped(nn.Module):
    """The loss of a surrogate, for an `Estimator`."""

    def __init__(self, policy, surrogate):
        """Keep both."""
        super().__init__()
        self.policy, self.surrogate = policy, surrogate

    def forward(self, batch):
        """Return the loss and no metrics."""
        ratio = (self.policy(batch.observations).log_prob(batch.actions) - batch.log_probs).exp()
        return -(batch.weights * self.surrogate(ratio, batch.advantages, 0.2)).sum(), {}


def check(surrogate):
    """Say whether the gradient is right at ratio 1, and whether it is cut off where (8.3) says."""

    def make(setting):
        def prepare(rollout):
            advantages = of_actions(setting, rollout, setting.solution.advantages)
            weights = mean_over_episodes(rollout.mask, dtype=torch.float64)
            return Batch.of(rollout, advantages=advantages, weights=weights)

        return Learner(prepare, Clipped(setting.policy(), surrogate))

    problem = problem_of(gym.make("pg/Chain-v0"), horizon=4, discount=1.0)
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(0))
    found = Instrument(problem, policy).measure(Estimator("yours", make, always))
    if found.bias > 1e-8 * float(found.exact.norm()):
        off = found.bias / float(found.exact.norm())
        return f"Not yet: at ratio 1 the mean gradient is off by {off:.0%} of ‖∇J‖ (cosine {found.cosine:.3f})."
    for advantage, slopes in ((1.0, (1, 1, 0)), (-1.0, (0, -1, -1))):
        for ratio, wanted in zip((0.5, 1.1, 1.5), slopes, strict=True):
            at = torch.tensor(ratio, requires_grad=True)
            value = surrogate(at, torch.tensor(advantage), 0.2)
            slope = torch.autograd.grad(value, at)[0].item() if value.requires_grad else 0.0
            if abs(slope - wanted) > 1e-6:
                where = f"the ratio is {ratio} and the advantage {advantage:+.0f}"
                return f"Not yet: right at ratio 1, but where {where} the slope is {slope:.0f}, wanted {wanted}."
    return "Right: the policy gradient at ratio 1, and no gradient just where (8.3) says."


# %% tags=["attempt"]
def attempt(ratio, advantages, clip):
    """Clip the ratio."""
    return ratio.clamp(1 - clip, 1 + clip) * advantages


print(check(attempt))

# %% [markdown]
# ## Solution
#
# The attempt gives a ratio that has gone the wrong way no gradient to come back. The minimum of both terms does.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(ratio, advantages, clip):
    """Return min(ρ Â, clip(ρ) Â)."""
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


print(check(solution))
