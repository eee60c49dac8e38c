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
# # 5. Actor and critic
#
# The advantage $Q - V$ was exact in chapter 3, since the process was known. Now a second table, the *critic*, learns
# $V$ from the same steps with which the policy, the *actor*, is trained, and an update need not wait for an episode's
# end.
#
# ## The derivation
#
# After one step the rest of the episode can be replaced by its expectation,
# $Q(s, a) = \mathbb{E}\left[R + \gamma V(S') \mid s, a\right]$. So one sample of the advantage is the *TD residual*
#
# $$\delta_t = R_{t+1} + \gamma V(S_{t+1}) - V(S_t), \qquad
# \mathbb{E}\left[\delta_t \mid S_t, A_t\right] = Q(S_t, A_t) - V(S_t) \quad \text{for } V = V_\pi, \tag{5.1}$$
#
# where $V(S_{t+1}) = 0$ if the episode has ended. It contains the chance of one step in the place of that of all later
# ones. The critic is trained on the same number: it moves its guess towards what came,
#
# $$V(S_t) \leftarrow V(S_t) + \beta\, \delta_t, \qquad
# \theta \leftarrow \theta + \alpha\, \delta_t\, \nabla \ln \pi_\theta(A_t|S_t). \tag{5.2}$$
#
# For the average reward the lecture note learns $Q$ and the gain with one residual, [VR 24–27]:
#
# $$d = R_{t+1} - \lambda + Q(S_{t+1}, A_{t+1}) - Q(S_t, A_t), \quad
# Q(S_t, A_t) \leftarrow Q(S_t, A_t) + \beta d, \quad \lambda \leftarrow \lambda + \beta d, \tag{5.3}$$
#
# and reinforces by $Q(S_t, A_t) - \sum_a \pi(a|S_t)\, Q(S_t, a)$. Since $d$ contains $A_{t+1}$, the update for step $t$
# runs when the next action has been drawn.
#
# **The price.** In (2.2) any $V(S_t)$ may be subtracted, right or wrong. But $\gamma V(S_{t+1})$ was *added*, and
# $S_{t+1}$ depends on the action. With a wrong critic (5.1) has another mean, and the update is biased: the same $V$ is
# harmless as a baseline and harmful as a forecast.

# %% tags=["setup"]
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from pg_envs import TabularMDP, known_returns

import pg_agents as pg
from pg_agents.gradients import Instrument, Problem, from_psi, problem_of
from pg_agents.gradients.psi import gae_of
from pg_agents.policies import TabularPolicy

torch.set_num_threads(1)

# %% [markdown]
# ## Right and wrong critics
#
# The chain, cut at six steps, with all episodes enumerated. The critic is $c$ times the exact $V$: 0 knows nothing, 1
# is right. `gae_of` with $\lambda = 0$ gives $\gamma^t \delta_t$, and with $\lambda = 1$ the return minus $V(S_t)$, in
# which $V$ is a baseline only.


# %% tags=["check"]
def chain(horizon, discount):
    """Return an instrument for the chain cut at `horizon` steps, at a policy that is neither uniform nor certain."""
    problem = problem_of(gym.make("pg/Chain-v0"), horizon=horizon, discount=discount)
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(0))
    return Instrument(problem, policy)


def stop_or_go():
    """Return an instrument: in three states in a row, stop for 1 and end, or go on, which may end, for 4 at last."""
    transitions, rewards = np.zeros((4, 2, 4)), np.zeros((4, 2))
    transitions[:, 0, 3] = 1  # stop
    transitions[:3, 1, 3], transitions[[0, 1], 1, [1, 2]] = (0.2, 0.2, 1), 0.8
    rewards[:3, 0], rewards[2, 1] = 1, 4
    problem = Problem(TabularMDP(transitions, rewards, [1, 0, 0, 0], terminal=[3]), discount=0.9)
    policy = TabularPolicy(4, 2).double()
    policy.logits.data += torch.tensor([[0.5, 0.0], [0.0, 0.3], [0.0, -0.4], [0.0, 0.0]])
    return Instrument(problem, policy)


def check(td):
    """Say whether the TD residual with the exact V has the gradient as its mean."""
    instrument = stop_or_go()

    def psi(setting, rollout):
        values = setting.solution.values[rollout.observations]
        following = torch.cat([values[1:], values[:1]])
        following = torch.where(rollout.terminated, values[0], following)  # the next row is the next episode's first
        residuals = td(rollout.rewards, values, following, rollout.terminated, 0.9)
        return 0.9 ** rollout.times.double() * residuals

    found = instrument.measure(from_psi("yours", psi))
    off = found.bias / float(found.exact.norm())
    if off > 1e-8:
        text = f"Not yet: with the exact V the mean is off by {off:.0%} of ‖∇J‖ (cosine {found.cosine:.3f})."
        return text + " What is the value of the state after the last step?"
    exact = instrument.measure(from_psi("δ", lambda s, r: gae_of(s, r, s.solution.values, 0.0)))
    if abs(found.variance / exact.variance - 1) > 1e-6:
        return f"Not yet: unbiased, but its variance is {found.variance:.3f}, that of δ is {exact.variance:.3f}."
    return "Right: with the exact V the mean is the gradient, and the variance is that of δ."


# %%
instrument = chain(horizon=6, discount=0.95)
shares = np.linspace(0, 1.5, 16)
found = {0.0: [], 1.0: []}
for lambda_, measurements in found.items():
    for share in shares:
        psi = from_psi("Ψ", lambda s, r, c=share, lam=lambda_: gae_of(s, r, c * s.solution.values, lam))
        measurements.append(instrument.measure(psi))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
length = float(instrument.exact.norm())
for lambda_, measurements in found.items():
    label = "δ: V forecasts" if lambda_ == 0 else "G − V: a baseline only"
    left.plot(shares, [one.bias / length for one in measurements], label=label)
    right.plot(shares, [one.variance**0.5 / length for one in measurements], label=label)
left.set(xlabel="c, with V = c · V_π", ylabel="bias / ‖∇J‖", title="Bias")
right.set(
    xlabel="c, with V = c · V_π", ylabel="√(tr Cov) / ‖∇J‖", title="Spread of a batch of four episodes", ylim=(0, None)
)
for axes in (left, right):
    axes.axvline(1, color="0.8", zorder=0)
    axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# The residual has less variance for every $c$ that is not far off, and no bias only at $c = 1$. Whether that is a good
# trade depends on the critic; the next chapter mixes the two.
#
# ## Learning
#
# A grid with a goal and a pit, four environments and eight learners of each kind, 3,000 steps each. The right panel is
# (5.3), one update a step, on the process of two states.

# %%
LEARNERS = 8


def learn(kind, env_id, num_envs, steps, metric):
    """Return steps, and the mean over learners of a metric of their runs."""
    env = gym.make_vec(env_id, LEARNERS * num_envs)
    agent = kind.for_env(env, num_learners=LEARNERS)
    rows = []
    probes = [lambda run: rows.append((run.steps / LEARNERS, metric(run)))]
    pg.train(agent, env, total_steps=LEARNERS * steps, log_every=LEARNERS * steps // 16, probes=probes, progress=False)
    return np.array(rows).T


def recent_return(run):
    """Return the mean return of each learner's newest episodes, averaged."""
    means = [one.mean_return_last_100 for one in run.summary.learners]
    return np.nan if None in means else np.mean(means)


def mean_reward(run):
    """Return the mean reward of the newest steps."""
    newest.append(run.rollout.rewards.mean().item())
    return np.mean(newest[-300:])


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
kinds = {"REINFORCE": pg.Reinforce, "− learned V": pg.ReinforceBaseline, "actor-critic": pg.ActorCritic}
for name, kind in kinds.items():
    steps, returns = learn(kind, "pg/GridWorld-v0", 4, 3000, recent_return)
    left.plot(steps, returns, label=name)
    print(f"{name}: {returns[-1]:.2f}")
left.axhline(known_returns(gym.make("pg/GridWorld-v0")).optimal, color="k", ls="--", label="the best policy")
left.set(xlabel="steps", ylabel="return of the newest episodes", title="Grid, means of 8 learners")
left.legend(fontsize=8, loc="lower right")
newest = []
steps, gains = learn(pg.AverageReward, "pg/TwoStateMDP-v0", 1, 2500, mean_reward)
right.plot(steps, gains, label="actor-critic (5.3)")
right.axhline(known_returns(gym.make("pg/TwoStateMDP-v0")).optimal, color="k", ls="--", label="the best policy")
right.set(xlabel="steps", ylabel="reward per step", title="Two states, mean of 8 learners", ylim=(0.4, 1))
right.legend(fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# ## Exercise
#
# Write `td(rewards, values, next_values, terminated, discount)`, all `[T, B]`: the residuals (5.1). As in most code,
# `next_values` is the critic's answer for the next row, and after an episode's end the next row belongs to another
# episode.


# %% tags=["attempt"]
def attempt(rewards, values, next_values, terminated, discount):
    """Return R + γ V(S') − V(S)."""
    return rewards + discount * next_values - values


print(check(attempt))

# %% [markdown]
# ## Solution
#
# No reward follows the end, so the forecast is 0 there. (An episode that is cut off by a time limit has not ended: its
# last state's value is the forecast.)


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(rewards, values, next_values, terminated, discount):
    """Return R + γ V(S') − V(S), with V(S') = 0 after an end."""
    return rewards + discount * next_values * ~terminated - values


print(check(solution))
