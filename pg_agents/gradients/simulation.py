"""Simulated paths from an environment's current state, which estimate relative action values."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.collection.mask_reader import MaskReader
from pg_agents.collection.vector_envs import as_vector_env, name_of
from pg_agents.data.devices import on_device
from pg_agents.data.tree import Tree, tree_leaves, tree_map
from pg_agents.distributions import draw
from pg_agents.policies import Policy, check_learners
from pg_agents.seeding import Purpose, environment_seeds, spawn
from pg_agents.spaces.conversion import to_env_action
from pg_agents.spaces.environments import takes_seeds

Env = gym.Env | VectorEnv


def fork(env: Env, seed: int) -> Env:
    """Return a copy of `env` in the same state with new random numbers; `env` itself is not changed.

    The copy gets generators of its own: copied ones would repeat the environment's own future. Environments that draw
    numbers ahead have a method `reseed(seed)`; in others `np_random` is replaced.

    Raises:
        TypeError: the environment lives in other processes.
    """
    if isinstance(env.unwrapped, AsyncVectorEnv):  # a copy would share its pipes, and close them when it goes
        raise TypeError("env: an AsyncVectorEnv lives in other processes and cannot be copied; use a SyncVectorEnv")
    forked, seed = copy.deepcopy(env), spawn(seed, Purpose.SIMULATION)
    core: Any = forked.unwrapped
    if isinstance(core, SyncVectorEnv):
        for inner, own in zip(core.envs, environment_seeds(seed, core.num_envs), strict=True):
            _reseed(inner.unwrapped, own)
    elif isinstance(core, VectorEnv) and takes_seeds(core):
        _reseed(core, environment_seeds(seed, core.num_envs))
    else:
        _reseed(core, environment_seeds(seed, 1)[0])
    return forked


def estimate_gain(env: Env, observation: Tree, policy: Policy, *, steps: int, seed: int, skip: int = 0) -> float:
    """Return λ̂, the mean reward of `steps` simulated steps in each row of `env`.

    Args:
        env: as in `rollout_values`.
        observation: as in `rollout_values`.
        policy: the policy whose gain is estimated.
        steps: the number of steps to average over; the standard error is proportional to 1/√(steps · B).
        seed: the seed of the simulation; it must differ from that of the paths for which the estimate is used.
        skip: the number of steps before averaging, which make the estimate independent of the first state.

    Raises:
        ValueError: an episode ended, as the gain is defined for continuing tasks.
    """
    path = _path(env, observation, policy, None, seed)
    return float(np.mean([rewards for t, (rewards, _) in zip(range(skip + steps), path, strict=False) if t >= skip]))


def rollout_values(
    env: Env,
    observation: Tree,
    policy: Policy,
    actions: Tensor | None = None,
    *,
    gain: float,
    reference: Tree,
    seed: int,
    max_steps: int = 100_000,
) -> Tensor:
    """Estimate the relative value of each row's action by one simulated path to the reference state.

        Q̂(S_t, A_t) = Σ_{k<τ} (R̃_{k+1} − λ̂),   S̃_0 = S_t, Ã_0 = A_t, τ = min {k ≥ 1 : S̃_k = reference}

    With the exact gain, E Q̂ is the solution of Q(s,a) = r(s,a) − λ + Σ_{s'} P(s'|s,a) V(s') whose V(reference) is 0;
    an error of λ̂ adds (λ − λ̂) E τ. So Q̂ ∇ ln π(A_t|S_t) is the update (22), and Q̂ of A_t less V̂, the same without
    `actions`, that of (23). λ̂ has to come from another path (`estimate_gain`): with λ̃ the average of the very path
    that is summed, Σ_{k<K} (R̃_{k+1} − λ̃) = 0 whatever was done; and with the exact λ but without a state to stop at
    the partial sums do not converge, they walk at random.

    Args:
        env: single or vector, of B rows; copied, and left as it is.
        observation: its current observation, [B, …]; for a single environment without the leading dimension.
        policy: π.
        actions: A_t as the policy samples them, int64 [B]; None: drawn from π, which gives V̂(S_t).
        gain: λ̂.
        reference: the observation of the reference state, which the policy reaches from every state.
        seed: the seed of the simulation.
        max_steps: the most steps of a path.

    Returns:
        Q̂, float64 [B].

    Raises:
        ValueError: a path did not reach the reference state, or its episode ended before.

    Reference: Van Roy's lecture note, section 2.3, stopped at a reference state.
    """
    total: NDArray[np.float64] | None = None
    for k, (rewards, following) in enumerate(_path(env, observation, policy, actions, seed)):
        if total is None:
            total, away = np.zeros(len(rewards)), np.ones(len(rewards), bool)
        total += away * (rewards - gain)
        away &= ~_equal(following, reference, len(rewards))
        if not away.any():
            return torch.from_numpy(total)
        if k + 1 >= max_steps:
            break
    raise ValueError(
        f"reference: {int(away.sum())} of {len(away)} paths did not come back to it in {max_steps} steps; "
        "take a state that the policy visits more often"
    )


@torch.no_grad()
def _path(
    env: Env, observation: Tree, policy: Policy, actions: Tensor | None, seed: int
) -> Iterator[tuple[NDArray[np.float64], Tree]]:
    """Yield the rewards [B] and next observations [B, …] of an endless path simulated from the state of `env`."""
    if not isinstance(env, VectorEnv):
        observation = tree_map(lambda leaf: np.asarray(leaf)[None], observation)
    simulated = as_vector_env(fork(env, seed))
    check_learners(policy, simulated.num_envs)
    device = next(policy.parameters()).device
    generator = torch.Generator(device).manual_seed(spawn(spawn(seed, Purpose.SIMULATION), Purpose.ACTIONS))
    spaces = simulated.single_observation_space, simulated.single_action_space
    to_env, masks = to_env_action(spaces[1]), MaskReader(*spaces, simulated.num_envs)
    every = np.ones(simulated.num_envs, bool)
    memory = None

    def where(row: int | None) -> str:
        return f"in a simulation of {name_of(env)}, environment {row}, seed {seed}"

    while True:
        seen = on_device(tree_map(np.array, observation), device)
        distribution, memory = policy.step(seen, memory)
        drawn = draw(distribution, where, generator=generator)
        taken = drawn if actions is None else torch.as_tensor(actions, device=device).reshape(drawn.shape)
        following, rewards, terminated, truncated, infos = simulated.step(to_env(policy.unscale_action(taken)))
        actions = None
        if terminated.any() or truncated.any():
            raise ValueError(
                "env: an episode ended in a simulated path; the gain and relative values are of tasks that go on for "
                "ever: make the environment without a time limit"
            )
        yield np.asarray(rewards, np.float64), following
        observation = masks.fold(following, infos, None, every, every)


def _reseed(env: Any, seed: int | list[int]) -> None:  # noqa: ANN401
    if hasattr(env, "reseed"):
        env.reseed(seed)
    else:
        env.np_random = np.random.default_rng(seed)


def _equal(observations: Tree, reference: Tree, rows: int) -> NDArray[np.bool_]:
    """Return which rows show the reference observation, bool [B]."""

    def same(leaf: NDArray[Any], wanted: Any) -> NDArray[np.bool_]:  # noqa: ANN401
        return np.asarray(np.reshape(np.asarray(leaf) == np.asarray(wanted), (rows, -1)).all(1))

    return np.asarray(np.stack(list(tree_leaves(tree_map(same, observations, reference)))).all(0))
