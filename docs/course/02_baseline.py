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
# # 2. The baseline: reward compared with what?
#
# Let the two arms pay with probabilities 0.96 and 0.94. Nearly every pull pays 1, so REINFORCE raises whichever arm was
# pulled, by much, and the small difference between the arms has to show through the noise.
#
# ## The derivation
#
# Subtract a number $b$ from the reward that was fixed before the arm was chosen, [VR 13]:
#
# $$\theta \leftarrow \theta + \alpha\, (R - b)\, \nabla \ln \pi_\theta(A). \tag{2.1}$$
#
# The mean of what was subtracted is $b$ times the mean score, and the mean score is the gradient of a constant,
#
# $$\mathbb{E}\left[b\, \nabla \ln \pi_\theta(A)\right] = b \sum_a \nabla \pi_\theta(a)
# = b\, \nabla \sum_a \pi_\theta(a) = b\, \nabla 1 = 0. \tag{2.2}$$
#
# [VR 14–19]. So every baseline leaves the expected update alone: it may depend on the past, on the parameters, later on
# the state, but not on the action. What it changes is the variance. With $g = \nabla \ln \pi_\theta(A)$ the sum of the
# variances of the components is
#
# $$\operatorname{tr} \operatorname{Cov}\left[(R - b)\, g\right]
# = \mathbb{E}\left[\lVert g \rVert^2 (R - b)^2\right] - \lVert \nabla \lambda \rVert^2, \tag{2.3}$$
#
# a parabola in $b$. Its lowest point weighs each reward by the square of its score,
#
# $$b^* = \frac{\mathbb{E}\left[\lVert g \rVert^2 R\right]}{\mathbb{E}\left[\lVert g \rVert^2\right]}. \tag{2.4}$$
#
# It is often said that the mean reward $\mathbb{E}[R]$ is the best baseline, and that any baseline helps. Neither is
# so: the mean is best only where $\lVert g \rVert^2$ and $R$ are uncorrelated, and a parabola has two sides.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

import pg_agents as pg
from pg_agents.gradients import Instrument, from_psi, problem_of
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## Two hundred players, without and with a baseline
#
# The baseline is the running average of the rewards before this pull. The steps are four times as long as in the first
# chapter, so that 1,000 pulls are enough to see what happens.

# %%
PLAYERS, PULLS, EVERY = 200, 1000, 20


def better_arm(agent):
    """Return the probability of arm 0, for each learner."""
    return agent.policy.probabilities()[:, 0, 0].numpy()


def learn(kind, **options):
    """Return the probability of the better arm over pulls, [pulls / EVERY + 1, players]."""
    env = gym.make_vec("pg/TwoArmedBanditClose-v0", PLAYERS)
    agent = kind.for_env(env, num_learners=PLAYERS, learning_rate=0.2, optimizer="sgd", **options)
    chosen = [better_arm(agent)]
    probes = [lambda run: chosen.append(better_arm(run.agent))]
    steps = {"total_steps": PLAYERS * PULLS, "log_every": PLAYERS * EVERY}
    pg.train(agent, env, **steps, probes=probes, progress=False)
    return np.stack(chosen)


curves = {
    "no baseline": learn(pg.Reinforce),
    "running average": learn(pg.ReinforceBaseline, baseline="running-average"),
}

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
for axes, colour, (name, chosen) in zip(panels, ("tab:red", "tab:green"), curves.items(), strict=True):
    pulls = np.arange(len(chosen)) * EVERY
    axes.plot(pulls, chosen[:, :8], color=colour, alpha=0.35, lw=0.8)
    axes.plot([], color=colour, alpha=0.35, lw=0.8, label="eight players")
    axes.plot(pulls, np.median(chosen, axis=1), color=colour, lw=2, label="median of all")
    axes.set(title=name, xlabel="pulls", ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=8)
    on_the_worse = (chosen[-1] < 0.1).mean()
    print(f"{name}: mean {chosen[-1].mean():.2f}, players below 0.1: {on_the_worse:.0%}")
panels[0].set_ylabel("probability of the better arm")
plt.show()

# %% [markdown]
# Without a baseline the players are certain soon, and many of them of the wrong arm: once the policy hardly tries the
# other one, nothing can correct it. With the baseline they are slower to commit, and nearly all of them move the right
# way. Over 20,000 pulls with the shorter steps of chapter 1 one player in seven stays on the wrong arm without a
# baseline, and none with it (`python -m benchmarks run lecture_note`).
#
# ## The parabola
#
# Now a policy that pulls a good arm nine times in ten: $\pi = (0.9, 0.1)$, arms that pay with probability 0.9 and 0.2.
# An `Instrument` sums over all outcomes, so what it says of an estimator is exact. `from_psi` makes an estimator
# $\Psi\, \nabla \ln \pi$ of a function that returns $\Psi$.


# %% tags=["check"]
def instrument_for(chances, pays):
    """Return an exact instrument for a bandit, at a policy that pulls its arms with the given probabilities."""
    problem = problem_of(gym.make("pg/BernoulliBandit-v0", probabilities=pays))
    policy = TabularPolicy(1, len(pays)).double()
    policy.logits.data += torch.tensor(chances, dtype=torch.float64).log()
    return Instrument(problem, policy)


def measured(instrument, baseline):
    """Return the measurement of (R − b) ∇ ln π."""
    return instrument.measure(from_psi("R − b", lambda setting, rollout: rollout.rewards - baseline))


def check(best_constant):
    """Say whether no other constant gives a smaller variance, on three bandits."""
    for chances, pays in (((0.9, 0.1), (0.9, 0.2)), ((0.5, 0.5), (0.6, 0.4)), ((0.7, 0.2, 0.1), (0.3, 0.9, 0.5))):
        instrument = instrument_for(chances, pays)
        answer = float(best_constant(np.array(chances), np.array(pays)))
        variance = measured(instrument, answer).variance
        others = {b: measured(instrument, b).variance for b in (0.0, answer - 0.01, answer + 0.01)}
        better = min(others, key=others.get)
        if others[better] < variance:
            text = f"Not yet: for π = {chances} and p = {pays} your b = {answer:.3f} has the variance {variance:.4f}, "
            return text + f"b = {better:.3f} has {others[better]:.4f}."
    return "Right: a step to either side of your constant has a larger variance, on all three bandits."


# %%
instrument = instrument_for((0.9, 0.1), (0.9, 0.2))
baselines = np.linspace(-0.2, 1, 25)
found = [measured(instrument, b) for b in baselines]
assert max(one.bias for one in found) < 1e-12  # (2.2): no baseline moves the mean
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(baselines, [one.variance for one in found], label="variance of a batch of four pulls")
for name, b, colour in (("no baseline", 0, "tab:red"), ("E[R]", 0.83, "tab:orange"), ("b*", 0.27, "tab:green")):
    variance = measured(instrument, b).variance
    axes.plot(b, variance, "o", color=colour, label=f"{name} = {b:.2f}: {variance:.4f}")
axes.set(xlabel="baseline b", ylabel="tr Cov", title="π = (0.9, 0.1), arms that pay 0.9 and 0.2", ylim=(0, None))
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# The bias is zero all along the parabola. The mean reward, 0.83, is a worse baseline here than none at all: the rare
# pull of the second arm has by far the larger score, it mostly pays 0, and so it weighs most.
#
# ## Exercise
#
# Write `best_constant(chances, pays)`: the $b^*$ of (2.4) for a softmax bandit, given the probabilities with which arms
# are pulled and those with which they pay. The attempt is the mean reward.


# %% tags=["attempt"]
def attempt(chances, pays):
    """Return the mean reward."""
    return chances @ pays


print(check(attempt))

# %% [markdown]
# ## Solution
#
# By (1.4) the score of arm $a$ is $\mathbf{1}_a - \pi$.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(chances, pays):
    """Return E[‖g‖² R] / E[‖g‖²]."""
    squares = ((np.eye(len(chances)) - chances) ** 2).sum(1)
    return (chances * squares * pays).sum() / (chances * squares).sum()


print(check(solution))
