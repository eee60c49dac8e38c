"""Do agents learn from pictures, and how near do they come to the best policies?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import SyncVectorEnv
from matplotlib.figure import Figure

import pg_agents as pg
from benchmarks.learning import curves, scores
from benchmarks.learning.doorkey import BestReturns
from benchmarks.learning.protocol import Cell, Result, make_agent, train, training_env, tuned_cell
from benchmarks.suite.samples import interval_text
from benchmarks.suite.tables import Measured, by_cell, number, results
from pg_agents.spaces.packages import import_module
from pg_agents.spaces.wrappers import wrappers_of
from pg_agents.statistics import interquartile_mean

__all__ = ["CELLS", "EXTRAS", "SEEDS", "plot", "run", "table"]

EXTRAS = ("minigrid",)
SEEDS = range(10, 20)  # those below have been looked at while settings were chosen
EPISODES = 200  # of an evaluation, each in an environment of its own
DOORKEY = "MiniGrid-DoorKey-5x5-v0"
FLATTENED = replace(tuned_cell("ppo", DOORKEY, episodes=EPISODES), name=f"{DOORKEY}/ppo-flattened")
THROUGH_CONVOLUTIONS = replace(  # what the tuned settings flatten, as a picture for the convolutional network
    FLATTENED,
    name=f"{DOORKEY}/ppo-as a picture",
    total_steps=250_000,
    arguments={
        "num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": "1e-3:0", "entropy_weight": 0.02,
    },
    wrappers=["FilterObservation:filter_keys=['image','direction']"],
)  # fmt: skip
CATCH = [tuned_cell(agent, "pg/Catch-v0", episodes=EPISODES) for agent in ("ppo", "a2c")]
CELLS = [*CATCH, FLATTENED, THROUGH_CONVOLUTIONS]


def run(cell: Cell, seed: int) -> Result:
    """Train and evaluate, beside the best policy and uniformly random actions in environments of the same seeds."""
    torch.set_num_threads(1)
    env = training_env(cell)
    agent = make_agent(cell, env, [seed])
    (trained,) = train(cell, agent, env, seed)
    env.close()
    return compare(agent, cell, seed) | trained


def compare(agent: pg.Agent, cell: Cell, seed: int) -> Result:
    """Return the mean returns of the greedy agent, of the best policy and of random actions, in new episodes."""
    fresh = evaluation_env(cell)
    score = pg.evaluate(agent, fresh, episodes=cell.episodes, seed=seed).mean_return
    best, random = best_mean(fresh), random_agent(fresh)
    chance = pg.evaluate(random, fresh, episodes=cell.episodes, greedy=False, seed=seed).mean_return
    return {"score": score, "untrained": chance, "known": {"random": chance, "optimal": best, "memoryless": None}}


def evaluation_env(cell: Cell) -> SyncVectorEnv:
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


def table(records: Sequence[Measured]) -> str:
    """Return the scores beside the optimum, which for DoorKey is the mean over the evaluated layouts."""
    found = by_cell(records)
    steps = iter(f"{cell.total_steps / 1000:,.0f} k" for cell in CELLS if results(found.get(cell.name, {})))

    def rows(runs: list[Result]) -> list[list[str]]:
        values = [run["score"] for run in runs]
        best, chance = (fmean(run["known"][name] for run in runs) for name in ("optimal", "random"))
        share = min(run["score"] / run["known"]["optimal"] for run in runs)
        middle = f"**{interquartile_mean(values):.3f}**"
        ends = number(best), number(chance), str(len(runs))
        return [[next(steps, ""), middle, interval_text(values), f"{share:.1%}", *ends]]

    heads = (
        "environment/agent",
        "steps",
        "IQM",
        "95 % interval",
        "worst, of the optimum",
        "optimum",
        "random",
        "seeds",
    )
    return scores.cell_table(heads, CELLS, records, rows)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a panel an environment."""
    return curves.plot(CELLS, records, "Learning from pictures")
