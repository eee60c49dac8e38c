"""Pictures: agents with the package's tuned settings, beside the optimum and a random policy."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import SyncVectorEnv
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

import pg_agents as pg
from benchmarks.doorkey import BestReturns
from benchmarks.experiments import Run, iqm, learn, training_env, tuned_run
from benchmarks.plots import by_environment, draw_curves, draw_ends, read
from benchmarks.pong import read_curve
from benchmarks.records import RESULTS
from benchmarks.resumed import run_missing
from pg_agents.spaces.packages import import_module
from pg_agents.spaces.wrappers import wrappers_of

SEEDS = range(10, 13)  # those below have been looked at while settings were chosen
EPISODES = 200  # of an evaluation, each in an environment of its own
LEARNED = (("ppo", "pg/Catch-v0"), ("a2c", "pg/Catch-v0"), ("ppo", "MiniGrid-DoorKey-5x5-v0"))


THROUGH_CONVOLUTIONS = Run(  # what the tuned settings flatten, as a picture for the convolutional network
    agent="ppo",
    env="MiniGrid-DoorKey-5x5-v0",
    num_envs=16,
    total_steps=250_000,
    arguments={
        "num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": "1e-3:0", "entropy_weight": 0.02,
    },
    episodes=EPISODES,
    wrappers=["FilterObservation:filter_keys=['image','direction']"],
)  # fmt: skip


def cells() -> list[Run]:
    """Return the agents and environments, with their tuned settings, and DoorKey through convolutions."""
    return [*(tuned_run(agent, env, EPISODES) for agent, env in LEARNED), THROUGH_CONVOLUTIONS]


def run(cell: Run, seed: int) -> dict[str, Any]:
    """Train and evaluate; return the summary, the learning curve, and the returns of the agent and beside it."""
    torch.set_num_threads(1)
    env = training_env(cell)
    agent = pg.AGENTS[cell.agent].for_env(env, seed=seed, **cell.arguments)
    summary, curve = learn(agent, env, cell, seed)
    return {**summary, **compare(agent, cell, seed), "curve": curve}


def compare(agent: pg.Agent, cell: Run, seed: int) -> dict[str, float]:
    """Return the mean returns of the greedy agent, of the best policy and of random actions, in new episodes."""
    fresh = evaluation_env(cell)
    after = pg.evaluate(agent, fresh, episodes=cell.episodes, seed=seed).mean_return
    best = best_mean(fresh)
    random = random_agent(fresh)
    return {
        "after": after,
        "optimal": best,
        "share_of_optimum": after / best,
        "random": pg.evaluate(random, fresh, episodes=cell.episodes, greedy=False, seed=seed).mean_return,
    }


def evaluation_env(cell: Run) -> SyncVectorEnv:
    """Return new environments, one for each episode, which keep its best return where only a search can say it."""
    searched = [BestReturns] if cell.env.startswith("MiniGrid") else []
    wrappers = [*wrappers_of(cell.wrappers), *searched]
    made = gym.make_vec(import_module(cell.env), cell.episodes, "sync", wrappers=wrappers, **cell.env_args)
    assert isinstance(made, SyncVectorEnv)
    return made


def best_mean(env: SyncVectorEnv) -> float:
    """Return the mean return of the best policy in the environments' first episodes, or the one that is known."""
    known = pg_envs.known_returns(env).optimal
    return fmean(one.get_wrapper_attr("best_returns")[0] for one in env.envs) if known is None else known


def random_agent(env: SyncVectorEnv) -> pg.Agent:
    """Return an agent that takes all actions alike: all its parameters are 0."""
    agent = pg.AGENTS["reinforce"].for_env(env)
    for parameter in agent.policy.parameters():
        parameter.detach().zero_()
    return agent


def run_pixels(seeds: Sequence[int] = SEEDS, workers: int = 2) -> dict[str, Any]:
    """Run what is missing in results/pixels.json, save it after every run, and return its contents."""
    return run_missing("pixels", cells(), run, _summary, seeds, workers)


def _summary(cell: Run, runs: list[dict[str, Any]]) -> dict[str, Any]:
    means = {name: fmean(one[name] for one in runs) for name in ("optimal", "random")}
    return means | {"iqm": iqm([one["after"] for one in runs]), "worst": min(one["share_of_optimum"] for one in runs)}


def plot_pixels() -> None:
    """Draw learning curves and each seed's evaluation, a panel an environment, and Pong over steps and over time."""
    panels = by_environment(read("pixels")["results"])
    pong = [read_curve(file) for file in sorted(RESULTS.glob("pong-*.jsonl"))]
    count = len(panels) + (2 if pong else 0)
    figure, grid = pyplot.subplots(1, count, figsize=(3.8 * count, 3.4), layout="constrained", squeeze=False)
    for axes, results in zip(grid[0], panels, strict=False):
        draw_curves(axes, results)
        draw_ends(axes, results)
    for axes, key in zip(grid[0, len(panels) :], ("steps", "cpu_seconds"), strict=False):
        draw_pong(axes, pong, key)
    grid[0, 0].set_ylabel("mean return of the last 100 episodes")
    figure.savefig(RESULTS / "pixels.png", dpi=110)
    pyplot.close(figure)


def draw_pong(axes: Axes, runs: Sequence[dict[str, Any]], key: str) -> None:
    """Draw the curves of Pong over the lines' `key`."""
    sides = {"ours": ("#30638e", "ppo"), "sb3": ("#d1495b", "Stable-Baselines3's PPO")}
    for one in runs:
        known = [row for row in one["rows"] if row["mean_return"] is not None]
        colour, label = sides[one["side"]]
        axes.plot([row[key] for row in known], [row["mean_return"] for row in known], color=colour, label=label)
    axes.axhline(0, color="grey", linestyle="-.", linewidth=1, label="0")
    axes.axhline(21, color="grey", linestyle="--", linewidth=1, label="the best return there is")
    by_time = key == "cpu_seconds"
    axes.set(title="ALE/Pong-v5", xlabel="minutes of the processor" if by_time else "environment steps", ylim=(-22, 22))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 60:.0f}" if by_time else f"{x / 1000:.0f} k")
    if by_time:
        axes.xaxis.set_major_locator(MultipleLocator(600))
    axes.legend(fontsize=7)
