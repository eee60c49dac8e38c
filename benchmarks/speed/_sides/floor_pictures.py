"""PPO from pictures without abstractions: how fast plain eager torch does this work on one thread.

The loop of `floor.py` with the network of Mnih et al. (2015), which policy and critic share. What makes it fast changes
no result: pictures stay bytes, in one array with the channels last, until a convolution reads them; 1/255 is multiplied
into the first layer's weights; values come from the pass that acts. Advantages are standardised in each minibatch.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor
from torch.nn.functional import conv2d, linear

from benchmarks.speed._sides.floor import (
    EPOCHS,
    LEARNING_RATE,
    MINIBATCHES,
    STEPS,
    Array,
    descend,
    estimated,
    loss_of,
)

CLIP = 0.1
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # channels, kernel, stride
FEATURES = 512


def make_network(frames: int, side: int, actions: int) -> tuple[list[Tensor], Tensor]:
    """Return a network for pictures [side, side, frames], orthogonal, and the one vector that its parts are views of.

    Kernels [out, in, k, k] lie in memory as [out, k, k, in], and the first linear layer reads [h, w, channels]. The
    last layer gives the logits of `actions` actions and a value.
    """
    initial, channels = [], frames
    for out, kernel, stride in CONVOLUTIONS:
        weight = torch.nn.init.orthogonal_(torch.empty(out, channels, kernel, kernel), 2**0.5)
        initial += [weight.permute(0, 2, 3, 1), torch.zeros(out)]
        channels, side = out, (side - kernel) // stride + 1
    features = torch.nn.init.orthogonal_(torch.empty(FEATURES, side * side * channels), 2**0.5)
    heads = [torch.nn.init.orthogonal_(torch.empty(n, FEATURES), gain) for n, gain in ((actions, 0.01), (1, 1.0))]
    initial += [features, torch.zeros(FEATURES), torch.cat(heads), torch.zeros(actions + 1)]
    flat = torch.cat([parameter.ravel() for parameter in initial])
    flat.grad = torch.zeros_like(flat)
    sizes, views = [parameter.numel() for parameter in initial], []
    for *pair, like in zip(flat.split(sizes), flat.grad.split(sizes), initial, strict=True):
        view, grad = (part.view_as(like).permute(0, 3, 1, 2) if like.ndim == 4 else part.view_as(like) for part in pair)
        views.append(view.requires_grad_())
        view.grad = grad
    return views, flat


def network(w: list[Tensor], pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [N, actions] and values [N] of pictures, bytes [N, side, side, frames]."""
    x = pictures.float().permute(0, 3, 1, 2)
    for i, (_, _, stride) in enumerate(CONVOLUTIONS):
        x = conv2d(x, w[2 * i] if i else w[0] * (1 / 255), w[2 * i + 1], stride).relu_()
    x = linear(linear(x.permute(0, 2, 3, 1).flatten(1), w[6], w[7]).relu_(), w[8], w[9])
    return x[:, :-1], x[:, -1]


@torch.no_grad()
def collect(
    env: VectorEnv, observation: Array, w: list[Tensor], seen: Tensor, running: Array, last: deque[float]
) -> tuple[Array, tuple[Tensor, ...]]:
    """Take STEPS steps, whose pictures are written into `seen`; return what `floor.collect` returns."""
    rows, cuts = [], []
    noise = torch.empty(STEPS, env.num_envs, len(w[-1]) - 1).exponential_().log_()
    for t, gumbel in enumerate(noise.unbind()):
        logits, values = network(w, interleaved(observation, seen[t]))
        actions = (logits - gumbel).argmax(-1)
        observation, rewards, terminated, truncated, infos = env.step(actions.numpy())
        rows.append((values, logits, actions, rewards, terminated, done := terminated | truncated))
        running += rewards
        if done.any():
            last.extend(running[done])
            running[done] = 0
            cuts += [(t, b, infos["final_obs"][b]) for b in np.flatnonzero(truncated & ~terminated)]
    values_of, logits_of, taken, gained, ended, over = zip(*rows, strict=True)
    values = torch.stack([*values_of, network(w, interleaved(observation))[1]]).numpy()
    next_values = values[1:] * ~np.stack(ended)
    for t, b, final in cuts:
        next_values[t, b] = network(w, interleaved(final[None]))[1].item()
    advantages = estimated(np.stack(gained), values, next_values, np.stack(over))
    actions = torch.stack(taken)[..., None]
    log_probs = torch.stack(logits_of).log_softmax(-1).gather(-1, actions)
    estimates = torch.from_numpy(advantages), torch.from_numpy(advantages + values[:-1])
    return observation, (seen.flatten(0, 1), actions.flatten(0, 1), *(x.flatten() for x in (log_probs, *estimates)))


def interleaved(observation: Array, into: Tensor | None = None) -> Tensor:
    """Return stacked frames [B, frames, side, side] as pictures [B, side, side, frames], frame by frame."""
    frames = torch.from_numpy(observation).unbind(1)
    into = torch.empty(*frames[0].shape, len(frames), dtype=torch.uint8) if into is None else into
    for i, frame in enumerate(frames):
        into[..., i] = frame
    return into


def learn(data: tuple[Tensor, ...], w: list[Tensor], flat: Tensor, adam: Any) -> None:  # noqa: ANN401
    """Take EPOCHS × MINIBATCHES steps on a rollout."""
    count = len(data[0])
    for _ in range(EPOCHS):
        for part in torch.randperm(count).split(count // MINIBATCHES):
            pictures, actions, log_probs, advantages, targets = (field.index_select(0, part) for field in data)
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            descend(loss_of(*network(w, pictures), actions, log_probs, advantages, targets, CLIP), flat, adam)


def train(env: VectorEnv, *, total_steps: int, seed: int) -> dict[str, float | None]:
    """Learn in synchronous environments that reset in the step in which an episode ends; return the results."""
    torch.manual_seed(seed)
    frames, side, _ = env.single_observation_space.shape  # type: ignore[misc]
    w, flat = make_network(frames, side, int(env.single_action_space.n))  # type: ignore[attr-defined]
    adam = torch.optim.Adam([flat], lr=LEARNING_RATE, eps=1e-5, fused=True)
    seen = torch.empty(STEPS, env.num_envs, side, side, frames, dtype=torch.uint8)
    running, last, steps = np.zeros(env.num_envs), deque[float](maxlen=100), 0
    started, cpu = time.perf_counter(), time.process_time()
    observation, _ = env.reset(seed=seed)
    while steps < total_steps:
        observation, data = collect(env, observation, w, seen, running, last)
        learn(data, w, flat, adam)
        steps += STEPS * env.num_envs
    times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    return {"steps": steps, "mean_return": float(np.mean(last)) if last else None} | times
