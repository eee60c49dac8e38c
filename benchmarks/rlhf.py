"""Preferences → reward model → policy gradient, with known true preferences: `python -m benchmarks rlhf`.

A prompt names one of eight symbols, and a text of up to eight tokens answers it. Its utility u is twice the number of
times the symbol stands in it, up to three, less twice the number beyond that: 0 2 4 6 4 2 0 −2 −4. Somebody prefers y
to y′ with probability σ(u(y) − u(y′)). A reward model learns from pairs that an untrained policy has written, in
which the symbol seldom stands more than three times, so that it believes that more is better. GRPO then maximises the
reward model less β KL(π‖π_untrained): with β = 0 the reward model is satisfied and the utility lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import torch
from pg_envs import TokenVectorEnv
from pg_envs.tokens.token_task import Completion, Prompt, TokenTask

import pg_agents as pg
from benchmarks.records import RESULTS, write
from pg_agents.llm.reward_model import RewardModel, simulated_preferences
from pg_agents.policies import TransformerCritic, TransformerPolicy
from pg_agents.seeding import Purpose, spawn

SYMBOLS, NEW_TOKENS, ENOUGH = 8, 8, 3
PAD, EOS = SYMBOLS, SYMBOLS + 1
WEIGHTS = (0.0, 0.1, 0.3, 1.0)  # β
PAIRS, ROWS, UPDATES = 8192, 128, 150
FILE = RESULTS / "rlhf.json"


def utility(prompt: Prompt, completion: Completion) -> float:
    """Return a completion's true utility, from which preferences are made."""
    found = completion.count(prompt[0])
    return 2.0 * (min(found, ENOUGH) - max(found - ENOUGH, 0))


TASK = TokenTask([[symbol] for symbol in range(SYMBOLS)], utility, EOS + 1, EOS, NEW_TOKENS, pad=PAD)


def run(weight: float, seed: int) -> dict[str, Any]:
    """Collect preferences, fit the reward model, train against it; return curves of both rewards and of the KL."""
    torch.set_num_threads(1)
    torch.manual_seed(spawn(seed, Purpose.PARAMETERS))
    window = 1 + NEW_TOKENS
    policy = TransformerPolicy(EOS + 1, window, width=32, layers=1)
    model = RewardModel(TransformerCritic(EOS + 1, window, width=32, layers=2))
    before = spawn(seed, Purpose.PREFERENCES)  # the policy is trained with other prompts and other chance
    asked = pg.collect_episodes(TokenVectorEnv(2 * PAIRS, task=TASK, group_size=2), policy, seed=before)
    choices = torch.Generator().manual_seed(spawn(before, Purpose.PREFERENCES))
    training, unseen = (simulated_preferences(next(asked), choices) for _ in range(2))
    losses = model.fit(training, epochs=5, learning_rate=3e-3, seed=seed)
    accuracy = {"training": model.accuracy(training), "unseen": model.accuracy(unseen)}

    judged = replace(TASK, score=None, score_batch=model.scores)
    env = TokenVectorEnv(ROWS, task=judged, group_size=8)
    agent = pg.GRPO(policy=policy, kl_weight=weight, epochs=1, minibatch_size=None, learning_rate=3e-3)
    reference = policy.frozen_copy()
    collector = pg.collect_episodes(env, policy, group_size=8, seed=seed)
    curve = []
    for update in range(UPDATES + 1):
        rollout = next(collector)
        with torch.no_grad():
            ratio = rollout.log_probs - reference(rollout.observations).log_prob(rollout.actions)
        point = {"update": update, "kl": float((ratio * rollout.mask).sum(0).mean())}
        point |= {"reward_model": float(rollout.episode_returns.mean()), "utility": mean_utility(rollout)}
        curve.append(point)
        if update < UPDATES:
            agent.update(rollout)
    return {"kl_weight": weight, "seed": seed, "losses": losses, "accuracy": accuracy, "curve": curve}


def mean_utility(rollout: pg.Rollout) -> float:
    """Return the mean utility of a rollout's completions."""
    prompts = rollout.observations.tokens[:, 0].tolist()
    completions = [column[mask].tolist() for column, mask in zip(rollout.actions.T, rollout.mask.T, strict=True)]
    return sum(utility((p,), c) for p, c in zip(prompts, completions, strict=True)) / len(prompts)


def run_rlhf(seeds: Sequence[int] = range(3), workers: int = 2) -> dict[str, Any]:
    """Run all weights and seeds, write results/rlhf.json and return its contents."""
    cells = [(weight, seed) for weight in WEIGHTS for seed in seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, *zip(*cells, strict=True)))
    return write("rlhf", "python -m benchmarks rlhf", {"runs": runs})


def plot_rlhf() -> None:
    """Draw what the reward model, and those it was learned from, think of the policy as it learns."""
    if not FILE.exists():
        return
    import matplotlib.pyplot as plt

    runs = json.loads(FILE.read_text())["runs"]
    weights = sorted({one["kl_weight"] for one in runs})
    figure, axes = plt.subplots(1, len(weights), figsize=(3.2 * len(weights), 3), sharey=True, layout="constrained")
    for axis, weight in zip(axes, weights, strict=True):
        for one in (one for one in runs if one["kl_weight"] == weight):
            first = one["seed"] == runs[0]["seed"]
            for name, colour, label in (
                ("reward_model", "tab:orange", "reward model"),
                ("utility", "tab:blue", "true utility"),
            ):
                values = [point[name] for point in one["curve"]]
                axis.plot(values, color=colour, lw=1.2, label=label if first else None)
        distance = sum(one["curve"][-1]["kl"] for one in runs if one["kl_weight"] == weight)
        distance /= sum(one["kl_weight"] == weight for one in runs)
        axis.axhline(2 * ENOUGH, color="grey", lw=0.8, ls="--")
        axis.set(title=f"β = {weight:g}, KL {distance:.1f} nats in the end", xlabel="updates")
    axes[0].legend(frameon=False, loc="lower left")
    figure.savefig(RESULTS / "rlhf.png", dpi=110)
    plt.close(figure)
