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
# # 3. The policy-gradient theorem
#
# A bandit forgets. In a decision process an action also moves the state, and with it all later rewards. So the gradient
# of the average reward has a second part: how the policy changes *where one is*. The theorem says that this part need
# not be estimated.
#
# ## The derivation
#
# The process never ends. In state $s$ the policy takes $a$ with probability $\pi_\theta(a|s)$, and after a while it is
# in state $s$ a fraction $\mu(s)$ of the time, wherever it began. The objective is the average reward, or *gain*, [VR
# 20]:
#
# $$\lambda_\theta = \sum_s \mu(s) \sum_a \pi_\theta(a|s)\, r(s, a). \tag{3.1}$$
#
# The *relative* values say how much more than the gain is collected after an action, or from a state:
#
# $$Q(s, a) = r(s, a) - \lambda + \sum_{s'} P(s'|s, a)\, V(s'),
# \qquad V(s) = \sum_a \pi_\theta(a|s)\, Q(s, a). \tag{3.2}$$
#
# The lecture note has a maximum over the next action in the place of $V(s')$. That would be the value of the best
# policy; the theorem needs the value of *this* one. Differentiate $V$, and put (3.2) in for $\nabla Q$:
#
# $$\nabla V(s) = \sum_a Q(s, a)\, \nabla \pi_\theta(a|s)
# + \sum_a \pi_\theta(a|s) \Big[ -\nabla \lambda + \sum_{s'} P(s'|s, a)\, \nabla V(s') \Big]. \tag{3.3}$$
#
# The probabilities sum to 1, so $\nabla \lambda$ comes out of the bracket. Solve for it, and average over $\mu$:
#
# $$\nabla \lambda = \sum_s \mu(s) \sum_a Q(s, a)\, \nabla \pi_\theta(a|s)
# + \sum_{s'} \mu'(s')\, \nabla V(s') - \sum_s \mu(s)\, \nabla V(s). \tag{3.4}$$
#
# Here $\mu'$ is where one is a step later. It is $\mu$ again, since $\mu$ is stationary, and the last two sums cancel:
#
# $$\nabla \lambda = \mathbb{E}\left[ Q(S, A)\, \nabla \ln \pi_\theta(A|S) \right],
# \qquad S \sim \mu,\ A \sim \pi_\theta. \tag{3.5}$$
#
# This is the theorem, [VR 21], and nothing in it differentiates $\mu$. By (2.2), state by state, a baseline $b(s)$ may
# be subtracted; $b = V$ gives the *advantage* $Q - V$, [VR 23].

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

from pg_agents.gradients import Instrument, estimators_of, exact_gradient, optimum, policy_gradient_theorem, problem_of
from pg_agents.gradients.exact import log_table, solve
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)


# %% [markdown]
# ## Is it true?
#
# On RiverSwim, six states against a current, `exact_gradient` differentiates through the linear systems for $\mu$ and
# $\lambda$, and `policy_gradient_theorem` is (3.5), with $\mu$ and $Q$ held fixed. A third way is to move each
# parameter a little.


# %% tags=["check"]
def process(name, window=1, seed=0, **arguments):
    """Return a continuing problem, seen in windows of steps, and a policy that is neither uniform nor certain."""
    problem = problem_of(gym.make(name, **arguments), window=window)
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(seed))
    return problem, policy


def solved(problem, policy):
    """Return gain, values and μ of a policy."""
    with torch.no_grad():
        return solve(problem, log_table(policy, problem))


def check(relative_values):
    """Say whether the weights Q that are returned give the exact gradient by (3.5)."""
    problem, policy = process("pg/Garnet-v0", num_states=6, num_actions=3)
    chances, rewards = problem.mdp.transitions, problem.mdp.expected_rewards
    solution = solved(problem, policy)
    q = torch.as_tensor(relative_values(chances, rewards, policy.probabilities()[0].numpy(), float(solution.objective)))
    table = log_table(policy, problem)
    surrogate = (solution.start[:, None] * table.detach().exp() * q * table).sum()
    (found,) = torch.autograd.grad(surrogate, [policy.logits])
    exact = exact_gradient(problem, policy)
    off = float((found.flatten() - exact).norm() / exact.norm())
    if off < 1e-8:
        return "Right: with your Q the theorem gives the exact gradient, to rounding."
    cosine = float(torch.cosine_similarity(found.flatten(), exact, dim=0))
    return f"Not yet: (3.5) with your Q is off by {off:.0%} of the gradient's length (cosine {cosine:.3f})."


# %%
problem, policy = process("pg/RiverSwim-v0")
exact, theorem = exact_gradient(problem, policy), policy_gradient_theorem(problem, policy)
moved, small = [], 1e-6
for i in range(exact.numel()):
    gains = []
    for sign in (1, -1):
        policy.logits.data.view(-1)[i] += sign * small
        gains.append(float(solved(problem, policy).objective))
        policy.logits.data.view(-1)[i] -= sign * small
    moved.append((gains[0] - gains[1]) / (2 * small))
print(f"theorem − differentiated: at most {(theorem - exact).abs().max():.1e}")
print(f"finite differences − differentiated: at most {(torch.tensor(moved) - exact).abs().max():.1e}")

# %% [markdown]
# ## How noisy is it?
#
# Two estimates from pairs $(S, A)$: by $Q$, [VR 22], and by the advantage, [VR 23]. Both have the gradient as their
# mean. The error of a mean of $n$ falls as $1/\sqrt{n}$; the baseline moves the whole line down.

# %%
problem, policy = process("pg/RiverSwim-v0")
counts = (160, 640, 2560, 10240)
chosen = {one.name: one for one in estimators_of(problem) if one.name in ("exact Q", "exact advantage")}
errors = {name: [] for name in chosen}
for count in counts:
    drawn = [Instrument(problem, policy, samples=count, seed=seed, enumerate_all=False) for seed in range(12)]
    for name, estimator in chosen.items():
        found = [one.measure(estimator) for one in drawn]
        errors[name].append(np.mean([one.bias / float(one.exact.norm()) for one in found]))

problem, policy = process("pg/Garnet-v0")
gains = []
for _ in range(60):
    gains.append(float(solved(problem, policy).objective))
    policy.logits.data += 20 * policy_gradient_theorem(problem, policy).view_as(policy.logits)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, values in errors.items():
    left.loglog(counts, values, "o-", label=f"{name}, mean of 12")
left.loglog(counts, errors["exact Q"][0] * (counts[0] / np.array(counts)) ** 0.5, "k:", label="falls as 1/√n")
left.set(xlabel="pairs n", ylabel="error / ‖∇λ‖", title="Estimates of the gradient, RiverSwim")
left.legend(fontsize=8)
right.plot(gains, label="λ along (3.5)")
right.axhline(optimum(problem), color="k", ls="--", label="the best policy")
right.set(xlabel="steps", ylabel="gain", title="Ascent in a random process of 30 states")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# Ascent along the theorem comes close to the best policy, which `optimum` finds by policy iteration. No step of it knew
# how $\mu$ would change.
#
# ## Exercise
#
# Write `relative_values(chances, rewards, policy, gain)` with $P$ `[S, A, S]`, $r$ `[S, A]`, $\pi$ `[S, A]` and
# $\lambda$: the $Q$ of (3.2), `[S, A]`. A number added to all values of a state changes nothing, by (2.2), so any
# solution is right. The attempt has the maximum of the lecture note.


# %% tags=["attempt"]
def attempt(chances, rewards, policy, gain):
    """Iterate with the best next action."""
    q = np.zeros_like(rewards)
    for _ in range(1000):
        q = rewards - gain + chances @ q.max(1)
        q -= q[0, 0]
    return q


print(check(attempt))

# %% [markdown]
# ## Solution
#
# With $P_\pi$ and $r_\pi$ averaged over the policy, $(I - P_\pi) V = r_\pi - \lambda$. The matrix has no inverse
# (constants are free), so take the least-squares solution, and put it into (3.2).


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(chances, rewards, policy, gain):
    """Solve (3.2)."""
    following = np.einsum("sa,san->sn", policy, chances)
    values = np.linalg.lstsq(np.eye(len(policy)) - following, (policy * rewards).sum(1) - gain, rcond=None)[0]
    return rewards - gain + chances @ values


print(check(solution))
