"""`python -m benchmarks pong {ours,sb3}`: PPO on Atari's Pong, a curve line by line, for as long as there is time.

Both sides have the settings of Stable-Baselines3's zoo: 8 environments, 128 steps, 4 epochs × 4 minibatches of 256, the
learning rate from 2.5e-4 and the clip range from 0.1, both falling to 0 over ten million steps, whenever a run ends.
Ours plays in ALE's own vector form, theirs in their own wrappers (AtariWrapper, VecFrameStack), both with 4 frames of
84×84 and without sticky actions, one thread each. results/pong-SIDE-SEED.jsonl begins with a line that says what was
run; each later line has the steps, the mean return of the last 100 episodes, and the seconds of the wall's and of the
processor's clock, from the first reset. The agent is saved to .pong/SIDE-SEED every few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import pg_agents as pg
from benchmarks.peers.compare import ROOT, WORKERS
from benchmarks.peers.machine import PEERS, facts
from benchmarks.records import RESULTS, commit, typed
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
EVERY, SAVE_SECONDS = 8 * 1024, 300  # steps between lines, seconds between saved agents


class Curve:
    """A probe that writes a line and saves the agent where it is due, and ends a run at its limits.

    Args:
        file: to which lines are appended.
        agent: the folder of the saved agent.
        until: seconds, steps, and the mean return of 100 episodes, of which the first that is reached ends the run.
    """

    def __init__(self, file: Path, agent: Path, until: dict[str, float]) -> None:
        self.file, self.agent, self.until, self.saved = file, agent, until, 0.0
        self.started, self.cpu = time.perf_counter(), time.process_time()

    def __call__(self, run: pg.Run) -> None:
        """Write the line of a run, and stop the run if it is over."""
        seconds, cpu_seconds = time.perf_counter() - self.started, time.process_time() - self.cpu
        mean = run.summary.mean_return_last_100
        row = {"steps": run.steps, "mean_return": mean, "seconds": seconds, "cpu_seconds": cpu_seconds}
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        known = {"seconds": seconds, "steps": run.steps}
        if run.summary.episodes >= 100 and mean is not None:
            known["mean_return"] = mean
        reached = [f"{name} {value:.6g}" for name, value in known.items() if value >= self.until[name]]
        if reached:
            run.stop(reached[0])
        if reached or seconds >= self.saved + SAVE_SECONDS:
            self.saved = seconds
            run.agent.save(self.agent)


def ours(seed: int, file: Path, agent: Path, until: dict[str, float], head: dict[str, Any]) -> None:
    """Train our agent with the package's tuned settings."""
    torch.set_num_threads(1)
    tuned = TUNED["ppo", ENV]
    settings = {"num_envs": tuned.num_envs, "arguments": tuned.arguments, "env_args": STICKY | {"num_threads": 1}}
    file.write_text(json.dumps(head | settings | {"versions": {"torch": torch.__version__}}) + "\n")
    env = make_env(ENV, tuned.num_envs, settings["env_args"])
    learner = pg.AGENTS["ppo"].for_env(env, seed=seed, **tuned.arguments)
    probe = Curve(file, agent, until)
    pg.train(learner, env, total_steps=HORIZON, seed=seed, log_every=EVERY, probes=[probe], progress=False)


def theirs(seed: int, file: Path, agent: Path, until: dict[str, float], head: dict[str, Any], peers: Path) -> None:
    """Train Stable-Baselines3's agent with its zoo's settings, in the peers' Python."""
    settings = THEIRS | {"env": ENV, "num_envs": 8, "threads": 1, "seed": seed, "total_steps": HORIZON}
    where = {"file": str(file), "agent": str(agent), "every": EVERY, "save_seconds": SAVE_SECONDS, "until": until}
    file.touch()
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    subprocess.run(
        [str((peers / "bin" / "python").absolute()), "-P", str(WORKERS / "sb3_atari.py")]
        + [json.dumps(settings | where | {"head": head | settings})],
        env=os.environ | threads,
        check=True,
    )


def read_curve(file: Path) -> dict[str, Any]:
    """Return the first line of a run, with its further lines as "rows"; a line that was cut off is left out."""
    head, *rows = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return head | {"rows": rows}


def main(arguments: Sequence[str]) -> int:
    """Run one side."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pong", description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("side", choices=("ours", "sb3"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of the wall's clock, after which the run ends")
    parser.add_argument("--steps", type=int, default=HORIZON, help="after which the run ends; the schedules stay")
    parser.add_argument("--mean-return", type=float, default=20.0, help="of 100 episodes, at which the run ends")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--peers", type=Path, default=PEERS, help="virtual environment of the peers")
    options = parser.parse_args(arguments)
    name = f"{options.side}-{options.seed}"
    file, agent = (options.out / f"pong-{name}.jsonl").absolute(), ROOT / ".pong" / name
    if file.exists():
        print(f"{file} holds a run: move it away to make another", file=sys.stderr)
        return 2
    agent.parent.mkdir(exist_ok=True)
    until = {"seconds": options.seconds, "steps": options.steps, "mean_return": options.mean_return}
    head = {
        "command": typed("pong", arguments),
        "side": options.side,
        "commit": commit(),
        "seed": options.seed,
        "until": until,
        "machine": facts(),
    }
    if options.side == "ours":
        ours(options.seed, file, agent, until, head)
    else:
        theirs(options.seed, file, agent, until, head, options.peers)
    return 0
