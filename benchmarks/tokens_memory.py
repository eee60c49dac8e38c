"""What a step of token episodes costs in time and in memory at a window of 2,048: `python -m benchmarks.tokens_memory`.

A policy that costs next to nothing plays, so that what is measured is the environment and the collector. "blocks" keeps
one window a row, "stacked" one window a row and step, as for environments whose observations do not append.
"""

from __future__ import annotations

import platform
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pg_envs import TokenVectorEnv
from torch import Tensor, nn

import pg_agents as pg
from benchmarks.records import write
from pg_agents.distributions import Categorical
from pg_agents.policies import Policy

ROWS, WINDOW, PROMPT, VOCABULARY = 64, 2048, 16, 8
STEPS = (32, 128, 512, 1024)
MOST_STACKED = 128  # steps: 128 MiB of windows


class Uniform(Policy):
    """All tokens alike, whatever was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def forward(self, observations: Any, memory: None = None, episode_starts: Tensor | None = None) -> Categorical:  # noqa: ANN401
        """Return the distribution for every observation."""
        return Categorical(self.bias.expand(*observations["length"].shape, VOCABULARY))


def make_env(steps: int, **form: Any) -> TokenVectorEnv:  # noqa: ANN401
    """Return 64 rows that none of the policy's tokens ends before `steps`."""
    return TokenVectorEnv(
        ROWS,
        prompts=[[1] * PROMPT],
        score=lambda prompt, completion: 0.0,
        vocabulary=VOCABULARY + 1,
        eos=VOCABULARY,
        max_new_tokens=steps,
        window=WINDOW,
        **form,
    )


def env_microseconds(steps: int = 512, **form: Any) -> float:  # noqa: ANN401
    """Return what `env.step` takes, in microseconds."""
    env = make_env(steps, **form)
    env.reset(seed=0)
    actions = np.ones(ROWS, np.int64)
    started = time.perf_counter()
    for _ in range(steps):
        env.step(actions)
    return (time.perf_counter() - started) / steps * 1e6


def timed(collector: Iterator[pg.Rollout]) -> float:
    """Return the seconds that the next rollout takes."""
    started = time.perf_counter()
    next(collector)
    return time.perf_counter() - started


def collect(steps: int, *, blocks: bool, **form: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return time a step, and the most memory that arrays took while an episode of `steps` steps was collected."""
    collector = pg.collect_episodes(make_env(steps, **form), Uniform())
    collector.append_only = blocks
    next(collector)
    seconds = min(timed(collector) for _ in range(3))
    tracemalloc.start()
    rollout = next(collector)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rollout.mask.shape == (steps, ROWS) and rollout.mask.all()
    return {
        "steps": steps,
        "kept": "blocks" if blocks else "stacked",
        **form,
        "microseconds_a_step": seconds / steps * 1e6,
        "peak_mib": peak / 2**20,
        "bytes_a_token": peak / (ROWS * steps),
    }


def run_memory() -> dict[str, Any]:
    """Measure, write results/tokens-memory.json and return its contents."""
    torch.set_num_threads(1)
    forms = ({"copy": True}, {"copy": False})
    rows = [collect(steps, blocks=True, **form) for form in forms for steps in STEPS]
    rows += [collect(steps, blocks=False, copy=True) for steps in STEPS if steps <= MOST_STACKED]
    content = {
        "machine": platform.machine(),
        "rows": ROWS,
        "window": WINDOW,
        "one_window_mib": ROWS * WINDOW * 8 / 2**20,
        "env_step_microseconds": {
            f"copy={form['copy']}": min(env_microseconds(**form) for _ in range(5)) for form in forms
        },
        "collected": rows,
    }
    return write("tokens-memory", "python -m benchmarks.tokens_memory", content, indent=1)


if __name__ == "__main__":
    found = run_memory()
    print(found["env_step_microseconds"])
    for row in found["collected"]:
        print({key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()})
