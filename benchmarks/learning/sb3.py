"""Stable-Baselines3 under the same protocol: it learns and is evaluated in the peers' own Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.processes import answer, python_of
from pg_agents.seeding import Purpose, environment_seeds, spawn

WORKER = Path(__file__).parent / "workers" / "sb3_learner.py"
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
HOURS = 6  # after which a run is given up


def learn(cell: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train with a seed and evaluate, in the episodes in which ours is evaluated; return what `protocol.run` does.

    Args:
        cell: a `protocol.Cell`, whose `agent` is the algorithm's name and whose `arguments` are its settings, in the
            words of its zoo: with "policy", "policy_kwargs", "normalize", and "lin_3e-4" for what falls to 0.
        seed: of the run.

    Raises:
        FileNotFoundError: there is no virtual environment of the peers.
        RuntimeError: it failed; the message holds the end of what it wrote.
    """
    settings = cell | {"seed": seed, "eval_seeds": evaluation_seeds(seed, cell["episodes"])}
    command = [python_of(PEERS), "-P", str(WORKER)]
    return answer(command, settings, THREADS, name="Stable-Baselines3", timeout=HOURS * 3600)


def evaluation_seeds(seed: int, episodes: int) -> list[int]:
    """Return the seeds of the episodes in which a run is evaluated."""
    return [int(one) for one in environment_seeds(spawn(seed, Purpose.EVALUATION), episodes)]
