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
# # 4. Causality and γ
#
# An episode of $T$ steps collects many rewards. Which of them should an action be praised for? And what is lost when
# later rewards count less?
#
# ## The derivation
#
# An episode $\tau = (S_0, A_0, R_1, S_1, \dots, S_T)$ has the return $G = \sum_t \gamma^t R_{t+1}$, and
# $J(\theta) = \mathbb{E}[G]$. The probability of an episode is a product of the policy's probabilities and the
# environment's, which do not depend on $\theta$. Its logarithm is a sum, so (1.2) reads
#
# $$\nabla J = \mathbb{E}\Big[ G \sum_{t<T} \nabla \ln \pi_\theta(A_t|S_t) \Big]. \tag{4.1}$$
#
# **Causality.** Take a reward $R_{k+1}$ that came before step $t$. Everything up to $S_t$ is fixed when $A_t$ is drawn,
# so this reward is a baseline for $A_t$, and by (2.2)
#
# $$\mathbb{E}\left[ R_{k+1}\, \nabla \ln \pi_\theta(A_t|S_t) \right] = 0 \qquad \text{for } k < t. \tag{4.2}$$
#
# Dropping these terms leaves each action with the rewards that followed it:
#
# $$\nabla J = \mathbb{E}\Big[ \sum_{t<T} \gamma^t\, G_t\, \nabla \ln \pi_\theta(A_t|S_t) \Big], \qquad
# G_t = \sum_{k=t}^{T-1} \gamma^{k-t} R_{k+1}. \tag{4.3}$$
#
# For $\gamma = 1$ this is [VR 29], whose $\hat Q_t$ is $G_t$; the last reward of the sum is $R_T$. The encyclopaedia's
# "causality trick" is (4.3) with $\gamma^t G_t$ written as one sum. Many texts, and nearly all libraries, leave out the
# factor $\gamma^t$ and keep $G_t$:
#
# $$\sum_{t<T} G_t\, \nabla \ln \pi_\theta(A_t|S_t). \tag{4.4}$$
#
# Late actions then weigh as much as early ones. For $\gamma < 1$ this is not the gradient of $J$, and in general of
# nothing else. It is common all the same, since with $\gamma^t$ an agent hardly learns what to do late in an episode.
# Here `reward-to-go` is (4.4), and `signal="discounted-reward-to-go"` is (4.3).

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import torch
from pg_envs import TabularMDP

from pg_agents.gradients import Instrument, Problem, estimators_of, from_psi, problem_of
from pg_agents.gradients.exact import log_table, solve
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## What causality saves
#
# The longer the episode, the more rewards are dropped. The chain of five states, cut at $T$ steps, all episodes
# enumerated where there are few enough:


# %% tags=["check"]
def chain(horizon, discount):
    """Return the chain cut at `horizon` steps, and a policy that is neither uniform nor certain."""
    problem = problem_of(gym.make("pg/Chain-v0"), horizon=horizon, discount=discount)
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(0))
    return problem, policy


def named(problem, name):
    """Return an estimator of the catalogue that `pg-agents gradients` measures."""
    return next(one for one in estimators_of(problem) if one.name == name)


def check(psi):
    """Say whether Σ Ψ ∇ ln π has the gradient as its mean, and a variance that is no larger than that of (4.3)."""
    problem, policy = chain(horizon=5, discount=0.7)
    instrument = Instrument(problem, policy)
    found = instrument.measure(from_psi("yours", lambda setting, rollout: psi(rollout.rewards, problem.discount)))
    wanted = instrument.measure(named(problem, "reward-to-go"))
    length = float(found.exact.norm())
    if found.bias > 1e-8 * length:
        text = f"Not yet: the mean is off by {found.bias / length:.0%} of ‖∇J‖ (cosine {found.cosine:.3f})."
        ratio = found.expected.norm() / length
        return text + (f" It is {ratio:.1f} times as long: do late actions weigh too much?" if ratio > 1.05 else "")
    if found.variance > 1.001 * wanted.variance:
        text = f"Not yet: unbiased, but its variance is {found.variance:.1f}, (4.3) has {wanted.variance:.1f}."
        return text + " Which rewards came before the action?"
    return f"Right: the mean is the gradient, and the variance is {found.variance:.1f}, that of (4.3)."


# %%
horizons = range(1, 8)
spread = {"whole return": [], "reward-to-go": []}
for horizon in horizons:
    problem, policy = chain(horizon, discount=1.0)
    instrument = Instrument(problem, policy, samples=2000)
    for name, values in spread.items():
        found = instrument.measure(named(problem, name))
        values.append(found.variance**0.5 / float(found.exact.norm()))

# %% [markdown]
# ## What γ^t is for
#
# Two steps that look the same to the policy. In the first, action 1 pays 1; in the second, which always follows, it
# costs 1.5. With $\gamma = 0.5$ it is worth $1 - 0.5 \cdot 1.5 = 0.25$, so action 1 is right. Without $\gamma^t$ the
# second step weighs as much as the first.

# %%
transitions = torch.zeros(3, 2, 3)
transitions[0, :, 1] = transitions[1, :, 2] = transitions[2, :, 2] = 1
rewards = [[0.0, 1.0], [0.0, -1.5], [0.0, 0.0]]
mdp = TabularMDP(transitions, rewards, initial=[1, 0, 0], terminal=[2])
twice = Problem(mdp, observations=torch.tensor([0, 0, 0]), discount=0.5)
values = {}
for name in ("reward-to-go", "reward-to-go without γ^t"):
    policy, values[name] = TabularPolicy(1, 2).double(), []
    for _ in range(60):
        with torch.no_grad():
            values[name].append(float(solve(twice, log_table(policy, twice)).objective))
        expected = Instrument(twice, policy).measure(named(twice, name)).expected
        policy.logits.data += 1.0 * expected.view_as(policy.logits)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, found in spread.items():
    left.plot(horizons, found, "o-", label=name)
left.set(xlabel="steps T of an episode", ylabel="√(tr Cov) / ‖∇J‖", title="Spread of a batch of four episodes, γ = 1")
left.legend(fontsize=8)
for name, found in values.items():
    right.plot(found, label={"reward-to-go": "with γ^t (4.3)"}.get(name, "without (4.4)"))
right.axhline(0.25, color="k", ls="--", label="the best policy")
right.set(xlabel="steps along the expected update", ylabel="J", title="Two steps that look alike, γ = 0.5")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# Along (4.4), with no noise at all, $J$ falls to what the worst policy gets. This takes states that look alike at
# different times; where each state has parameters of its own, leaving out $\gamma^t$ mostly changes how much states
# weigh.
#
# ## Exercise
#
# Write `psi(rewards, discount)`: rewards `[T, B]` of $B$ episodes, 0 after an episode's end, to the weights `[T, B]` of
# (4.3). The attempt is (4.4).


# %% tags=["attempt"]
def attempt(rewards, discount):
    """Return G_t."""
    returns = torch.zeros_like(rewards)
    for t in reversed(range(len(rewards))):
        returns[t] = rewards[t] + (discount * returns[t + 1] if t + 1 < len(rewards) else 0)
    return returns


print(check(attempt))

# %% [markdown]
# ## Solution
#
# Discount every reward from the beginning of the episode, $\gamma^k R_{k+1}$, and sum from $t$ on: the factor
# $\gamma^t$ is then inside. `pg_agents.functional.returns.reward_to_go` computes $G_t$, for episodes that are cut off,
# too.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(rewards, discount):
    """Return γ^t G_t."""
    discounted = discount ** torch.arange(len(rewards), dtype=rewards.dtype)[:, None] * rewards
    return discounted.flip(0).cumsum(0).flip(0)


print(check(solution))
