"""A run of ours in several processes that learn together, each with its part of the environments."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
import torch.distributed as dist
from gymnasium.vector import VectorEnv
from torch import multiprocessing

import pg_agents as pg
from benchmarks.speed._sides.making import Clock, make_env
from benchmarks.suite.machine import peak_megabytes
from pg_agents.training.ranks import GroupRanks, ranks_of_group


class Counting:
    """Counts the messages of a rank, and their bytes and seconds, in which it also waits for the others.

    Attributes:
        found: what it has given to be added up (gradients above all), and what it has told the others, by name.
    """

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        add, gather = GroupRanks.add, GroupRanks.gather

        def counted_add(ranks: GroupRanks, tensors: Any) -> None:  # noqa: ANN401
            with self._counted("added", sum(tensor.nbytes for tensor in tensors)):
                add(ranks, tensors)

        def counted_gather(ranks: GroupRanks, tensor: torch.Tensor) -> list[torch.Tensor]:
            with self._counted("gathered", tensor.nbytes):
                return gather(ranks, tensor)

        GroupRanks.add, GroupRanks.gather = counted_add, counted_gather  # type: ignore[method-assign]

    @contextmanager
    def _counted(self, name: str, size: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent = {"bytes": size, "messages": 1, "seconds_of": time.perf_counter() - started}
        for what, value in spent.items():
            self.found[f"{what}_{name}"] = self.found.get(f"{what}_{name}", 0) + value


Made = tuple[pg.Agent, gym.Env | VectorEnv]


def train_together(settings: dict[str, Any]) -> dict[str, Any]:
    """Train one of our agents in `ranks` processes, each with its part of the environments."""
    return together(settings, make_learner)


def write_together(settings: dict[str, Any]) -> dict[str, Any]:
    """Train a language model in `ranks` processes, each with its part of the groups; `shard`: it is shared out."""
    return together(settings, make_writer)


def together(settings: dict[str, Any], make: Callable[[dict[str, Any]], Made]) -> dict[str, Any]:
    """Train in `ranks` processes; the time is that of the slowest, processor time and memory are of all."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_learn, (settings, folder, make), settings["ranks"])
        each = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("rank-*"))]
    sums = {name: sum(one[name] for one in each) for name in ("cpu_seconds", "peak_megabytes")}
    return each[0] | sums | {"seconds": max(one["seconds"] for one in each), "processes": len(each)}


def make_learner(settings: dict[str, Any]) -> Made:
    """Return an agent, and a process's part of its environments."""
    env = make_env(settings | {"num_envs": settings["num_envs"] // settings["ranks"]})
    return pg.AGENTS[settings["agent"]].for_env(env, seed=settings["seed"], **settings["arguments"]), env


def make_writer(settings: dict[str, Any]) -> Made:
    """Return GRPO with a language model, and a process's part of its groups of texts."""
    from benchmarks.language._pretrained import addition_env, make_agent, packaged_model  # needs the extra `llm`

    model, tokenizer = packaged_model(settings["package"])
    size = settings["group_size"]
    rows = settings["groups"] // settings["ranks"] * size
    env = addition_env(model, tokenizer, rows, size, digits=1, new_tokens=settings["new_tokens"])
    return make_agent(model, size, settings["learning_rate"]), env


def _learn(rank: int, settings: dict[str, Any], folder: str, make: Callable[[dict[str, Any]], Made]) -> None:
    torch.set_num_threads(settings["threads"])
    count = settings["ranks"]
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    counting = Counting()
    agent, env = make(settings)
    how = {name: settings[name] for name in ("total_steps", "seed", "shard") if name in settings}
    dist.barrier()
    clock = Clock()
    summary = pg.train(agent, env, **how, progress=False)
    found = {"steps": summary.total_steps, "mean_return": summary.mean_return_last_100, **clock.read()}
    found |= {"peak_megabytes": peak_megabytes()} | counting.found
    Path(folder, f"rank-{rank}").write_text(json.dumps(found))
    assert ranks_of_group().count == count and agent.flat_optimizer.shares_out == settings.get("shard", False)
    dist.destroy_process_group()
