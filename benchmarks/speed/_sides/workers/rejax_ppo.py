"""A run of rejax's PPO, in a Python of its own with JAX: settings as JSON in, one line of JSON out.

All seeds are one batch by `jax.vmap`, on one core to which the process is tied. rejax compiles a whole run, so the
clock runs over compiling, too, unless `compiled` says that this was done before.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # read by the import
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # type: ignore[import-not-found]  # noqa: E402
import rejax  # type: ignore[import-not-found]  # noqa: E402

ROLLOUT = 8 * 128  # steps of a learner between two updates


def algorithm_of(settings: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return PPO with nothing else in its run: no evaluation before its end, and that one without episodes."""
    steps = ROLLOUT * math.ceil(settings["total_steps"] / ROLLOUT)
    how = {"total_timesteps": steps, "eval_freq": steps, "skip_initial_evaluation": True}
    made = rejax.PPO.create(env=settings["env"], **how, **settings["arguments"])
    return made.replace(eval_callback=lambda algorithm, state, key: ())


def returns_of(settings: dict[str, Any], algorithm: Any, states: Any) -> float:  # noqa: ANN401
    """Return the mean return of 10 episodes of each learner, after its run."""
    limit = algorithm.env_params.max_steps_in_episode

    def one(state: Any) -> Any:  # noqa: ANN401
        act, key = algorithm.make_act(state), jax.random.key(settings["seed"])
        return rejax.evaluate.evaluate(act, key, algorithm.env, algorithm.env_params, 10, limit)

    _, returns = jax.jit(jax.vmap(one))(states)
    return float(returns.mean())


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Make the run that `settings` describe and return its results."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    algorithm = algorithm_of(settings)
    keys = jax.random.split(jax.random.key(settings["seed"]), settings["learners"])
    began, cpu_began = time.perf_counter(), time.process_time()
    train = jax.jit(jax.vmap(lambda key: algorithm.train(rng=key)[0])).lower(keys).compile()
    started, cpu = time.perf_counter(), time.process_time()
    states = jax.block_until_ready(train(keys))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    if not settings["compiled"]:
        seconds, cpu_seconds = seconds + started - began, cpu_seconds + cpu - cpu_began
    peak = float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1.024e-3
    return {
        "steps": int(states.global_step.sum()),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "compiling_seconds": started - began,
        "mean_return": returns_of(settings, algorithm, states),
        "peak_megabytes": peak,
        "versions": {name: version(name) for name in ("rejax", "jax", "gymnax", "flax", "optax")},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
