"""Do agents learn to run, hop, walk and swim, and as well as Stable-Baselines3 with its zoo's settings?

The zoo's settings are those of version 3 of the environments, on which its page reports one trained agent each: 2,410
on Hopper, 5,819 on HalfCheetah. Others measured less on Hopper: the README of rlox has 1,173 (719 … 1,579) for
Stable-Baselines3's PPO on version 4, of five seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from benchmarks.learning import curves, scores
from benchmarks.learning.protocol import SEEDS, Cell, run, tuned_cell
from benchmarks.learning.zoo import peers_of
from benchmarks.suite.tables import Measured

__all__ = ["CELLS", "EXTRAS", "SEEDS", "plot", "run", "table"]

EXTRAS = ("mujoco",)
HALF_CHEETAH, HOPPER, WALKER = (tuned_cell("ppo", env) for env in ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5"))


def like_walker(env: str, **arguments: float) -> Cell:
    """Return the cell of PPO in another environment with the settings of Walker2d."""
    return replace(WALKER, name=f"{env}/ppo", env=env, arguments=WALKER.arguments | arguments)


CELLS = [
    HALF_CHEETAH,
    *peers_of(HALF_CHEETAH),
    HOPPER,
    *peers_of(HOPPER),
    tuned_cell("trpo", "Hopper-v5"),
    WALKER,
    like_walker("Ant-v5"),
    like_walker("Swimmer-v5", discount=0.9999),  # as in Stable-Baselines3's zoo: what a stroke is worth comes late
]


def table(records: Sequence[Measured]) -> dict[str, str]:
    """Return the scores, and the comparison with Stable-Baselines3."""
    return {"scores": scores.table(CELLS, SEEDS, records), "peers": scores.comparison(CELLS, records)}


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a panel an environment."""
    return curves.plot(CELLS, records, "MuJoCo, version 5")
