"""Where does every microsecond of one iteration of PPO go, beside the same phases of the loop without abstractions?

The work is that of `same_work`: 8 synchronous CartPoles, 128 steps, one thread. A stopwatch stands around each function
that is named; time that it spends in another of them is that one's. Phases are timed without stopwatches.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

import pg_agents as pg
from benchmarks.speed._profile.spans import Spans
from benchmarks.speed._sides import floor
from benchmarks.speed._sides.making import make_env
from benchmarks.speed.same_work import SAME_WORK
from benchmarks.suite.tables import MISSING, Measured, by_cell, failures, markdown, results

COLLECT, LEARN = "collection", "learning"
TARGETS = {
    "pg_agents.collection.collectors.StepCollector._collect": COLLECT,
    "gymnasium.vector.SyncVectorEnv.step": "env.step",
    "pg_agents.collection.env_adapter.EnvAdapter.step": "environments: checks, ends, autoreset",
    "pg_agents.collection.actor.Actor.act": "actor: copies, actions for the environment",
    "pg_agents.policies.MLPPolicy.step": "policy: step",
    "pg_agents.distributions.Categorical.sample": "sampling",
    "pg_agents.collection.rollout_builder.RolloutBuilder.add": "rollout: append",
    "pg_agents.collection.rollout_builder.RolloutBuilder.rollout": "rollout: stack, log-probabilities",
    "pg_agents.agents.base.Agent.update": LEARN,
    "pg_agents.agents.ppo.PPO.prepare": "advantages, targets",
    "pg_agents.agents.common.advantages.state_values": "values of the rollout",
    "pg_agents.agents.base.minibatches": "minibatches: shuffle, index",
    "pg_agents.agents.ppo.PPO.loss": "loss, metrics",
    "pg_agents.policies.MLPPolicy.forward": "policy: network",
    "pg_agents.policies.mlp.MLPCritic.forward": "critic: network",
    "torch.Tensor.backward": "backward",
    "pg_agents.agents.common.flat_optimizer.FlatOptimizer.step": "gradient: zero, norm, clip",
    "pg_agents.agents.common.flat_optimizer.take_step": "optimizer: step",
}
WARM_UP = 5  # iterations


@dataclass(frozen=True)
class Cell:
    """Iterations of one agent.

    Attributes:
        name: of the work.
        iterations: that medians are taken of.
    """

    name: str
    iterations: int = 60


CELLS = [Cell("PPO")]
SEEDS = (0,)
EXCLUSIVE = True
Phase = tuple[Callable[[], Any], Callable[[Any], Any]]  # collect, learn


def our_phases(settings: dict[str, Any]) -> Phase:
    """Return our collection and learning."""
    env = make_env(settings)
    agent = pg.PPO.for_env(env, seed=0, **settings["arguments"])
    collector = pg.collect_steps(env, agent.policy, settings["arguments"]["num_steps"])
    return lambda: next(collector), lambda rollout: agent.update(rollout)


def floor_phases(settings: dict[str, Any]) -> Phase:
    """Return those of the loop without abstractions."""
    env = make_env(settings)
    assert isinstance(env, VectorEnv)
    torch.manual_seed(0)
    policy, critic, flat = floor.make_networks(4, 2)
    adam = torch.optim.Adam([flat], lr=floor.LEARNING_RATE, eps=1e-5, fused=True)
    running, last = np.zeros(env.num_envs), deque[float](maxlen=100)
    observation, _ = env.reset(seed=0)

    def collect() -> Any:  # noqa: ANN401
        nonlocal observation
        observation, data = floor.collect(env, observation, policy, critic, running, last)
        return data

    return collect, lambda data: floor.learn(data, policy, critic, flat, adam)


def timed(phases: Phase) -> tuple[float, float]:
    """Return the seconds of one collection and of learning from it."""
    started = time.perf_counter()
    data = phases[0]()
    between = time.perf_counter()
    phases[1](data)
    return between - started, time.perf_counter() - between


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the seconds of both phases, ours and the loop's, and what each function takes of an iteration of ours."""
    torch.set_num_threads(1)
    settings = SAME_WORK.settings | SAME_WORK.sides["ours"].settings
    ours, other = our_phases(settings), floor_phases(settings)
    plain = [(timed(ours), timed(other)) for _ in range(WARM_UP + cell.iterations)][WARM_UP:]
    phases = {
        phase: {"ours": median(a[i] for a, _ in plain), "floor": median(b[i] for _, b in plain)}
        for i, phase in enumerate((COLLECT, LEARN))
    }
    taken = []
    for _ in range(WARM_UP + cell.iterations):
        spans = Spans()
        with spans.around(TARGETS):
            timed(ours)
        taken.append(spans)
    return {"phases": phases, "rows": rows_of(taken[WARM_UP:])}


def rows_of(taken: list[Spans]) -> list[dict[str, Any]]:
    """Return the median microseconds of every label in one iteration, dearest first within its phase."""
    keys = {key for spans in taken for key in spans.seconds}
    rows = [
        {
            "phase": phase,
            "what": "everything else" if what == phase else what,
            "microseconds": 1e6 * median(spans.seconds.get((phase, what), 0.0) for spans in taken),
            "calls": median(spans.calls.get((phase, what), 0) for spans in taken),
        }
        for phase, what in keys
    ]
    return sorted(rows, key=lambda row: (row["phase"], -row["microseconds"]))


def table(records: Sequence[Measured]) -> dict[str, str]:
    """Return the phases, and the functions."""
    runs = by_cell(records).get(CELLS[0].name, {})
    done = results(runs)
    if not done:
        return {"phases": failures(runs) or MISSING}
    phases, rows = done[-1]["phases"], done[-1]["rows"]
    total = {side: sum(phase[side] for phase in phases.values()) for side in ("ours", "floor")}
    counted = sum(row["microseconds"] for row in rows)
    sides = [
        [phase, f"{one['ours'] * 1e6:,.0f}", f"{one['floor'] * 1e6:,.0f}", f"{one['floor'] / one['ours']:.2f}"]
        for phase, one in [*phases.items(), ("both", total)]
    ]
    said = f"The stopwatches themselves take {counted / (total['ours'] * 1e6) - 1:.1%} on top."
    return {
        "phases": markdown(("phase", "ours, µs", "loop without abstractions, µs", "its share of ours"), sides, 1),
        "functions": f"{_functions(rows, counted)}\n\n{said}",
    }


def _functions(rows: Sequence[dict[str, Any]], counted: float) -> str:
    lines = []
    for row in rows:
        each, share = row["microseconds"] / max(1, row["calls"]), row["microseconds"] / counted
        texts = [f"{row['microseconds']:,.0f}", f"{share:.1%}", f"{row['calls']:,.0f}", f"{each:,.1f}"]
        lines.append([row["phase"], row["what"], *texts])
    return markdown(("phase", "what", "µs", "share", "calls", "µs a call"), lines, 2)
