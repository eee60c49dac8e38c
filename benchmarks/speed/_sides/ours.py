"""A run of our side, in its own process like the peers' runs: settings as JSON in, one line of JSON out.

The clock runs as it does there: environments and networks are made before it, the first reset is inside.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

import pg_agents as pg
from benchmarks.speed._sides import floor, floor_learners, floor_pictures
from benchmarks.speed._sides.making import Clock, make_env
from benchmarks.speed._sides.ranks import train_together, write_together
from benchmarks.suite.machine import peak_megabytes
from pg_agents.policies import MLPPolicy
from pg_agents.seeding import Purpose, spawn
from pg_agents.training.tuned import tuned_settings


def train(settings: dict[str, Any]) -> dict[str, Any]:
    """Train one of our agents until `total_steps`, or until the mean return of 100 episodes reaches `stop_return`.

    With `tuned`, an environment, it is with the settings that ship with the package for that one, as
    `pg-agents train AGENT ENV --tuned` has it.
    """
    if settings.get("tuned"):
        settings = vars(tuned_settings(settings["agent"], settings["tuned"])) | settings
    env = make_env(settings)
    agent = pg.AGENTS[settings["agent"]].for_env(env, seed=settings["seed"], **settings["arguments"])
    stop = {name: settings[name] for name in ("stop_return",) if name in settings}
    clock = Clock()
    summary = pg.train(agent, env, total_steps=settings["total_steps"], seed=settings["seed"], progress=False, **stop)
    times = clock.read()
    reached, mean = bool(summary.stopped), summary.mean_return_last_100
    found = {"steps": summary.total_steps, "reached": reached, "mean_return": mean} | times
    return found | {"arguments": settings["arguments"], "num_envs": settings["num_envs"]}


def seeds_of(settings: dict[str, Any]) -> range:
    """Return the seeds of the `learners` of a run."""
    count = settings["learners"]
    return range(count * settings["seed"], count * (settings["seed"] + 1))


def learners_env(settings: dict[str, Any]) -> VectorEnv:
    """Return `num_envs` environments for each of the `learners`."""
    env = make_env(settings | {"num_envs": settings["learners"] * settings["num_envs"]})
    assert isinstance(env, VectorEnv)
    return env


def train_learners(settings: dict[str, Any]) -> dict[str, Any]:
    """Train several of our agents as one batch, each until `total_steps`."""
    env = learners_env(settings)
    agent = pg.AGENTS[settings["agent"]].for_env(env, seeds=seeds_of(settings), **settings["arguments"])
    clock = Clock()
    summary = pg.train(agent, env, total_steps=settings["learners"] * settings["total_steps"], progress=False)
    times = clock.read()
    return {"steps": summary.total_steps, "mean_return": summary.mean_return_last_100} | times


def train_in_turn(settings: dict[str, Any]) -> dict[str, Any]:
    """Train several of our agents one after the other, each until `total_steps`."""
    runs = [train(settings | {"seed": seed}) for seed in seeds_of(settings)]
    sums = {name: sum(run[name] for run in runs) for name in ("steps", "seconds", "cpu_seconds")}
    return sums | {"mean_return": sum(run["mean_return"] or 0.0 for run in runs) / len(runs)}


def run_floor_learners(settings: dict[str, Any]) -> dict[str, Any]:
    """Run the loop without abstractions of several learners."""
    how = {name: settings[name] for name in ("learners", "method", "total_steps", "seed")}
    return floor_learners.train(learners_env(settings), **how)


def run_floor(settings: dict[str, Any]) -> dict[str, Any]:
    """Run the loop without abstractions."""
    env = make_env(settings)
    assert isinstance(env, VectorEnv)
    loop = floor_pictures if settings["program"] == "floor-pictures" else floor
    return loop.train(env, total_steps=settings["total_steps"], seed=settings["seed"])


def bare(settings: dict[str, Any]) -> dict[str, Any]:
    """Call `env.step` with random actions drawn before, and do nothing with what it returns."""
    env = make_env(settings)
    assert isinstance(env, VectorEnv)
    generator = np.random.default_rng(spawn(settings["seed"], Purpose.ACTIONS))
    actions = generator.integers(env.single_action_space.n, size=(1000, env.num_envs))  # type: ignore[attr-defined]
    calls = settings["total_steps"] // env.num_envs
    clock = Clock()
    env.reset(seed=settings["seed"])
    for i in range(calls):
        env.step(actions[i % 1000])
    return {"steps": calls * env.num_envs} | clock.read()


def collect(settings: dict[str, Any]) -> dict[str, Any]:
    """Collect rollouts with an MLP policy; the steps are those that count (an action after an end does not)."""
    env = make_env(settings)
    assert isinstance(env, VectorEnv)
    torch.manual_seed(settings["seed"])
    policy = MLPPolicy(env.single_observation_space, env.single_action_space)
    clock, steps = Clock(), 0
    collector = pg.collect_steps(env, policy, settings["arguments"]["num_steps"], seed=settings["seed"])
    while steps < settings["total_steps"]:
        steps += next(collector).num_transitions
    return {"steps": steps} | clock.read()


def language(settings: dict[str, Any]) -> dict[str, Any]:
    """Train a language model."""
    from benchmarks.language._pretrained import take_steps  # needs the extra `llm`

    return take_steps(settings)


PROGRAMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "ours": train,
    "ours-learners": train_learners,
    "ours-in-turn": train_in_turn,
    "ours-together": train_together,
    "language-together": write_together,
    "floor-learners": run_floor_learners,
    "floor": run_floor,
    "floor-pictures": run_floor,
    "bare": bare,
    "collect": collect,
    "language": language,
}


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Make the run that `settings` describe and return its results."""
    torch.set_num_threads(settings["threads"])
    result = PROGRAMS[settings["program"]](settings)
    versions = {module.__name__: module.__version__ for module in (pg, torch, gym, np)}
    return {"peak_megabytes": peak_megabytes(), "versions": versions} | result


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
