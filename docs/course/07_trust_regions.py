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
# # 7. Trust regions
#
# The gradient says in which direction to go, for an infinitely small step. How far it holds, and whether "direction"
# should be measured in parameters at all, are the questions of this chapter.
#
# ## The derivation
#
# **The difference of two policies.** Let $A_\pi = Q_\pi - V_\pi$ be the old policy's advantages, and let the new policy
# $\pi'$ act. Put (3.2) in for $Q_\pi$, and average over the new policy's stationary distribution $\mu'$; the values
# cancel as in (3.4), and what is left is
#
# $$\lambda' - \lambda = \sum_s \mu'(s) \sum_a \pi'(a|s)\, A_\pi(s, a). \tag{7.1}$$
#
# It is exact (for discounted returns, equation 1 of Schulman et al. 2015, after Kakade and Langford). But $\mu'$ is
# known only after trying. The *surrogate* takes the old $\mu$,
#
# $$L(\pi') = \lambda + \sum_s \mu(s) \sum_a \pi'(a|s)\, A_\pi(s, a), \tag{7.2}$$
#
# which has the same value and, by (3.5), the same gradient at $\pi' = \pi$. It errs by as much as $\mu'$ differs from
# $\mu$, so it holds while the two policies are close.
#
# **Close in what sense?** Not in $\theta$: a softmax hardly changes when a large parameter does. Measure the policies
# themselves, by the mean KL divergence. For a small step $x$ it is a quadratic form in the *Fisher matrix*,
#
# $$\mathrm{KL} \approx \tfrac{1}{2} x^\top F x, \qquad
# F = \sum_s \mu(s) \sum_a \pi(a|s)\, \nabla \ln \pi(a|s)\, \nabla \ln \pi(a|s)^\top. \tag{7.3}$$
#
# **The step.** Maximise $g^\top x$ with $\tfrac{1}{2} x^\top F x \le \delta$. With a multiplier $\eta$, $g = \eta F x$,
# so $x$ is along $F^{-1} g$, the *natural gradient*, and the constraint gives its length:
#
# $$x = \sqrt{\frac{2 \delta}{g^\top F^{-1} g}}\; F^{-1} g,
# \qquad g^\top x = \sqrt{2 \delta\; g^\top F^{-1} g}. \tag{7.4}$$
#
# This is the step of `NaturalPolicyGradient`. TRPO shortens it until the surrogate really has risen and the divergence
# is within $\delta$. Neither builds $F$: conjugate gradients need only products $F v$.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

import pg_agents as pg
from pg_agents.gradients import exact_gradient, optimum, problem_of
from pg_agents.gradients.exact import jacobian, log_table, solve
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## Two states, two numbers
#
# In the process of two states, a policy is two numbers: how likely it is to leave each state. The best one leaves state
# 0 and stays in state 1. We begin with a policy that is nearly certain of the opposite.


# %% tags=["check"]
def policy_of(scores):
    """Return a policy with logits [S, A]."""
    policy = TabularPolicy(*np.shape(scores)).double()
    policy.logits.data += torch.as_tensor(np.asarray(scores), dtype=torch.float64)
    return policy


def solved(problem, policy):
    """Return gain, advantages and μ."""
    with torch.no_grad():
        return solve(problem, log_table(policy, problem))


def fisher(problem, policy):
    """Return F of (7.3), [P, P]."""
    scores, chances = jacobian(problem, policy), policy.probabilities()[0]
    weights = (solved(problem, policy).start[:, None] * chances).flatten()
    return scores.T @ (weights[:, None] * scores)


def check(step, delta=0.01):
    """Say whether a step stays within the region ½ xᵀFx ≤ δ, and gains what (7.4) says is the most there."""
    for seed in range(3):
        problem = problem_of(gym.make("pg/Garnet-v0", num_states=5, num_actions=3))
        logits = 2 * torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        policy = policy_of(logits)
        gradient, matrix = exact_gradient(problem, policy), fisher(problem, policy)
        x = torch.as_tensor(step(gradient.numpy(), matrix.numpy(), delta))
        divergence, gain = float(x @ matrix @ x) / 2, float(gradient @ x)
        most = float(2 * delta * gradient @ torch.linalg.pinv(matrix, hermitian=True) @ gradient) ** 0.5
        if divergence > delta * 1.000001:
            return f"Not yet: ½ xᵀFx is {divergence:.3g}, more than δ = {delta}."
        if gain < 0.9999 * most:
            return f"Not yet: within the region, but gᵀx is {gain:.4f}, and the most is {most:.4f}."
    return "Right: at most δ away, and gᵀx is the most that the region allows, in three problems."


# %%
problem = problem_of(gym.make("pg/TwoStateMDP-v0"))
start = [[0.0, -3.0], [0.0, 3.0]]  # logits of stay and switch, in each state


def scores_of(policy):
    """Return the logit of switching less that of staying, in both states."""
    return (policy.logits[0, :, 1] - policy.logits[0, :, 0]).detach().numpy()


def plain(gradient, matrix):
    """Return a step along the gradient, with a constant factor."""
    return 2 * gradient


def natural(gradient, matrix, delta=0.02):
    """Return the step (7.4)."""
    direction = torch.linalg.pinv(matrix, hermitian=True) @ gradient
    return (2 * delta / (gradient @ direction)) ** 0.5 * direction


def ascend(step, most=60):
    """Return where the steps lead, and the gain there, until nearly the best policy is found."""
    policy, places, gains = policy_of(start), [], []
    while len(gains) < most and (not gains or gains[-1] < optimum(problem) - 0.005):
        places.append(scores_of(policy))
        gains.append(float(solved(problem, policy).objective))
        x = step(exact_gradient(problem, policy), fisher(problem, policy))
        policy.logits.data += x.view_as(policy.logits)
    return np.array(places), gains


paths = {"plain gradient": ascend(plain), "natural gradient": ascend(natural)}
grid = np.linspace(-6, 6, 25)
heights = [[float(solved(problem, policy_of([[0, x], [0, y]])).objective) for x in grid] for y in grid]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
lines = left.contour(grid, grid, heights, levels=12, colors="0.7", linewidths=0.8)
left.clabel(lines, fontsize=7)
for name, (places, gains) in paths.items():
    inside = np.abs(places).max(1) <= 6
    left.plot(*places[inside].T, "o-", ms=2.5, label=name)
    right.plot(gains, label=name)
left.set(xlabel="score of leaving state 0", ylabel="score of leaving state 1", title="The gain, and two ways up")
right.axhline(optimum(problem), color="k", ls="--", label="the best policy")
right.set(xlabel="steps", ylabel="gain", title="Gain along the way")
for axes in (left, right):
    axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# The plain gradient is short where the policy is nearly certain, as each probability's derivative is $\pi (1 - \pi)$.
# The natural step has the same length everywhere, measured in policies, and leaves at once.
#
# ## How far the surrogate holds
#
# From the uniform policy of a random process, along its natural direction: $\lambda$ itself, the surrogate (7.2), and
# the divergence.

# %%
problem = problem_of(gym.make("pg/Garnet-v0"))
middle = policy_of(np.zeros((30, 4)))
old, chances = solved(problem, middle), middle.probabilities()[0]
direction = torch.linalg.pinv(fisher(problem, middle), hermitian=True) @ exact_gradient(problem, middle)
lengths, curves = np.linspace(0, 6, 40), {"gain λ": [], "surrogate L": []}
divergences = []
for length in lengths:
    moved = policy_of(middle.logits[0].detach() + length * direction.view(30, 4))
    new = moved.probabilities()[0]
    curves["gain λ"].append(float(solved(problem, moved).objective))
    curves["surrogate L"].append(float(old.objective + (old.start[:, None] * new * old.advantages).sum()))
    divergences.append(float((old.start[:, None] * chances * (chances / new).log()).sum()))
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, values in curves.items():
    axes.plot(lengths, values, label=name)
for delta in (0.01, 0.1, 0.5):
    where = lengths[np.searchsorted(divergences, delta)]
    axes.axvline(where, color="0.7", lw=0.8)
    axes.text(where + 0.05, 0.8, f"KL {delta}", fontsize=8, color="0.4", rotation=90)
axes.set(xlabel="length of the step along F⁻¹g", ylabel="reward per step", title="The surrogate and the truth")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# They touch at the start and part later. A trust region is a promise to look at $L$ only where it is still worth
# something.
#
# TRPO with a small network, on CartPole for 12,000 steps:

# %%
env = gym.make_vec("pg/CartPole-v1", 16)
agent = pg.TRPO.for_env(env, num_steps=64)
rows = []
probes = [lambda run: rows.append((run.steps, run.summary.mean_return_last_100))]
pg.train(agent, env, total_steps=12_000, log_every=1000, probes=probes, progress=False)
print("return of the newest 100 episodes:", ", ".join(f"{value:.0f}" for _, value in rows))

# %% [markdown]
# ## Exercise
#
# Write `step(gradient, fisher, delta)`: the $x$ of (7.4). $F$ is singular here (raising all logits of a state changes
# nothing), so use a pseudo-inverse. The attempt follows the plain gradient as far as the region allows.


# %% tags=["attempt"]
def attempt(gradient, fisher, delta):
    """Scale the gradient until ½ xᵀFx = δ."""
    return gradient * (2 * delta / (gradient @ fisher @ gradient)) ** 0.5


print(check(attempt))

# %% [markdown]
# ## Solution
#
# For a table of softmax logits $F^{-1} g$ is, up to a constant in each state, the advantage $A_\pi(s, a)$: the natural
# gradient adds to each logit what its action is better than the others.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(gradient, fisher, delta):
    """Return √(2δ / gᵀF⁻¹g) F⁻¹g."""
    direction = np.linalg.pinv(fisher, hermitian=True) @ gradient
    return direction * (2 * delta / (gradient @ direction)) ** 0.5


print(check(solution))
