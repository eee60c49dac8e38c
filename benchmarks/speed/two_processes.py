"""How fast do two processes learn together on two cores, beside one with all environments, and a peer's workers?

`ours` are two processes with half of the environments each, which add up their gradients (docs/processes.md). A process
of ours has one thread. Stable-Baselines3 learns in one process, with one thread, and steps each environment in a worker
of its own; its processor time is that of the one that learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.speed._sides.comparing import made, runs_of
from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import PPO, THEIR_PPO, Side, Workload, cells_of
from benchmarks.suite.records import Record
from benchmarks.suite.tables import NONE, markdown, number

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

CARTPOLE = {"env": "CartPole-v1", "num_envs": 16, "kind": "sync", "threads": 1, "total_steps": 50 * 2048}
CHEETAH = {"env": "HalfCheetah-v5", "num_envs": 8, "kind": "sync", "threads": 1, "total_steps": 8 * 4096}
OURS = {"agent": "ppo", "arguments": PPO | {"minibatch_size": 512}}
THEIRS = {"algorithm": "PPO", "arguments": THEIR_PPO | {"batch_size": 512}, "subprocesses": True}
LONG, THEIR_LONG = {"num_steps": 512, "minibatch_size": 512}, {"n_steps": 512, "batch_size": 512}
OURS_LONG = {"agent": "ppo", "arguments": PPO | LONG | {"epochs": 10}}
THEIRS_LONG = {"algorithm": "PPO", "arguments": THEIR_PPO | THEIR_LONG | {"n_epochs": 10}, "subprocesses": True}


def workload(title: str, settings: dict, ours: dict, theirs: dict) -> Workload:
    """Return two processes of ours beside one, and beside Stable-Baselines3 with workers."""
    sides = {
        "ours, one process": Side("ours", ours),
        "sb3, workers": Side("sb3", theirs),
        "ours": Side("ours-together", ours | {"ranks": 2}),
    }
    return Workload(title, settings, sides, at_least={"ours, one process": 0.0, "sb3, workers": 0.0}, quiet=0.0)


WORKLOADS = {
    "two-cartpole": workload("PPO on 16 CartPoles, 128 steps, 4 × 4 minibatches", CARTPOLE, OURS, THEIRS),
    "two-cheetah": workload("PPO on 8 HalfCheetahs, 512 steps, 10 × 8 minibatches", CHEETAH, OURS_LONG, THEIRS_LONG),
}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Two processes that learn together, on two cores")
plot = COMPARISON.plot


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return all ratios, the sides, and what a process sends."""
    return COMPARISON.table(records) | {"messages": messages(records)}


def messages(records: Sequence[Record]) -> str:
    """Return what each process gives to be added up and tells the others of its steps in an update, and the time."""
    heads = (
        "work",
        *(f"{what}, {unit}" for what in ("sums", "steps' numbers") for unit in ("an update", "kB", "ms each")),
    )
    return markdown(heads, [[f"`{name}`", *sent(name, records).values()] for name in WORKLOADS], 1)


def sent(name: str, records: Sequence[Record]) -> dict[str, str]:
    """Return the messages that a process of ours sends in an update of a workload, their kB, and the ms of each."""
    workload = WORKLOADS[name]
    runs = made(runs_of(name, workload, records)[workload.subject])
    rollout = workload.settings["num_envs"] * workload.sides[workload.subject].settings["arguments"]["num_steps"]
    found: dict[str, float | None] = {}
    for what in ("added", "gathered"):
        each = [
            (run[f"messages_{what}"], run[f"bytes_{what}"], run[f"seconds_of_{what}"], run["steps"]) for run in runs
        ]
        parts = [(n * rollout / steps, size * rollout / steps / 1000, 1000 * t / n) for n, size, t, steps in each]
        columns = zip(*parts, strict=True) if parts else [None] * 3
        how = zip(("messages", "kilobytes", "milliseconds"), columns, strict=True)
        found |= {f"{what}-{kind}": values and median(values) for kind, values in how}
    return {key: number(value, 3) for key, value in found.items()}


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return ratios and seconds, and what is sent, as "two-cartpole-added-kilobytes"."""
    each = {f"{name}-{key}": text for name in WORKLOADS for key, text in sent(name, records).items()}
    return COMPARISON.numbers(records) | {key: text for key, text in each.items() if text != NONE}
