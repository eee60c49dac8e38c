"""Finite problems of environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pg_envs
import torch
from numpy.typing import ArrayLike, NDArray
from pg_envs import TabularMDP, TokenTask

from pg_agents.gradients.problem import Problem
from pg_agents.seeding import Purpose, environment_seeds, spawn

MAX_TEXTS = 600  # the most prefixes of completions, over all prompts
NUM_PROMPTS = 2  # the number of prompts used of a task that draws them

Text = tuple[int, ...]


def problem_of(
    env: gym.Env, *, discount: float | None = None, horizon: int | None = None, window: int = 3, seed: int = 0
) -> Problem:
    """Return the environment's process and objective as a finite problem.

    Ends that the environment does not show (those of bandits) look like its last state, where no decision is taken.
    Bandits are processes of one decision; a token task that draws its prompts is asked the first two that `seed` gives.
    A process that ends, has a time limit or is given a horizon is episodic; a continuing one is judged by its average
    reward, in windows of `window` steps.

    Args:
        env: a single environment, as `gym.make` returns it.
        discount: γ; None: the process's own, for token tasks and bandits 1.
        horizon: cut episodes at that many steps; None: as the environment does.
        window: the length of windows for a continuing task.
        seed: the seed of drawn arms and prompts.

    Raises:
        ValueError: an environment without tables; one that is too large; a discount that a continuing task would
            ignore, or a horizon that a token task would.
    """
    core: Any = env.unwrapped
    name = env.spec.id if env.spec is not None else type(core).__name__
    limit = getattr(env.spec, "max_episode_steps", None) if horizon is None else horizon
    plain = 1.0 if discount is None else discount
    if isinstance(core, pg_envs.TokenEnv):
        if horizon is not None:
            raise ValueError(
                f"horizon: {name} has a length cap of its own; set it by --env-arg max_new_tokens={horizon}"
            )
        return token_problem(core, plain, seed, name)
    if isinstance(core, pg_envs.BernoulliBandit | pg_envs.ContextualBandit | pg_envs.GaussianBandit):
        env.reset(seed=environment_seeds(seed, 1)[0])
        mdp, limit = _bandit(core), None
    else:
        mdp = core.mdp if hasattr(core, "mdp") else _toy_text(env, name)
        plain = mdp.discount if discount is None else discount
    seen = torch.arange(mdp.num_states).clamp(max=int(env.observation_space.n) - 1)  # type: ignore[attr-defined]
    if limit is None and not mdp.terminal.any():
        if discount is not None:
            raise ValueError(
                f"discount: {name} never ends and is judged by its average reward, which no discount belongs to; give "
                "a horizon too, for the discounted reward of that many steps"
            )
        return Problem(mdp, seen, horizon=window, average=True, name=name)
    return Problem(mdp, seen, discount=plain, horizon=limit, name=name)


def _bandit(core: Any) -> TabularMDP:  # noqa: ANN401
    if isinstance(core, pg_envs.GaussianBandit):
        return gaussian_bandit(core.expected_rewards(), core.rows.reward_std)  # type: ignore[attr-defined]
    return bernoulli_bandit(core.rows.probabilities)


def _toy_text(env: gym.Env, name: str) -> TabularMDP:
    if not hasattr(env.unwrapped, "P"):
        raise ValueError(
            f"env: {name} has no finite tables to compute a gradient from; bandits, pg/... processes, token tasks and "
            "Gymnasium's toy texts have"
        )
    return TabularMDP.from_gymnasium(env)


def bernoulli_bandit(probabilities: ArrayLike) -> TabularMDP:
    """Return a bandit as a process: contexts (equally likely) 0 … n − 1, then the ends "paid 0" and "paid 1".

    Args:
        probabilities: of each arm to pay 1, [k], or [n, k] with n contexts.
    """
    chances = np.atleast_2d(np.asarray(probabilities, np.float64))
    return _one_decision(np.stack([1 - chances, chances], -1), np.broadcast_to([0.0, 1.0], (*chances.shape, 2)))


def gaussian_bandit(means: ArrayLike, std: float = 1.0) -> TabularMDP:
    """Return a bandit whose arm a pays q(a) − σ or q(a) + σ, each half of the time.

    It has the mean and the variance of N(q(a), σ²), and so has every estimate that is linear in the reward.
    """
    q = np.atleast_2d(np.asarray(means, np.float64))
    return _one_decision(np.full((*q.shape, 2), 0.5), np.stack([q - std, q + std], -1))


def _one_decision(chances: NDArray[np.float64], rewards: NDArray[np.float64]) -> TabularMDP:
    contexts, arms, ends = chances.shape
    p, r = np.zeros((2, contexts + ends, arms, contexts + ends))
    p[:contexts, :, contexts:], r[:contexts, :, contexts:] = chances, rewards
    initial = np.where(np.arange(contexts + ends) < contexts, 1 / contexts, 0.0)
    return TabularMDP(p, r, initial, terminal=np.arange(contexts, contexts + ends))


def token_problem(env: pg_envs.TokenEnv, discount: float, seed: int, name: str) -> Problem:
    """Return token generation as a process whose states are the texts so far, and one end.

    Raises:
        ValueError: more than 600 texts.
    """
    task, window = env.task, env.rows.window
    prompts = prompts_of(task, seed)
    texts = _texts(task, prompts, name)
    index = {text: state for state, text in enumerate(texts)}
    size = len(texts) + 1
    p, r = np.zeros((2, size, task.vocabulary, size))
    for (prompt, completion), state in index.items():
        for token in range(task.vocabulary):
            longer = [*completion, token]
            following = index.get((prompt, tuple(longer)), size - 1)
            p[state, token, following] = 1
            r[state, token, following] = task.reward_token(prompt, longer)
            if following == size - 1:
                r[state, token, following] += task.judge(prompt, longer)
    initial = np.zeros(size)
    initial[[index[prompt, ()] for prompt in prompts]] = 1 / len(prompts)
    mdp = TabularMDP(p, r, initial, terminal=[size - 1])
    windows = [list(prompt + completion)[-window:] for prompt, completion in texts] + [[task.pad]]
    observations = {
        "tokens": torch.tensor([text + [task.pad] * (window - len(text)) for text in windows]),
        "length": torch.tensor([len(text) for text in windows]),
    }
    return Problem(mdp, observations, discount=discount, name=name)


def prompts_of(task: TokenTask, seed: int) -> list[Text]:
    """Return the task's prompts, or the first two different ones that a generator with `seed` draws."""
    if not callable(task.prompts):
        return list(dict.fromkeys(tuple(int(token) for token in prompt) for prompt in task.prompts))
    generator, longest = np.random.default_rng(spawn(seed, Purpose.PROBLEM)), task.longest_prompt or 10**9
    drawn = [tuple(task.draw(generator, longest).tolist()) for _ in range(100)]
    return list(dict.fromkeys(drawn))[:NUM_PROMPTS]


def _texts(task: TokenTask, prompts: Sequence[Text], name: str) -> list[tuple[Text, Text]]:
    """Return all pairs of a prompt and a completion that may go on."""
    eos = {task.eos} if isinstance(task.eos, int) else set(task.eos)
    goes_on = [token for token in range(task.vocabulary) if token not in eos]
    sizes = [len(prompts) * sum(len(goes_on) ** t for t in range(cap + 1)) for cap in range(task.max_new_tokens)]
    if sizes[-1] > MAX_TEXTS:
        fits = max(1, sum(size <= MAX_TEXTS for size in sizes))
        raise ValueError(
            f"env: {name} has {sizes[-1]:.3g} texts of up to {task.max_new_tokens} tokens, too many to enumerate (at "
            f"most {MAX_TEXTS}); make it smaller, for example by --env-arg max_new_tokens={fits}"
        )
    texts: list[tuple[Text, Text]] = []
    for prompt in prompts:
        level: list[Text] = [()]
        for _ in range(task.max_new_tokens):
            texts += [(prompt, completion) for completion in level]
            longer = [(*text, token) for text in level for token in goes_on]
            level = [text for text in longer if not task.stops(prompt, list(text))]
    return texts
