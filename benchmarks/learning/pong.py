"""How soon does PPO play Atari's Pong, with the settings of Stable-Baselines3's zoo, in both libraries?

Both have 8 environments, 128 steps, 4 epochs × 4 minibatches of 256, the learning rate from 2.5e-4 and the clip range
from 0.1, both falling to 0 over ten million steps, whenever a run ends. Ours plays in ALE's own vector form, theirs in
their own wrappers (AtariWrapper, VecFrameStack), both with 4 frames of 84×84, without sticky actions, one thread each.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

import pg_agents as pg
from benchmarks.learning.sb3 import HOURS, THREADS
from benchmarks.peers import PEERS
from benchmarks.processes import python_of
from benchmarks.suite.pictures import colour_of, count_in_thousands, draw_level, panels
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, number, results
from pg_agents.spaces.environments import make_env
from pg_agents.training.tuned import TUNED

ENV, HORIZON = "ALE/Pong-v5", 10_000_000
STICKY = {"repeat_action_probability": 0.0}  # as in PongNoFrameskip-v4, for which the zoo's settings are
THEIRS = {
    "arguments": {
        "n_steps": 128,
        "n_epochs": 4,
        "batch_size": 256,
        "vf_coef": 0.5,  # of a squared error; ours is of half of it
        "ent_coef": 0.01,
    },
    "falling": {"learning_rate": 2.5e-4, "clip_range": 0.1},
    "env_args": STICKY | {"frameskip": 1},  # their wrapper skips frames itself
}
WORKER = Path(__file__).parent / "workers" / "sb3_atari.py"
EVERY = 8 * 1024  # steps between points of the curve


@dataclass(frozen=True)
class Game:
    """A run that ends at a number of steps, or at a mean return of 100 episodes.

    Attributes:
        name: of the library.
        steps: after which the run ends; the schedules reach to `HORIZON`.
        mean_return: at which the run ends.
    """

    name: str
    steps: int = 1_000_000
    mean_return: float = 0.5


CELLS = [Game("ppo"), Game("Stable-Baselines3, PPO")]
SEEDS = (0,)
EXTRAS = ("ale_py",)


class Curve:
    """A probe that keeps steps, mean return and seconds of both clocks, and ends a run at its limits."""

    def __init__(self, game: Game) -> None:
        self.game, self.rows = game, list[list[float]]()
        self.started, self.cpu = time.perf_counter(), time.process_time()

    def __call__(self, run: pg.Run) -> None:
        """Keep a point, and stop the run if it is over."""
        spent = time.perf_counter() - self.started, time.process_time() - self.cpu
        mean = run.summary.mean_return_last_100
        if mean is not None:
            self.rows.append([run.steps, mean, *spent])
        if run.steps >= self.game.steps:
            run.stop(f"steps {run.steps}")
        if run.summary.episodes >= 100 and mean is not None and mean >= self.game.mean_return:
            run.stop(f"mean_return {mean:.6g}")


def run(cell: Game, seed: int) -> dict[str, Any]:
    """Play; return the curve: steps, mean return of 100 episodes, seconds of the wall and of the processor."""
    curve = _theirs(cell, seed) if cell.name.startswith("Stable") else _ours(cell, seed)
    return {"score": curve[-1][1], "steps": curve[-1][0], "seconds": curve[-1][2], "curve": curve}


def _ours(cell: Game, seed: int) -> list[list[float]]:
    torch.set_num_threads(1)
    tuned, probe = TUNED["ppo", ENV], Curve(cell)
    env = make_env(ENV, tuned.num_envs, STICKY | {"num_threads": 1})
    learner = pg.AGENTS["ppo"].for_env(env, seed=seed, **tuned.arguments)
    pg.train(learner, env, total_steps=HORIZON, seed=seed, log_every=EVERY, probes=[probe], progress=False)
    env.close()
    return probe.rows


def _theirs(cell: Game, seed: int) -> list[list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        until = {"seconds": HOURS * 3600.0, "steps": cell.steps, "mean_return": cell.mean_return}
        file = Path(folder) / "curve.jsonl"
        file.touch()
        settings = THEIRS | {"env": ENV, "num_envs": 8, "threads": 1, "seed": seed, "total_steps": HORIZON}
        settings |= {"file": str(file), "agent": str(Path(folder) / "agent"), "every": EVERY, "save_seconds": 3600}
        command = [python_of(PEERS), "-P", str(WORKER), json.dumps(settings | {"until": until, "head": {}})]
        subprocess.run(command, env=os.environ | THREADS, check=True)
        rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    names = ("steps", "mean_return", "seconds", "cpu_seconds")
    return [[row[name] for name in names] for row in rows if row["mean_return"] is not None]


def table(records: Sequence[Measured]) -> str:
    """Return what was reached, after how many steps and hours."""

    def rows(runs: list[dict[str, Any]]) -> list[list[str]]:
        last = [run["curve"][-1] for run in runs]
        return [[number(one[1]), f"{one[0] / 1000:,.0f} k", f"{one[3] / 60:.0f}"] for one in last]

    heads = ("agent", "mean return of 100 episodes", "steps", "minutes of the processor")
    return markdown(heads, cell_rows(CELLS, records, rows), 1)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw the curves over steps and over time."""
    found = {name: results(runs) for name, runs in by_cell(records).items() if results(runs)}
    if not found:
        return None
    by_steps, by_time = panels(2, "Atari's Pong: the mean return of 100 training episodes")
    for axes, place, what in ((by_steps, 0, "environment steps"), (by_time, 3, "minutes of the processor")):
        for name, runs in found.items():
            for i, one in enumerate(runs):
                along = [row[place] / (60 if place else 1) for row in one["curve"]]
                values = [row[1] for row in one["curve"]]
                axes.plot(along, values, color=colour_of(name), label=f"_{name}" if i else name)
        draw_level(axes, 21, "the best return there is")
        axes.set(title="over time" if place else "over steps", xlabel=what, ylabel="mean return", ylim=(-22, 22))
        axes.legend(fontsize=7)
    count_in_thousands(by_steps)
    assert isinstance(by_steps.figure, Figure)
    return by_steps.figure
