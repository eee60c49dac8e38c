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
# # 6. Generalised advantage estimation
#
# The TD residual trusts the critic after one step, the return minus $V$ never does. Between them lies a mixture with
# one number, $\lambda$, and one backward loop computes it.
#
# ## The derivation
#
# All estimates so far have the form
#
# $$\nabla J = \mathbb{E}\Big[ \sum_t \Psi_t\, \nabla \ln \pi_\theta(A_t|S_t) \Big], \tag{6.1}$$
#
# equation 1 of Schulman et al. (2016): $\Psi$ may be the return, the reward-to-go, either of them less a baseline, $Q$,
# the advantage, or the residual $\delta$. (The factor $\gamma^t$ of chapter 4 belongs to all but the first.) Trust the
# critic after $n$ steps: the values in between cancel in a sum of residuals,
#
# $$\hat A_t^{(n)} = R_{t+1} + \dots + \gamma^{n-1} R_{t+n} + \gamma^n V(S_{t+n}) - V(S_t)
# = \sum_{k=0}^{n-1} \gamma^k \delta_{t+k}. \tag{6.2}$$
#
# Weigh these by $(1 - \lambda) \lambda^{n-1}$, which sum to 1. The residual $\delta_{t+k}$ is in all with $n > k$,
# whose weights sum to $\lambda^k$. So the mixture is
#
# $$\hat A_t = (1 - \lambda) \sum_{n \ge 1} \lambda^{n-1} \hat A_t^{(n)}
# = \sum_{k \ge 0} (\gamma \lambda)^k\, \delta_{t+k}, \tag{6.3}$$
#
# equation 16 there. Take out the first term and what is left is $\gamma \lambda$ times the next step's mixture:
#
# $$\hat A_t = \delta_t + \gamma \lambda\, \hat A_{t+1}, \tag{6.4}$$
#
# with nothing carried over an episode's end. $\lambda = 0$ is $\delta_t$. With $\lambda = 1$ all values but $V(S_t)$
# cancel: the return minus a baseline, unbiased for any critic. In between, an error of the critic that lies $k$ steps
# ahead is shrunk by $(\gamma \lambda)^k$, and so is the noise of the rewards there. With $V = V_\pi$ no $\lambda$ has a
# bias.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

from pg_agents.functional.returns import gae
from pg_agents.gradients import Instrument, from_psi, problem_of
from pg_agents.gradients.psi import gae_of
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## Bias against variance
#
# The chain cut at six steps, all episodes enumerated. The critic is what was learned from 64 earlier episodes: the mean
# reward-to-go of each state at each time. The error of an estimate from $n$ episodes is the root of bias² + variance.


# %% tags=["check"]
def chain(horizon, discount):
    """Return an instrument for the chain cut at `horizon` steps, at a policy that is neither uniform nor certain."""
    problem = problem_of(gym.make("pg/Chain-v0"), horizon=horizon, discount=discount)
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(0))
    return Instrument(problem, policy)


def check(estimate):
    """Say whether the advantages have the mean and the variance of GAE, with a right critic and with a wrong one."""
    instrument = chain(horizon=5, discount=0.9)
    for critic in ("exact", "wrong"):
        for lambda_ in (0.0, 0.7, 1.0):

            def psi(setting, rollout, critic=critic, lambda_=lambda_):
                values = setting.solution.values * (1 if critic == "exact" else 0.4)
                here = values[rollout.observations]
                after = torch.cat([here[1:], torch.zeros_like(here[:1])])  # 0 after the last step
                return 0.9 ** rollout.times.double() * estimate(rollout.rewards, here, after, 0.9, lambda_)

            def wanted(setting, rollout, critic=critic, lambda_=lambda_):
                return gae_of(setting, rollout, setting.solution.values * (1 if critic == "exact" else 0.4), lambda_)

            yours, theirs = (instrument.measure(from_psi("Ψ", one)) for one in (psi, wanted))
            off = float((yours.expected - theirs.expected).norm() / yours.exact.norm())
            case = f"λ = {lambda_}, {critic} V"
            if off > 1e-8:
                return f"Not yet: with {case} the mean is off by {off:.0%} of ‖∇J‖ from what (6.3) gives."
            if abs(yours.variance / theirs.variance - 1) > 1e-6:
                ratio = yours.variance / theirs.variance
                return f"Not yet: with {case} the mean is right, but the variance is {ratio:.2f} times that of (6.3)."
    return "Right: for every λ and both critics the mean and the variance are those of (6.3)."


# %%
instrument = chain(horizon=6, discount=0.95)
lambdas = np.linspace(0, 1, 21)
found = [
    instrument.measure(from_psi("GAE", lambda s, r, lam=lambda_: gae_of(s, r, s.learned, lam))) for lambda_ in lambdas
]
length = float(instrument.exact.norm())
bias = np.array([one.bias for one in found]) / length
variance = np.array([one.variance for one in found]) / length**2  # of a batch of four episodes
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(lambdas, bias, label="bias")
left.plot(lambdas, variance**0.5, label="spread of four episodes")
left.set(xlabel="λ", ylabel="in units of ‖∇J‖", title="GAE(λ) with a learned critic", ylim=(0, None))
left.legend(fontsize=8)
for n in (16, 256, 4096):
    error = (bias**2 + variance * 4 / n) ** 0.5
    right.semilogy(lambdas, error, label=f"n = {n}")
    right.plot(lambdas[error.argmin()], error.min(), "ko", ms=4)
right.plot([], "ko", ms=4, label="smallest")
right.set(xlabel="λ", ylabel="error / ‖∇J‖", title="Error of the mean of n episodes")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# With few episodes the noise decides, and a small $\lambda$ is best; with many the bias is what is left, and the best
# $\lambda$ moves to 1. Values of 0.9 to 0.98, which agents use by default, stand for long episodes and critics that are
# still learning.
#
# The loop (6.4) is `pg_agents.functional.returns.gae`. It must agree with the double sum (6.2–6.3):

# %%
generator = torch.Generator().manual_seed(0)
rewards, values = torch.randn(2, 6, 1, dtype=torch.float64, generator=generator)
after = torch.cat([values[1:], torch.zeros(1, 1, dtype=torch.float64)])
no = torch.zeros(6, 1, dtype=torch.bool)
ends = no.clone()
ends[-1] = True
deltas = rewards + 0.9 * after - values
plain = torch.stack([sum((0.9 * 0.8) ** (k - t) * deltas[k] for k in range(t, 6)) for t in range(6)])
print("largest difference:", float((gae(rewards, values, after, ends, no, 0.9, 0.8) - plain).abs().max()))

# %% [markdown]
# ## Exercise
#
# Write `estimate(rewards, values, next_values, discount, lambda_)` for one episode a column, `[T, B]`, with
# `next_values` 0 after the last step: the advantages (6.4). `check` measures mean and variance with an exact and with a
# wrong critic. With the exact one every mixture has the right mean, so a slip shows only in the variance.


# %% tags=["attempt"]
def attempt(rewards, values, next_values, discount, lambda_):
    """Sum the discounted residuals."""
    advantages = rewards + discount * next_values - values
    for t in reversed(range(len(rewards) - 1)):
        advantages[t] += discount * advantages[t + 1]
    return advantages


print(check(attempt))

# %% [markdown]
# ## Solution
#
# The attempt carries $\gamma$ in the place of $\gamma \lambda$, which is $\lambda = 1$ whatever was asked for.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(rewards, values, next_values, discount, lambda_):
    """Return δ_t + γλ Â_{t+1}."""
    advantages = rewards + discount * next_values - values
    for t in reversed(range(len(rewards) - 1)):
        advantages[t] += discount * lambda_ * advantages[t + 1]
    return advantages


print(check(solution))
