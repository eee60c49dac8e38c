"""Our side, and the writer without protection that shows that faults fire."""

from __future__ import annotations

import inspect
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from faults import fingerprint
from forks import Begin, Fork
from serve import serve

import pg_agents as pg

STEPS = 512  # of a rollout
ENDLESS = 1_000_000_000
Probe = Callable[[Any], None]  # of a run


def make(seed: int, *, large: bool = False) -> pg.Agent:
    """Return an agent, of 4 MiB or of a usual size."""
    arguments: dict[str, Any] = {"hidden": (750, 750)} if large else {}
    return pg.PPO.for_env(gym.make("CartPole-v1"), seed=seed, num_steps=STEPS, **arguments)


def of(agent: pg.Agent) -> str:
    """Return an agent's fingerprint."""
    return fingerprint([*agent.state_dict().items(), ("config", agent.config)])


class Saved:
    """`agent.save` and `pg.load`."""

    def __init__(self, large: bool) -> None:
        self.things = [make(seed, large=large) for seed in (1, 2)]

    def save(self, number: int, folder: Path) -> None:
        """Save an agent."""
        self.things[number - 1].save(folder / "agent")

    def load(self, folder: Path) -> str:
        """Load it."""
        return of(pg.load(folder / "agent"))


class Unprotected:
    """The control: parameters are written over the earlier ones, in pieces, with nothing to check them by."""

    def __init__(self, large: bool) -> None:
        shapes = [(1 << 20,)] if large else [(64, 64)] * 2
        draw = np.random.default_rng(0)
        self.things = [[draw.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(2)]

    def save(self, number: int, folder: Path) -> None:
        """Write the shapes, then the numbers."""
        arrays = self.things[number - 1]
        (folder / "shapes.json").write_text(json.dumps([array.shape for array in arrays]))
        with (folder / "numbers").open("wb", buffering=0) as file:
            for array in arrays:
                content = array.tobytes()
                for start in range(0, len(content), 1 << 16):
                    file.write(content[start : start + (1 << 16)])

    def load(self, folder: Path) -> str:
        """Read them."""
        numbers, parts, begun = np.fromfile(folder / "numbers", np.float32), [], 0
        for i, shape in enumerate(json.loads((folder / "shapes.json").read_text())):
            count = int(np.prod(shape))
            parts.append((str(i), torch.from_numpy(numbers[begun : begun + count].reshape(shape))))
            begun += count
        return fingerprint(parts)


class Run:
    """`pg.train` with a folder, and what can be loaded from that."""

    def __init__(self, large: bool) -> None:
        if "resume" not in inspect.signature(pg.train).parameters:
            raise NotImplementedError("pg.train has no resume yet")
        self.env = gym.make("CartPole-v1")

    def train(self, folder: Path, seed: int, total_steps: int, probe: Probe, **arguments: Any) -> pg.Agent:  # noqa: ANN401
        """Train an agent, with a checkpoint and a call of the probe each rollout."""
        agent = make(seed)
        arguments |= {"checkpoint_every": STEPS, "log_every": STEPS, "probes": [probe], "progress": False}
        pg.train(agent, self.env, total_steps=total_steps, seed=seed, run_dir=folder, **arguments)
        return agent

    def learn(self, folder: Path, begin: Begin) -> None:
        """Learn for long; it has begun when the first episode begins."""
        reset = self.env.reset

        def begun(**arguments: Any) -> Any:  # noqa: ANN401
            self.env.reset = reset  # type: ignore[method-assign]
            begin()
            return reset(**arguments)

        self.env.reset = begun  # type: ignore[method-assign]
        self.train(folder / "run", 0, ENDLESS, lambda run: None)

    def load(self, folder: Path) -> str:
        """Go on, for a rollout, with the run that was ended."""
        if not [*(folder / "run" / "checkpoints").glob("*")]:
            raise FileNotFoundError("there is no checkpoint, and the run would begin anew")
        return of(self.train(folder / "run", 0, ENDLESS, lambda run: run.stop("it goes on"), resume=True))

    def whole(self, folder: Path, seed: int) -> str:
        """Train without a stop, beside a run of the same seed that is killed behind half of its way."""

        def die(run: Any) -> None:  # noqa: ANN401
            if run.steps > 4 * STEPS:
                os.kill(os.getpid(), signal.SIGKILL)

        if Fork(lambda begin: of(self.train(folder / "run", seed, 8 * STEPS, die))).join().code != -signal.SIGKILL:
            raise RuntimeError("the run was not killed")
        return of(self.train(folder / "whole", seed, 8 * STEPS, lambda run: None))

    def resumed(self, folder: Path, seed: int) -> str:
        """Go on."""
        return of(self.train(folder / "run", seed, 8 * STEPS, lambda run: None, resume=True))


if __name__ == "__main__":
    serve({"agent.save": Saved, "written in place": Unprotected, "pg.train": Run}, [pg])
