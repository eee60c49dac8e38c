"""What does a run look like in which something is wrong, beside a healthy one?

For each mistake that is common, a run with it and a run without, of the same seed: what tells them apart is drawn.
docs/debugging.md shows the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import VectorEnv

import pg_agents as pg
from benchmarks.learning._symptoms import broken
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, number, results
from pg_agents.audit.check import audit
from pg_agents.training.loop import make_collector
from pg_agents.training.progress import RunProgress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (0, 1, 2)
WHICH = {"healthy": "#00798c", "faulty": "#d1495b"}
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 1e-3}
NAMES = {
    "return": "return", "length": "steps of an episode", "entropy": "entropy, nats", "kl": "KL of an update, nats",
    "explained_variance": "explained variance", "grad_norm": "gradient's norm", "value_loss": "value loss",
    "clip_fraction": "ratios that were clipped", "zero_variance_groups": "groups of equal scores",
}  # fmt: skip
LOGARITHMIC = ("kl", "grad_norm", "value_loss")
Made = tuple[pg.Agent, VectorEnv]


@dataclass(frozen=True)
class Cell:
    """A mistake.

    Attributes:
        name: of the mistake, as the picture's file has it.
        title: what is wrong, and where.
        healthy: what the run without it is called.
        metrics: what tells the two runs apart.
        total_steps: of either.
    """

    name: str
    title: str
    healthy: str
    metrics: tuple[str, ...]
    total_steps: int = 30_000


CELLS = [
    Cell("step-size", "Learning rate × 100, CartPole", "1e-3", ("return", "entropy", "kl")),
    Cell("sign", "The reward's sign is wrong, CartPole", "+1 a step", ("return", "length", "explained_variance")),
    Cell("clock", "Time-outs reported as terminations, CartPole of 50 steps", "truncated",
         ("return", "value_loss", "entropy")),
    Cell("collapse", "Entropy collapses: REINFORCE on eleven arms, learning rate 1, no entropy bonus",
         "0.1, entropy bonus", ("return", "entropy", "grad_norm"), 8_000),
    Cell("scale", "Observations around 10,000, CartPole", "normalised", ("return", "entropy", "explained_variance")),
    Cell("rewards", "Rewards × 10,000, neither they nor advantages normalised, CartPole", "normalised",
         ("return", "grad_norm", "explained_variance")),
    Cell("mismatch", "Acts with other probabilities than it learns with, CartPole", "the same",
         ("return", "kl", "clip_fraction")),
    Cell("equal-scores", "Groups of equal scores: GRPO copies four symbols", "part marks",
         ("return", "zero_variance_groups", "grad_norm")),
    Cell("mask", "The action mask is shifted by one action, six towns", "right",
         ("return", "length", "entropy"), 20_000),
]  # fmt: skip


def cart_pole(seed: int, env: VectorEnv | None = None, **options: Any) -> Made:  # noqa: ANN401
    """Return PPO and 16 CartPoles, or others."""
    env = env or gym.make_vec("pg/CartPole-v1", 16)
    return pg.PPO.for_env(env, seed=seed, **PPO | options), env


def _scaled(seed: int, faulty: bool, **factors: float) -> Made:
    env = broken.Scaled(gym.make_vec("pg/CartPole-v1", 16), **factors)
    return cart_pole(seed, env, normalize_observations=not faulty)


def _step_size(seed: int, faulty: bool) -> Made:
    return cart_pole(seed, learning_rate=1e-1 if faulty else 1e-3)


def _sign(seed: int, faulty: bool) -> Made:
    return cart_pole(seed, broken.Scaled(gym.make_vec("pg/CartPole-v1", 16), rewards=-1.0 if faulty else 1.0))


def _clock(seed: int, faulty: bool) -> Made:
    env = gym.make_vec("pg/CartPole-v1", 16, max_episode_steps=50)
    return cart_pole(seed, broken.ClockTerminates(env) if faulty else env)


def _collapse(seed: int, faulty: bool) -> Made:
    env = gym.make_vec("pg/BernoulliBandit-v0", 16, probabilities=[0.1 + 0.08 * arm for arm in range(11)])
    careful = {"learning_rate": 0.1, "entropy_weight": 0.05}
    return pg.Reinforce.for_env(env, seed=seed, **{"learning_rate": 1.0} if faulty else careful), env


def _rewards(seed: int, faulty: bool) -> Made:
    env = broken.Scaled(gym.make_vec("pg/CartPole-v1", 16), rewards=broken.LARGE)
    agent = pg.A2C.for_env(env, seed=seed, normalize_rewards=not faulty, normalize_advantages=not faulty)
    return agent, env


def _mismatch(seed: int, faulty: bool) -> Made:
    broken.seeded(seed)
    policy, env = broken.TwoFacedPolicy(3.0 if faulty else 1.0), gym.make_vec("pg/CartPole-v1", 16)
    return pg.PPO(policy=policy, critic=broken.PlainCritic(), **PPO), env


def _equal_scores(seed: int, faulty: bool) -> Made:
    env = pg_envs.TokenVectorEnv(64, task=broken.copying(part_marks=not faulty), group_size=8)
    return pg.GRPO.for_env(env, seed=seed, learning_rate=2e-3), env


def _mask(seed: int, faulty: bool) -> Made:
    env = gym.vector.SyncVectorEnv([lambda: broken.Tour(shifted=faulty)] * 8)
    return pg.PPO.for_env(env, seed=seed, **PPO | {"num_steps": 64}), env


MAKERS: dict[str, Callable[[int, bool], Made]] = {
    "step-size": _step_size,
    "sign": _sign,
    "clock": _clock,
    "collapse": _collapse,
    "scale": lambda seed, faulty: _scaled(seed, faulty, around=broken.LARGE),
    "rewards": _rewards,
    "mismatch": _mismatch,
    "equal-scores": _equal_scores,
    "mask": _mask,
}


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train without the mistake and with it; return the curves of both, and what the audit says."""
    torch.set_num_threads(1)
    return {which: _learn(cell, seed, which == "faulty") for which in WHICH}


def _learn(cell: Cell, seed: int, faulty: bool) -> dict[str, Any]:
    """Train with no audit: a run of `pg_agents.train` would have stopped where it finds something."""
    agent, env = MAKERS[cell.name](seed, faulty)
    collector, progress, said = make_collector(agent, env, seed), RunProgress(), None
    curves: dict[str, list[list[float]]] = {name: [] for name in cell.metrics}
    while progress.steps < cell.total_steps:
        rollout = next(collector)
        said = _audited(agent, rollout) if not progress.steps else said
        progress.collected(rollout)
        row = {"grad_norm": 0.0} | {name: float(value) for name, value in agent.update(rollout).items()}
        if progress.recent_episodes:
            row |= {"return": progress.mean_return or 0.0, "length": _mean_length(progress)}
        for name in curves.keys() & row.keys():
            curves[name].append([progress.steps, row[name]])
    env.close()
    return {"curves": curves, "audit": said}


def _mean_length(progress: RunProgress) -> float:
    return sum(ended.lengths for ended in progress.recent) / progress.recent_episodes


def _audited(agent: pg.Agent, rollout: pg.Rollout) -> str | None:
    try:
        audit(agent.policy, rollout)
    except pg.AuditError as error:
        return str(error)
    return None


def table(records: Sequence[Measured]) -> str:
    """Return what the runs return in the end, healthy and faulty, and where the audit stops one."""
    heads = ("mistake", "seeds", "return, healthy", "return, faulty", "audit")
    return markdown(heads, cell_rows(CELLS, records, _row), 1)


def _row(each: list[dict[str, Any]]) -> Any:  # noqa: ANN401
    ends = [[one[which]["curves"]["return"][-1][1] for one in each] for which in WHICH]
    shown = [f"{number(min(values), 3)} … {number(max(values), 3)}" for values in ends]
    yield [str(len(each)), *shown, "stops it" if all(one["faulty"]["audit"] for one in each) else "–"]


def plot(records: Sequence[Measured]) -> dict[str, Figure]:
    """Draw each mistake's picture: what tells it from a healthy run."""
    found = by_cell(records)
    return {cell.name: _picture(cell, results(found[cell.name])) for cell in CELLS if cell.name in found}


def _picture(cell: Cell, each: list[dict[str, Any]]) -> Figure:
    from benchmarks.suite.pictures import BANDS, count_in_thousands, draw_curves, panels

    figure = None
    for axes, metric in zip(panels(len(cell.metrics), f"{cell.title}\n{BANDS}"), cell.metrics, strict=True):
        for which, colour in WHICH.items():
            draw_curves(axes, [one[which]["curves"][metric] for one in each], _label(cell, which), colour=colour)
        lowest = min(value for one in each for which in WHICH for _, value in one[which]["curves"][metric])
        if metric in LOGARITHMIC and lowest > 0:
            axes.set_yscale("log")
        axes.set(title=NAMES[metric], xlabel="steps")
        count_in_thousands(axes)
        axes.legend(fontsize=7)
        figure = axes.figure
    assert figure is not None
    return figure


def _label(cell: Cell, which: str) -> str:
    return f"healthy: {cell.healthy}" if which == "healthy" else "faulty"
