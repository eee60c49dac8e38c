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
# # 9. Preferences, and staying near what one was
#
# People can say which of two answers they like better, not what an answer is worth. A reward model turns such choices
# into numbers, and a policy is trained on the numbers. It will find where the model is wrong, unless it is kept near
# the policy that the model's examples came from.
#
# ## The derivation
#
# **Preferences.** Bradley and Terry's model of a choice: answer $y$ is preferred to $y'$ with a probability that
# depends on the difference of their rewards. A reward model is fitted by minimising the mean of
#
# $$-\ln \sigma\left( r_\phi(y^+) - r_\phi(y^-) \right), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}, \tag{9.1}$$
#
# where $y^+$ was preferred. A number added to all rewards changes nothing.
#
# **The objective.** Maximise the reward, less $\beta$ times the divergence from a *reference* policy,
#
# $$J(\theta) = \mathbb{E}\left[ r(y) \right] - \beta\, \mathrm{KL}(\pi_\theta \| \pi_{\text{ref}}), \qquad
# \mathrm{KL} = \mathbb{E}\Big[ \ln \frac{\pi_\theta(y)}{\pi_{\text{ref}}(y)} \Big]. \tag{9.2}$$
#
# **Its gradient.** The expectation depends on $\theta$ twice, through the answers that are drawn and inside the
# logarithm. The second part is $\mathbb{E}[\nabla \ln \pi_\theta]$, and that is zero by (2.2). What is left is a policy
# gradient whose reward is the log-ratio:
#
# $$\nabla J = \mathbb{E}\Big[ \Big( r(y) - \beta \ln \frac{\pi_\theta(y)}{\pi_{\text{ref}}(y)} \Big)
# \nabla \ln \pi_\theta(y) \Big]. \tag{9.3}$$
#
# An answer is a sequence of tokens, $\ln \pi(y) = \sum_t \ln \pi(y_t|s_t)$, so each token pays $\beta$ times its own
# log-ratio, and by causality answers only for what follows: a penalty *in the reward*.
#
# It is tempting to add an estimate of the divergence to the *loss* instead and to differentiate it. With
# $x = \ln \pi_\theta - \ln \pi_{\text{ref}}$ of a token three estimates are in use, called k1, k2 and k3:
#
# $$x, \qquad \tfrac{1}{2} x^2, \qquad e^{-x} - 1 + x. \tag{9.4}$$
#
# The means of the first and the third are the divergence. But the gradient of a mean is not the mean of the gradients,
# since the tokens are drawn from $\pi_\theta$. The mean gradient of the first is zero; those of the others ignore that
# a token also decides what comes later.
#
# **The best policy.** With one decision, set the derivative of (9.2) to zero, with a multiplier for $\sum \pi = 1$:
#
# $$\pi^*(y) = \frac{1}{Z}\, \pi_{\text{ref}}(y)\, e^{r(y) / \beta}. \tag{9.5}$$
#
# This is equation 4 of Rafailov et al. (2023). As $\beta$ falls it leaves the reference for the answer with the largest
# $r$.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from pg_envs import TabularMDP
from torch import nn

from pg_agents.functional.losses import preference_loss
from pg_agents.gradients import Instrument, Problem, estimators_of, exact_gradient, problem_of
from pg_agents.gradients.exact import log_table, solve
from pg_agents.gradients.report import random_policy
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## Where to put the penalty
#
# Texts of up to three tokens, two small transformers with random weights, and no reward: the objective is
# $-\mathrm{KL}$ alone. All texts are enumerated, and the mean of each form's gradient is compared with the true one.

# %%
env = gym.make("pg/Copy-v0", length=1, symbols=2, max_new_tokens=3)
texts = problem_of(env)
forms = {
    "k1 in the reward": "in the reward (9.3)",
    "k1 in the loss": "k1 in the loss",
    "k2 in the loss": "k2 in the loss",
    "k3 in the loss": "k3 in the loss",
}
cosines = {label: [] for label in forms.values()}
for seed in range(6):
    policy, other = random_policy(env, texts, seed), random_policy(env, texts, 100 + seed)
    apart = texts.kl_only(log_table(other, texts).detach())
    instrument = Instrument(apart, policy)
    for estimator in estimators_of(apart):
        if estimator.name in forms:
            cosines[forms[estimator.name]].append(instrument.measure(estimator).cosine)

# %% [markdown]
# ## Too much of a good thing
#
# Answers are sentences that name a thing zero to eight times. Readers like three times best: the utility is
# $0, 2, 4, 6, 4, 2, 0, -2, -4$. The reference policy hardly ever names it more than three times. A reward model, a
# small network, is fitted by (9.1) to 400 pairs of the reference's answers.

# %%
utility = torch.tensor([0.0, 2, 4, 6, 4, 2, 0, -2, -4], dtype=torch.float64)
counts = torch.arange(9, dtype=torch.float64)
reference = torch.distributions.Binomial(8, torch.tensor(0.15, dtype=torch.float64)).log_prob(counts).exp()
generator = torch.Generator().manual_seed(0)
pairs = torch.multinomial(reference, 800, replacement=True, generator=generator).view(400, 2)
first = torch.rand(400, generator=generator) < torch.sigmoid(utility[pairs[:, 0]] - utility[pairs[:, 1]])
preferred = torch.where(first, pairs[:, 0], pairs[:, 1])
others = pairs.sum(1) - preferred

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).double()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(300):
    rewards = model(counts[:, None] / 8)[:, 0]
    loss = preference_loss(rewards[preferred], rewards[others]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
rewards = model(counts[:, None] / 8)[:, 0].detach()
rewards = rewards - (reference * rewards).sum()

betas = torch.logspace(1.5, -1.5, 60, dtype=torch.float64)
best = torch.stack([(reference.log() + rewards / beta).softmax(0) for beta in betas])
divergence = (best * (best / reference).log()).nan_to_num().sum(1)
print(f"pairs in which the thing is named four times or more: {(pairs > 3).any(1).float().mean():.0%}")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
names = list(cosines)
for place, name in enumerate(names):
    left.plot(cosines[name], [place] * len(cosines[name]), "o", alpha=0.5)
left.set(yticks=range(len(names)), yticklabels=names, xlabel="cosine with −∇KL", title="Six pairs of policies")
middle.plot(counts, utility - (reference * utility).sum(), "o-", label="true utility")
middle.plot(counts, rewards, "s-", label="reward model")
middle.bar(counts, 10 * reference, color="0.85", label="reference, times 10", zorder=0)
middle.set(xlabel="times named", ylabel="less its mean under the reference", title="What the model believes")
right.plot(divergence, best @ rewards, label="reward model")
right.plot(divergence, best @ utility - (reference * utility).sum(), label="true utility")
right.set(
    xlabel="KL from the reference, nats", ylabel="mean, less that of the reference", title="The best policies (9.5)"
)
for axes in (middle, right):
    axes.legend(fontsize=8)
plt.show()
peak = int((best @ utility).argmax())
print(f"true utility is highest at β = {betas[peak]:.2f}, {divergence[peak]:.2f} nats from the reference")

# %% [markdown]
# Left: only the penalty in the reward has the gradient of the divergence; k1 in the loss has none at all (a cosine of 0
# stands for a mean gradient of zero). Middle: the model has seldom seen more than three and goes on upwards. Right:
# along the policies that are best for each $\beta$ the model's reward rises and rises, and the true utility falls once
# the policy has gone to where the model was never corrected. With language models the curves look alike
# (`python -m benchmarks run rlhf`).
#
# ## Exercise
#
# Write `best_policy(reference, rewards, beta)`: the probabilities of the policy that maximises (9.2). `check` asks
# whether the exact gradient of $J$ is zero there. The attempt is the softmax of the rewards.


# %% tags=["check"]
def check(best_policy):
    """Say whether no direction improves E[r] − β KL at the policy that is returned."""
    generator = torch.Generator().manual_seed(3)
    for beta in (2.0, 0.5):
        reference = torch.randn(6, generator=generator, dtype=torch.float64).softmax(0)
        rewards = torch.randn(6, generator=generator, dtype=torch.float64)
        answer = torch.as_tensor(best_policy(reference.numpy(), rewards.numpy(), beta))
        if abs(float(answer.sum()) - 1) > 1e-9 or (answer <= 0).any():
            return "Not yet: these are no probabilities."
        transitions = np.zeros((2, 6, 2))
        transitions[:, :, 1] = 1
        mdp = TabularMDP(transitions, np.stack([rewards.numpy(), np.zeros(6)]), [1, 0], terminal=[1])
        table = torch.stack([reference.log(), torch.full((6,), 1 / 6, dtype=torch.float64).log()])
        problem = Problem(mdp).beside(table, beta)
        policy = TabularPolicy(2, 6).double()
        policy.logits.data[0, 0] += answer.log()
        slope = float(exact_gradient(problem, policy).norm())
        if slope > 1e-9:
            with torch.no_grad():
                value = float(solve(problem, log_table(policy, problem)).objective)
            most = beta * float(torch.logsumexp(reference.log() + rewards / beta, 0))
            return f"Not yet: with β = {beta} J is {value:.3f} and ‖∇J‖ = {slope:.2g}; the most is {most:.3f}."
    return "Right: the exact gradient of E[r] − β KL is zero at your policy."


# %% tags=["attempt"]
def attempt(reference, rewards, beta):
    """Return the softmax of r / β."""
    weights = np.exp(rewards / beta)
    return weights / weights.sum()


print(check(attempt))

# %% [markdown]
# ## Solution
#
# The attempt is right for a uniform reference, where the divergence is minus the entropy and a constant. Otherwise the
# reference is a factor, (9.5). The value there is $\beta \ln Z$.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(reference, rewards, beta):
    """Return π_ref e^{r/β} / Z."""
    weights = reference * np.exp(rewards / beta)
    return weights / weights.sum()


print(check(solution))
