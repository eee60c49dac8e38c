"""The one protocol of learning: train, then evaluate in fresh environments with seeds that no training has had."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import VectorEnv

import pg_agents as pg
from benchmarks.learning import sb3
from pg_agents.shown import nearest
from pg_agents.spaces.environments import id_for, make_env
from pg_agents.training.loop import make_collector
from pg_agents.training.tuned import TUNED

SEEDS = range(10)  # reported; hyperparameters were chosen on seeds 100 and above
MOST_AT_ONCE = 100  # environments of an evaluation
POINTS = 200  # of a learning curve
MOST_STEPS = 1_000_000  # of a cell
LIBRARIES = ("pg_agents", "stable-baselines3")
Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """An agent in an environment.

    Attributes:
        name: unique within the experiment, "CartPole-v1/ppo".
        agent: a registered name, or a class of the user's own, "module:Class"; of another library: its algorithm.
        env: the environment's id, "module:Id" if a module registers it.
        num_envs: environments that are stepped together.
        total_steps: valid transitions to learn from.
        arguments: of the agent that differ from its defaults.
        episodes: of the greedy evaluation afterwards.
        env_args: arguments for the environment's constructor.
        eval_args: the same, in which the environments of the evaluation differ from those that were learned in.
        wrappers: of each single environment, as texts (`pg_agents.spaces.wrappers`).
        library: "pg_agents" or "stable-baselines3", which runs in the peers' Python (`benchmarks.learning.sb3`).
    """

    name: str
    agent: str
    env: str
    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)
    episodes: int = 100
    env_args: dict[str, Any] = field(default_factory=dict)
    eval_args: dict[str, Any] = field(default_factory=dict)
    wrappers: list[str] = field(default_factory=list)
    library: str = "pg_agents"


def tuned_cell(agent: str, env: str, *, name: str | None = None, episodes: int = 100, most: int = MOST_STEPS) -> Cell:
    """Return the cell of an agent in an environment with the package's tuned settings, of `most` steps at most."""
    found = TUNED[agent, env]
    name, steps = name or f"{env.removeprefix('pg/')}/{agent}", min(found.total_steps, most)
    how = {"env_args": found.env_args, "wrappers": list(found.wrappers)}
    return Cell(name, agent, env, found.num_envs, steps, found.arguments, episodes, **how)


def run(cell: Cell, seed: int) -> Result:
    """Train with a seed and evaluate; return the score, those it is held against, and the learning curve.

    `score` and `untrained` are mean returns of the greedy agent and, before it has learned, of its samples; `curve` is
    the mean return of the last 100 training episodes by steps; `known` are returns computed from the model.
    """
    check_library(cell)
    if cell.library != "pg_agents":
        return sb3.learn(asdict(cell), seed)
    return _learn(cell, [seed])[0]


def run_seeds(cell: Cell, seeds: Sequence[int]) -> dict[int, Result]:
    """Do the same for several seeds: as one batch where each is then its own run, else one after the other."""
    if len(seeds) > 1 and together(cell) and stacks(cell, seeds):
        return dict(zip(seeds, _learn(cell, seeds), strict=True))
    return {seed: run(cell, seed) for seed in seeds}


def together(cell: Cell) -> bool:
    """Return whether several seeds cost less as one batch: in vector forms that have a generator for each row."""
    return cell.library == "pg_agents" and id_for(cell.env, 2, cell.env_args, cell.wrappers).startswith("pg/")


def check_library(cell: Cell) -> None:
    """Refuse a cell that no library can learn as it says.

    Raises:
        ValueError: there is no such library, or it would leave the cell's wrappers out.
    """
    if cell.library not in LIBRARIES:
        raise ValueError(f"library: there is no {cell.library!r}; give one of {', '.join(LIBRARIES)}")
    if cell.library != "pg_agents" and cell.wrappers:
        raise ValueError(f"wrappers: {cell.library} has none of ours, got {cell.wrappers}; leave them out")


def agent_class(name: str) -> type[pg.Agent]:
    """Return the class of a registered agent, or of the user's own, "module:Class".

    Raises:
        ValueError: there is none of that name.
    """
    if name in pg.AGENTS:
        return pg.AGENTS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ValueError(f'agent: there is no {name!r}; give one of {", ".join(pg.AGENTS)}, or "module:Class"')
    there = vars(import_module(module))
    if attribute not in there:
        raise ValueError(f"agent: {module} has no {attribute}{meant(attribute, there)}")
    found = there[attribute]
    if not (isinstance(found, type) and issubclass(found, pg.Agent)):
        raise ValueError(f"agent: {name} is no class of agents; derive it from pg_agents.Agent or one of its agents")
    return found


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question after the names that are like one; "" if there are none."""
    near = nearest(name, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def training_env(cell: Cell, learners: int = 1) -> VectorEnv:
    """Return the environments to learn in, in the form whose rows have generators of their own if there is one."""
    groups = "group_size" in agent_class(cell.agent).argument_names()
    name = id_for(cell.env, 2, cell.env_args, cell.wrappers)
    return make_env(name, learners * cell.num_envs, cell.env_args, wrappers=cell.wrappers, a_seed_each=groups)


def evaluation_env(cell: Cell) -> VectorEnv:
    """Return fresh environments, each with a seed of its own."""
    count, arguments = min(cell.episodes, MOST_AT_ONCE), cell.env_args | cell.eval_args
    return make_env(cell.env, count, arguments, wrappers=cell.wrappers, a_seed_each=True)


def make_agent(cell: Cell, env: VectorEnv, seeds: Sequence[int]) -> pg.Agent:
    """Return the agent that learns: one learner for each seed."""
    which: dict[str, Any] = {"seed": seeds[0]} if len(seeds) == 1 else {"seeds": list(seeds)}
    return agent_class(cell.agent).for_env(env, **which, **cell.arguments)


def stacks(cell: Cell, seeds: Sequence[int]) -> bool:
    """Return whether a cell's agent and environment can be one batch of several learners, each as it would be alone."""
    env = training_env(cell, len(seeds))
    try:
        return not make_collector(make_agent(cell, env, seeds), env, seeds[0], None).coupling
    except ValueError:  # an agent that cannot be stacked; what else is wrong is said by the run of one seed
        return False
    finally:
        env.close()


def train(cell: Cell, agent: pg.Agent, env: VectorEnv, seed: int) -> list[Result]:
    """Train; return for each learner the steps, episodes and seconds that it took, and its learning curve."""
    learners = agent.policy.num_learners
    steps, curves = learners * cell.total_steps, [list[list[float]]() for _ in range(learners)]

    def probe(run: pg.Run) -> None:
        for curve, one in zip(curves, run.summary.learners or [run.summary], strict=True):
            if one.mean_return_last_100 is not None:
                curve.append([one.total_steps, one.mean_return_last_100])

    started, every = time.process_time(), max(1, steps // POINTS)
    summary = pg.train(agent, env, total_steps=steps, seed=seed, log_every=every, probes=[probe], progress=False)
    spent = {"seconds": summary.wall_seconds, "cpu_seconds": time.process_time() - started}
    shares = {name: value / learners for name, value in spent.items()} | {"learners": learners}
    each = summary.learners or [summary]
    return [
        {"steps": one.total_steps, "training_episodes": one.episodes, **shares, "curve": curve}
        for one, curve in zip(each, curves, strict=True)
    ]


def evaluate(agent: pg.Agent, cell: Cell, seed: int, *, greedy: bool = True) -> pg.Evaluation:
    """Evaluate in fresh environments, whose seeds differ from those of all training (`pg_agents.seeding`)."""
    env = evaluation_env(cell)
    try:
        return pg.evaluate(agent, env, episodes=cell.episodes, greedy=greedy, seed=seed)
    finally:
        env.close()


def known(cell: Cell) -> dict[str, float | None]:
    """Return the random, the optimal and the best memoryless return, computed from the model where there is one."""
    env = evaluation_env(cell)
    returns = pg_envs.known_returns(env)
    env.close()
    if cell.env == "FrozenLake-v1":
        single = gym.make(cell.env, **(cell.env_args | cell.eval_args))
        limit = None if single.spec is None else single.spec.max_episode_steps
        returns = pg_envs.MDPEnv(pg_envs.TabularMDP.from_gymnasium(single)).known_returns(limit)
    return {"random": returns.random, "optimal": returns.optimal, "memoryless": returns.memoryless}


def _learn(cell: Cell, seeds: Sequence[int]) -> list[Result]:
    torch.set_num_threads(1)
    env = training_env(cell, len(seeds))
    agent = make_agent(cell, env, seeds)
    before = [evaluate(one, cell, seed, greedy=False).mean_return for one, seed in _each(agent, seeds)]
    trained = train(cell, agent, env, seeds[0])
    env.close()
    after = [evaluate(one, cell, seed).mean_return for one, seed in _each(agent, seeds)]
    returns = known(cell)
    return [
        {"score": score, "untrained": untrained, "known": returns, **result}
        for score, untrained, result in zip(after, before, trained, strict=True)
    ]


def _each(agent: pg.Agent, seeds: Sequence[int]) -> list[tuple[pg.Agent, int]]:
    """Return the agent of each seed."""
    alone = len(seeds) == 1
    return [(agent if alone else agent.learner(i), seed) for i, seed in enumerate(seeds)]
