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
# # 1. A bandit: the gradient of an expectation
#
# A slot machine with two arms pays 1 or 0. Arm 0 pays with probability 0.6, arm 1 with 0.4, and the player knows
# neither number. How can it come to pull the better arm, from nothing but its own pulls?
#
# Numbers in brackets, such as (1.2), are this chapter's equations. [VR 12] is equation 12 of Van Roy's lecture note.
#
# ## The derivation
#
# A *policy* $\pi_\theta(a)$ gives each arm a probability, which depends on parameters $\theta$. With $r(a)$ for the
# mean reward of arm $a$, the average reward is
#
# $$\lambda_\theta = \sum_a \pi_\theta(a)\, r(a). \tag{1.1}$$
#
# This is [VR 7]. We want to climb it: $\theta \leftarrow \theta + \alpha \nabla \lambda_\theta$. Only $\pi$ depends on
# $\theta$, so the gradient is a sum over arms, and the player can neither pull all arms at once nor look up $r$. The
# way out is to multiply and divide by $\pi_\theta(a)$, since $\nabla \pi / \pi = \nabla \ln \pi$:
#
# $$\nabla \lambda_\theta = \sum_a r(a)\, \nabla \pi_\theta(a) = \sum_a \pi_\theta(a)\, r(a)\, \nabla \ln \pi_\theta(a)
# = \mathbb{E}\left[R\, \nabla \ln \pi_\theta(A)\right]. \tag{1.2}$$
#
# [VR 8–12]. The sum has become an expectation over the player's own pulls. So one pull gives an unbiased estimate of
# the gradient, and following it is the algorithm **REINFORCE**, [VR 1]:
#
# $$\theta \leftarrow \theta + \alpha\, R\, \nabla \ln \pi_\theta(A). \tag{1.3}$$
#
# Let the policy be a softmax, $\pi_\theta(a) = e^{\theta_a} / \sum_b e^{\theta_b}$ [VR 2]. The *score*
# $\nabla \ln \pi_\theta(a)$ is then the difference of two vectors: 1 at the chosen arm, less the probabilities of all
# arms,
#
# $$\nabla \ln \pi_\theta(a) = \mathbf{1}_a - \pi_\theta. \tag{1.4}$$
#
# [VR 3–5]. Its mean over arms is zero, $\sum_a \pi_\theta(a) (\mathbf{1}_a - \pi_\theta) = \pi_\theta - \pi_\theta$.
# All of the next chapter rests on that.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

import pg_agents as pg
from pg_agents.gradients import exact_gradient, problem_of
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## The experiment
#
# 200 players learn side by side, each with its own machine, by (1.3) with $\alpha = 0.05$. They are one agent with 200
# independent learners. The dashed line is what they approximate: the same ascent along the exact gradient, which
# `exact_gradient` computes from the machine's probabilities.

# %%
PLAYERS, PULLS, EVERY, STEP_SIZE = 200, 1000, 20, 0.05


def better_arm(agent):
    """Return the probability of arm 0, for each learner."""
    return agent.policy.probabilities()[:, 0, 0].numpy()


env = gym.make_vec("pg/TwoArmedBandit-v0", PLAYERS)
agent = pg.Reinforce.for_env(env, num_learners=PLAYERS, learning_rate=STEP_SIZE, optimizer="sgd")
chosen = [better_arm(agent)]
pg.train(
    agent,
    env,
    total_steps=PLAYERS * PULLS,
    log_every=PLAYERS * EVERY,
    probes=[lambda run: chosen.append(better_arm(run.agent))],
    progress=False,
)
chosen = np.stack(chosen)  # [pulls / EVERY + 1, players]

# %%
problem = problem_of(gym.make("pg/TwoArmedBandit-v0"))
policy = TabularPolicy(1, 2).double()  # what is seen (nothing: one observation), arms
exact = []
for _ in range(PULLS // EVERY + 1):
    exact.append(policy.probabilities()[0, 0, 0].item())
    for _ in range(4):  # four longer steps in the place of EVERY short ones
        policy.logits.data += EVERY / 4 * STEP_SIZE * exact_gradient(problem, policy).view_as(policy.logits)

# %%
pulls = np.arange(len(chosen)) * EVERY
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.fill_between(pulls, *np.quantile(chosen, (0.1, 0.9), axis=1), alpha=0.2, label="10 to 90 % of the players")
axes.plot(pulls, chosen[:, :5], color="0.7", lw=0.8)
axes.plot([], color="0.7", lw=0.8, label="five of them")
axes.plot(pulls, chosen.mean(1), label="mean of all")
axes.plot(pulls, exact, "k--", label="exact gradient")
axes.set(xlabel="pulls", ylabel="probability of the better arm", ylim=(0, 1), title="REINFORCE on two arms")
axes.legend(loc="lower right", fontsize=8)
plt.show()
print(f"after {PULLS} pulls: mean {chosen[-1].mean():.3f}, players above 0.9: {(chosen[-1] > 0.9).mean():.0%}")

# %% [markdown]
# Every player finds the better arm, along paths that differ: the mean runs close to the exact ascent, a single player
# does not. What pushes the single player around is the variance of $R\, \nabla \ln \pi$. That is the next chapter's
# theme.
#
# ## Exercise
#
# Write the update (1.3) for a softmax without calculus by the computer: the change of $\theta$ after arm `arm` has paid
# `reward`, given the probabilities of all arms. The first attempt below raises the chosen arm's parameter and leaves
# the others alone, which looks reasonable.
#
# `check` takes the mean of your update over arms and rewards, each with its probability, and compares it with
# $\alpha \nabla \lambda_\theta$ from `exact_gradient`, on a bandit with three arms.


# %% tags=["check"]
def check(update, step_size=0.05):
    """Say whether the expected update is the step size times the exact gradient."""
    problem = problem_of(gym.make("pg/BernoulliBandit-v0", probabilities=(0.8, 0.3, 0.1)))
    policy = TabularPolicy(1, 3).double()
    policy.logits.data += torch.tensor([0.5, -1.0, 0.2])
    chances = policy.probabilities()[0, 0].numpy()
    expected = np.zeros(3)
    for arm, pays in enumerate((0.8, 0.3, 0.1)):
        for reward, probability in ((1.0, pays), (0.0, 1 - pays)):
            expected += chances[arm] * probability * np.asarray(update(chances, arm, reward, step_size))
    wanted = step_size * exact_gradient(problem, policy).numpy()
    if np.allclose(expected, wanted, atol=1e-12):
        return "Right: the mean of the update is the gradient, to rounding."
    text = f"Not yet: the mean of the update is {expected.round(4)}, α∇λ is {wanted.round(4)}."
    return text + (" Every arm goes up, whatever it pays: what has to come down?" if (expected >= 0).all() else "")


# %% tags=["attempt"]
def attempt(chances, arm, reward, step_size):
    """Raise the chosen arm's parameter by what it paid."""
    change = np.zeros_like(chances)
    change[arm] = step_size * reward
    return change


print(check(attempt))

# %% [markdown]
# ## Solution
#
# By (1.4) every other arm comes down by its probability times the reward, and the chosen one goes up by what is left,
# [VR 6]. The parameters' sum never changes.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(chances, arm, reward, step_size):
    """Return α R (1_a − π)."""
    return step_size * reward * (np.eye(len(chances))[arm] - chances)


print(check(solution))
