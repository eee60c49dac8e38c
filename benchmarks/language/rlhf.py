"""What becomes of the true utility when a policy is trained against a reward model?

A prompt names one of eight symbols, and a text of up to eight tokens answers it. Its utility u is twice the number of
times the symbol stands in it, up to three, less twice the number beyond that: 0 2 4 6 4 2 0 −2 −4. Somebody prefers y
to y′ with probability σ(u(y) − u(y′)). A reward model learns from pairs that an untrained policy has written, in
which the symbol seldom stands more than three times, so that it believes that more is better. GRPO then maximises the
reward model less β KL(π‖π_untrained): with β = 0 the reward model is satisfied and the utility falls below that of the
untrained policy. Numbers are means over seeds with the least and the most; the utility is 6 at best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pg_envs import TokenVectorEnv
from pg_envs.tokens.token_task import Completion, Prompt, TokenTask

import pg_agents as pg
from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, cell_rows, failures, markdown, number, results
from pg_agents.llm.reward_model import RewardModel, simulated_preferences
from pg_agents.policies import TransformerCritic, TransformerPolicy
from pg_agents.seeding import Purpose, spawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SYMBOLS, NEW_TOKENS, ENOUGH = 8, 8, 3
PAD, EOS = SYMBOLS, SYMBOLS + 1
BEST = 2.0 * ENOUGH  # utility
PAIRS, ROWS = 8192, 128
CURVES = {"reward_model": ("reward model", "#edae49"), "utility": ("true utility", "#00798c")}
LAST = 20  # updates whose mean is "in the end"


@dataclass(frozen=True)
class Cell:
    """A weight of the penalty.

    Attributes:
        name: in tables.
        kl_weight: β.
        updates: of the policy.
    """

    name: str
    kl_weight: float
    updates: int = 150


CELLS = [Cell(f"β = {weight:g}", weight) for weight in (0.0, 0.1, 0.3, 1.0)]
SEEDS = (0, 1, 2)


def utility(prompt: Prompt, completion: Completion) -> float:
    """Return a completion's true utility, from which preferences are made."""
    found = completion.count(prompt[0])
    return 2.0 * (min(found, ENOUGH) - max(found - ENOUGH, 0))


TASK = TokenTask([[symbol] for symbol in range(SYMBOLS)], utility, EOS + 1, EOS, NEW_TOKENS, pad=PAD)


def run(cell: Cell, seed: int) -> dict[str, Any]:
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
    agent = pg.GRPO(policy=policy, kl_weight=cell.kl_weight, epochs=1, minibatch_size=None, learning_rate=3e-3)
    reference = policy.frozen_copy()
    collector = pg.collect_episodes(env, policy, group_size=8, seed=seed)
    curve = []
    for update in range(cell.updates + 1):
        rollout = next(collector)
        with torch.no_grad():
            ratio = rollout.log_probs - reference(rollout.observations).log_prob(rollout.actions)
        point = {"update": update, "kl": float((ratio * rollout.mask).sum(0).mean())}
        point |= {"reward_model": float(rollout.episode_returns.mean()), "utility": mean_utility(rollout)}
        curve.append(point)
        if update < cell.updates:
            agent.update(rollout)
    return {"losses": losses, "accuracy": accuracy, "curve": curve}


def mean_utility(rollout: pg.Rollout) -> float:
    """Return the mean utility of a rollout's completions."""
    prompts = rollout.observations.tokens[:, 0].tolist()
    completions = [column[mask].tolist() for column, mask in zip(rollout.actions.T, rollout.mask.T, strict=True)]
    return sum(utility((p,), c) for p, c in zip(prompts, completions, strict=True)) / len(prompts)


def table(records: Sequence[Record]) -> str:
    """Return a row for each weight: reward model, utility and KL in the end, means with the least and the most."""
    heads = ("penalty", "seeds", "reward model in the end", "true utility", "KL in the end, nats")
    rows = cell_rows(CELLS, records, _row)
    every = [one for mine in by_cell(records).values() for one in results(mine)]
    before = [["untrained", str(len(every)), *_texts(every, slice(1))]] if every else []
    return markdown(heads, before + rows, 1)


def _row(each: list[dict[str, Any]]) -> Iterator[list[str]]:
    yield [str(len(each)), *_texts(each, slice(-LAST, None))]


def _texts(each: list[dict[str, Any]], updates: slice) -> Iterator[str]:
    """Yield reward, utility and KL over some updates: the mean over seeds, the least and the most."""
    for what in ("reward_model", "utility", "kl"):
        means = [float(np.mean([point[what] for point in one["curve"][updates]])) for one in each]
        yield f"{number(np.mean(means), 3)} ({number(min(means), 3)} … {number(max(means), 3)})"


def plot(records: Sequence[Record]) -> Figure | None:
    """Return what the reward model, and those it was learned from, think of the policy as it learns."""
    from benchmarks.suite.pictures import BANDS, draw_curves, draw_level, panels

    found = by_cell(records)
    if not found:
        return None
    title = f"A policy trained against a reward model ({BANDS})"
    for axes, cell in zip(panels(len(CELLS), title), CELLS, strict=True):
        mine = found.get(cell.name, {})
        for name, (label, colour) in CURVES.items():
            runs = [[(point["update"], point[name]) for point in one["curve"]] for one in results(mine)]
            draw_curves(axes, runs, label, colour=colour)
        draw_level(axes, BEST, "best utility")
        kl = [one["curve"][-1]["kl"] for one in results(mine)]
        said = f", KL {np.mean(kl):.1f} nats in the end" if kl else failures(mine)
        axes.set(title=f"{cell.name}{said}", xlabel="updates", ylabel="mean of a rollout", ylim=(-4.5, 7))
        axes.legend(fontsize=7, loc="lower left")
    return axes.figure
