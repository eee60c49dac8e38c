"""PPO without abstractions: how fast plain eager torch does this work on one thread. Our loop is compared with it.

What every PPO does is here: sampled actions, values of true last observations where an episode was cut, generalised
advantages, epochs of shuffled minibatches, the clipped surrogate, a squared error, an entropy bonus, a clipped
gradient, Adam, returns of the last 100 episodes. What makes it fast is here too, and none of it changes the result:
noise is drawn once for a rollout, log-probabilities and values are computed once for a rollout, advantages recur in
numpy, data are shuffled once an epoch, and all parameters are views of one vector, as their gradients are, so that
clipping and the fused Adam see one tensor. What costs time elsewhere is not: no modules, no distributions, no checks,
no metrics, no choices.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor, addmm
from torch.nn.functional import mse_loss

Array = NDArray[Any]
STEPS, EPOCHS, MINIBATCHES = 128, 4, 4
DISCOUNT, GAE_LAMBDA, CLIP, ENTROPY_WEIGHT, MAX_GRAD_NORM, LEARNING_RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 2.5e-4


def make_networks(inputs: int, actions: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return the weights of a 64×64 tanh policy and critic, orthogonal, and the one vector that they are views of."""
    hidden = [(inputs, 64, 2**0.5), (64, 64, 2**0.5)]
    layers = [*hidden, (64, actions, 0.01), *hidden, (64, 1, 1.0)]
    initial = [p for i, o, gain in layers for p in (torch.nn.init.orthogonal_(torch.empty(i, o), gain), torch.zeros(o))]
    flat = torch.cat([parameter.ravel() for parameter in initial])
    flat.grad = torch.zeros_like(flat)
    sizes_of = [parameter.numel() for parameter in initial]
    views = [v.view_as(p).requires_grad_() for v, p in zip(flat.split(sizes_of), initial, strict=True)]
    for view, grad in zip(views, flat.grad.split(sizes_of), strict=True):
        view.grad = grad.view_as(view)
    return views[:6], views[6:], flat


def network(w: list[Tensor], x: Tensor) -> Tensor:
    """Return the outputs for inputs x [N, D]."""
    return addmm(w[5], addmm(w[3], addmm(w[1], x, w[0]).tanh(), w[2]).tanh(), w[4])


@torch.no_grad()
def collect(
    env: VectorEnv, observation: Array, policy: list[Tensor], critic: list[Tensor], running: Array, last: deque[float]
) -> tuple[Array, tuple[Tensor, ...]]:
    """Take STEPS steps; return the next observation and what is learned from, flat over steps and environments."""
    rows, cuts = [], []
    noise = torch.empty(STEPS, env.num_envs, int(env.single_action_space.n)).exponential_().log_()  # type: ignore[attr-defined]
    for t, gumbel in enumerate(noise.unbind()):
        logits = network(policy, torch.from_numpy(observation))
        actions = (logits - gumbel).argmax(-1)  # the exponential race, in logarithms
        seen = observation
        observation, rewards, terminated, truncated, infos = env.step(actions.numpy())
        rows.append((seen, logits, actions, rewards, terminated, done := terminated | truncated))
        running += rewards
        if done.any():
            last.extend(running[done])
            running[done] = 0
            cuts += [(t, b, infos["final_obs"][b]) for b in np.flatnonzero(truncated & ~terminated)]
    seen_by, logits_of, taken, gained, ended, over = zip(*rows, strict=True)
    observations = torch.from_numpy(np.stack([*seen_by, observation]))
    values = network(critic, observations.flatten(0, 1)).view(STEPS + 1, -1).numpy()
    next_values = values[1:] * ~np.stack(ended)
    for t, b, final in cuts:
        next_values[t, b] = network(critic, torch.from_numpy(final)[None]).item()
    advantages = estimated(np.stack(gained), values, next_values, np.stack(over))
    actions, targets = torch.stack(taken)[..., None], torch.from_numpy(advantages + values[:-1])
    log_probs = torch.stack(logits_of).log_softmax(-1).gather(-1, actions)
    scaled = torch.from_numpy((advantages - advantages.mean()) / (advantages.std() + 1e-8))
    data = (
        observations[:-1].flatten(0, 1),
        actions.flatten(0, 1),
        log_probs.flatten(),
        scaled.flatten(),
        targets.flatten(),
    )
    return observation, data


def estimated(gained: Array, values: Array, next_values: Array, over: Array) -> Array:
    """Return generalised advantages [T, B] of rewards, values [T + 1, B], values of what followed, and ends."""
    delta = gained.astype(np.float32) + np.float32(DISCOUNT) * next_values - values[:-1]
    keep, advantages, following = np.float32(DISCOUNT * GAE_LAMBDA) * ~over, np.empty_like(delta), 0.0
    for t in reversed(range(len(delta))):
        advantages[t] = following = delta[t] + keep[t] * following
    return advantages


def loss_of(
    logits: Tensor, values: Tensor, actions: Tensor, log_probs: Tensor, advantages: Tensor, targets: Tensor, clip: float
) -> Tensor:
    """Return the loss of a minibatch."""
    logits = logits.log_softmax(-1)
    ratio = (logits.gather(-1, actions).squeeze(-1) - log_probs).exp()
    surrogate = torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()
    negative_entropy = (logits.exp() * logits).sum() / len(targets)
    return 0.5 * mse_loss(values, targets) - surrogate + ENTROPY_WEIGHT * negative_entropy


def descend(loss: Tensor, flat: Tensor, adam: Any) -> None:  # noqa: ANN401
    """Take a step along the clipped gradient."""
    assert flat.grad is not None
    flat.grad.zero_()
    loss.backward()
    flat.grad.mul_((MAX_GRAD_NORM / (flat.grad.norm() + 1e-6)).clamp(max=1.0))
    adam.step()


def learn(data: tuple[Tensor, ...], policy: list[Tensor], critic: list[Tensor], flat: Tensor, adam: Any) -> None:  # noqa: ANN401
    """Take EPOCHS × MINIBATCHES steps on a rollout."""
    count = len(data[0])
    for _ in range(EPOCHS):
        order = torch.randperm(count)
        parts = (field[order].split(count // MINIBATCHES) for field in data)
        for observations, *rest in zip(*parts, strict=True):
            values = network(critic, observations).squeeze(-1)
            descend(loss_of(network(policy, observations), values, *rest, CLIP), flat, adam)


def train(env: VectorEnv, *, total_steps: int, seed: int) -> dict[str, float]:
    """Learn in synchronous environments that reset in the step in which an episode ends; return the results."""
    torch.manual_seed(seed)
    policy, critic, flat = make_networks(env.single_observation_space.shape[0], int(env.single_action_space.n))  # type: ignore[index, attr-defined]
    adam = torch.optim.Adam([flat], lr=LEARNING_RATE, eps=1e-5, fused=True)
    running, last, steps = np.zeros(env.num_envs), deque[float](maxlen=100), 0
    started, cpu = time.perf_counter(), time.process_time()
    observation, _ = env.reset(seed=seed)
    while steps < total_steps:
        observation, data = collect(env, observation, policy, critic, running, last)
        learn(data, policy, critic, flat, adam)
        steps += STEPS * env.num_envs
    times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    return {"steps": steps, "mean_return": float(np.mean(last))} | times
