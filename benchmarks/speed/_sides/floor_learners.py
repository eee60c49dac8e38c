"""L independent PPOs, or actor-critics, without abstractions: `floor` with stacked layers, on one thread.

Each layer is one batched product of the weights of all learners, [L, inputs, outputs], with their rows. All parameters
are views of one matrix with a row a learner, as their gradients are: each row is clipped by its own norm, and the fused
Adam sees one tensor. Learners shuffle by themselves, and their advantages are standardised by themselves, in each
minibatch. Losses are summed.
Random numbers are the one thing that learners share here: theirs come from one generator.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor, baddbmm

from benchmarks.speed._sides import floor
from benchmarks.speed._sides.floor import EPOCHS, MAX_GRAD_NORM, MINIBATCHES, STEPS, Array

TD_LEARNING_RATE = 3e-4


class Learners:
    """The networks of L learners, their returns, and the noise that they act with.

    Args:
        env: environments of all learners, those of learner i side by side.
        learners: L.
        adam: arguments of Adam.
    """

    def __init__(self, env: VectorEnv, learners: int, **adam: Any) -> None:  # noqa: ANN401
        self.env, self.count, self.each = env, learners, env.num_envs // learners
        sizes = env.single_observation_space.shape[0], int(env.single_action_space.n)  # type: ignore[index, attr-defined]
        alone = [floor.make_networks(*sizes) for _ in range(learners)]
        self.flat = torch.stack([vector for *_, vector in alone])
        self.flat.grad = torch.zeros_like(self.flat)
        like = [*alone[0][0], *alone[0][1]]
        views, grads = (parts_of(matrix, like) for matrix in (self.flat, self.flat.grad))
        for view, grad in zip(views, grads, strict=True):
            view.requires_grad_().grad = grad
        self.policy, self.critic = views[:6], views[6:]
        self.adam = torch.optim.Adam([self.flat], fused=True, **adam)
        self.running, self.last = np.zeros(env.num_envs), [deque[float](maxlen=100) for _ in range(learners)]
        self.noise: list[Tensor] = []

    def act(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and actions for observations [L, b, D]."""
        logits = network(self.policy, observations)
        if not self.noise:
            self.noise = [*torch.empty(STEPS, *logits.shape).exponential_().log_()]
        return logits, (logits - self.noise.pop()).argmax(-1)  # the exponential race, in logarithms

    def ended(self, rewards: Array, done: Array) -> None:
        """Remember the returns of episodes that have ended."""
        self.running += rewards
        if done.any():
            for row in np.flatnonzero(done):
                self.last[row // self.each].append(self.running[row])
            self.running[done] = 0

    def value(self, row: int, observation: Array) -> float:
        """Return the value of one observation in an environment."""
        learner = row // self.each
        critic = [weights[learner : learner + 1] for weights in self.critic]
        return network(critic, torch.from_numpy(observation)[None, None]).item()

    def descend(self, loss: Tensor, most: float | None) -> None:
        """Take a step along the gradients, each learner's clipped to the norm `most`."""
        assert self.flat.grad is not None
        self.flat.grad.zero_()
        loss.backward()
        if most is not None:
            norms = torch.linalg.vector_norm(self.flat.grad, dim=1, keepdim=True)
            self.flat.grad.mul_((most / (norms + 1e-6)).clamp_(max=1.0))
        self.adam.step()


def parts_of(matrix: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Return weights [L, inputs, outputs] and biases [L, 1, outputs] as views of a matrix [L, P]."""
    split = zip(matrix.split([part.numel() for part in like], 1), like, strict=True)
    return [part.view(len(matrix), *((1, *shape.shape) if shape.ndim == 1 else shape.shape)) for part, shape in split]


def network(w: list[Tensor], x: Tensor) -> Tensor:
    """Return the outputs for inputs x [L, N, D]."""
    return baddbmm(w[5], baddbmm(w[3], baddbmm(w[1], x, w[0]).tanh(), w[2]).tanh(), w[4])


@torch.no_grad()
def collect(learners: Learners, observation: Array) -> tuple[Array, tuple[Tensor, ...]]:
    """Take STEPS steps; return the next observation and what is learned from, [L · STEPS · b, …]."""
    rows, cuts, shape = [], [], (learners.count, learners.each)
    for t in range(STEPS):
        logits, actions = learners.act(torch.from_numpy(observation).view(*shape, -1))
        seen = observation
        observation, rewards, terminated, truncated, infos = learners.env.step(actions.view(-1).numpy())
        rows.append((seen, logits, actions, rewards, terminated, done := terminated | truncated))
        learners.ended(rewards, done)
        if truncated.any():
            cuts += [(t, b, infos["final_obs"][b]) for b in np.flatnonzero(truncated & ~terminated)]
    seen_by, logits_of, taken, gained, ended, over = zip(*rows, strict=True)
    observations = torch.from_numpy(np.stack([*seen_by, observation])).view(STEPS + 1, *shape, -1).transpose(0, 1)
    values = network(learners.critic, observations.flatten(1, 2)).view(learners.count, STEPS + 1, -1)
    values = values.transpose(0, 1).reshape(STEPS + 1, -1).numpy()
    next_values = values[1:] * ~np.stack(ended)
    for t, b, final in cuts:
        next_values[t, b] = learners.value(b, final)
    advantages = floor.estimated(np.stack(gained), values, next_values, np.stack(over))
    actions = torch.stack(taken)[..., None]
    log_probs = torch.stack(logits_of).log_softmax(-1).gather(-1, actions).squeeze(-1)
    estimates = (torch.from_numpy(x).view(STEPS, *shape) for x in (advantages, advantages + values[:-1]))
    by_step = (actions, log_probs, *estimates)
    return observation, (observations[:, :-1].flatten(0, 2), *(x.transpose(0, 1).flatten(0, 2) for x in by_step))


def learn(learners: Learners, data: tuple[Tensor, ...]) -> None:
    """Take EPOCHS × MINIBATCHES steps on a rollout, each learner in an order of its own."""
    count = len(data[0]) // learners.count
    first = torch.arange(learners.count)[:, None] * count
    for _ in range(EPOCHS):
        orders = torch.stack([torch.randperm(count) for _ in range(learners.count)]) + first
        orders = orders.view(learners.count, MINIBATCHES, -1).transpose(0, 1).flatten()
        parts = (field.index_select(0, orders).chunk(MINIBATCHES) for field in data)
        for observations, actions, log_probs, advantages, targets in zip(*parts, strict=True):
            rows = observations.view(learners.count, -1, observations.shape[-1])
            logits, values = network(learners.policy, rows).flatten(0, 1), network(learners.critic, rows).flatten()
            scaled = standardized(advantages.view(learners.count, -1)).flatten()
            mean = floor.loss_of(logits, values, actions, log_probs, scaled, targets, floor.CLIP)
            learners.descend(learners.count * mean, MAX_GRAD_NORM)  # the sum of means of equally many


def standardized(advantages: Tensor) -> Tensor:
    """Return advantages [L, M] with mean 0 and standard deviation 1 in each row."""
    deviation, mean = torch.std_mean(advantages, 1, keepdim=True)
    return (advantages - mean) / (deviation + 1e-8)


def take_td_step(learners: Learners, observation: Array) -> Array:
    """Act once and learn from it with the temporal difference; return the next observation."""
    seen = torch.from_numpy(observation).view(learners.count, learners.each, -1)
    with torch.no_grad():
        _, actions = learners.act(seen)
    observation, rewards, terminated, truncated, infos = learners.env.step(actions.view(-1).numpy())
    learners.ended(rewards, terminated | truncated)
    following = observation
    if truncated.any():
        following = np.where((truncated & ~terminated)[:, None], infos["final_obs"], observation)
    with torch.no_grad():
        next_values = network(learners.critic, torch.from_numpy(following).view_as(seen)).squeeze(-1)
        going = torch.from_numpy(~terminated).view_as(next_values)
        gained = torch.from_numpy(rewards.astype(np.float32)).view_as(next_values)
        targets = gained + floor.DISCOUNT * next_values * going
    errors = targets - network(learners.critic, seen).squeeze(-1)
    log_probs = network(learners.policy, seen).log_softmax(-1).gather(-1, actions[..., None]).squeeze(-1)
    loss = 0.5 * errors.square() - errors.detach() * log_probs
    learners.descend(loss.sum() / learners.each, None)
    return observation


def train(env: VectorEnv, *, learners: int, method: str, total_steps: int, seed: int) -> dict[str, float]:
    """Learn by `method`, "ppo" or "td", in environments that reset in the step in which an episode ends.

    Args:
        env: with a seed a row.
        learners: L.
        method: PPO as in `floor`, or an actor-critic that learns from every step.
        total_steps: of each learner.
        seed: of everything.
    """
    torch.manual_seed(seed)
    ppo, steps = method == "ppo", 0
    adam = {"lr": floor.LEARNING_RATE, "eps": 1e-5} if ppo else {"lr": TD_LEARNING_RATE}
    them = Learners(env, learners, **adam)
    started, cpu = time.perf_counter(), time.process_time()
    observation, _ = env.reset(seed=seed)
    while steps < learners * total_steps:
        if ppo:
            observation, data = collect(them, observation)
            learn(them, data)
        else:
            observation = take_td_step(them, observation)
        steps += env.num_envs * (STEPS if ppo else 1)
    times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    means = [np.mean(last) for last in them.last if last]
    return {"steps": steps, "mean_return": float(np.mean(means)) if means else 0.0} | times
