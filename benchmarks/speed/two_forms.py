"""How much faster than Gymnasium's single environments are the vector forms of `pg_envs`, in whole runs?

PPO with its tuned settings, in as many single environments of Gymnasium as it makes them, and in ours, which play all
rows at once.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]


def forms_of(name: str) -> Workload:
    """Return PPO's run with the tuned settings of an environment of Gymnasium, in its form and in ours.

    Gymnasium's is as many single environments, which reset in the step after an episode's end, as it makes them.
    """
    tuned = {"agent": "ppo", "kind": "native", "tuned": name}
    sides = {"Gymnasium's form": Side("ours", {"env": name}), "ours": Side("ours", {"env": f"pg/{name}"})}
    title = f"PPO with its tuned settings on {name}, in Gymnasium's form and in pg/{name}"
    return Workload(title, tuned | {"threads": 1}, sides, {"Gymnasium's form": 0.0})


WORKLOADS = {"acrobot": forms_of("Acrobot-v1"), "pendulum": forms_of("Pendulum-v1")}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Whole runs in two forms of an environment")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
