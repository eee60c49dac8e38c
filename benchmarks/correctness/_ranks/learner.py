"""A worker: trains with each of several seeds in processes that learn together; answers with what became of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing

import pg_agents as pg


def learn(rank: int, settings: dict[str, Any], store: str) -> None:
    """Train with each seed as one of the processes; rank 0 prints the results."""
    torch.set_num_threads(1)
    count = settings["processes"]
    if count > 1:
        dist.init_process_group("gloo", init_method=f"file://{Path(store).absolute()}", rank=rank, world_size=count)
    found = [_run(settings, seed, settings["num_envs"] // count) for seed in settings["seeds"]]
    if rank == 0:
        print(json.dumps({"runs": found}), flush=True)
    if count > 1:
        dist.destroy_process_group()


def _run(settings: dict[str, Any], seed: int, num_envs: int) -> dict[str, Any]:
    how: dict[str, Any] = {"num_envs": num_envs, "seed": seed}
    agent = pg.AGENTS[settings["agent"]].for_env(settings["env"], **how, **settings["arguments"])
    summary = pg.train(agent, settings["env"], total_steps=settings["total_steps"], progress=False, **how)
    return {"return": summary.mean_return_last_100, "episodes": summary.episodes}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given["processes"] == 1:
        learn(0, given, "")
    else:
        multiprocessing.spawn(learn, (given, "store"), given["processes"])
