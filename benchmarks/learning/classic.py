"""Do agents learn classic control, and as well as Stable-Baselines3 with its zoo's settings?

Stable-Baselines3 learns from as many steps as ours, and where its zoo has fewer (CartPole) from those, too; for
Acrobot the zoo has 1,000 k, for BipedalWalker 5,000 k. The zoo's settings for LunarLander are those of version 2.
On CartPole `reinforce`, `reinforce-baseline` and `actor-critic` have their defaults; other agents have tuned settings.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.learning import curves, scores
from benchmarks.learning.protocol import SEEDS, Cell, run, run_seeds, together, tuned_cell
from benchmarks.learning.zoo import peers_of
from benchmarks.suite.tables import Measured

__all__ = ["CELLS", "SEEDS", "plot", "run", "run_seeds", "table", "together"]

CARTPOLE = [tuned_cell(agent, "CartPole-v1") for agent in ("ppo", "a2c", "trpo", "npg", "grpo", "rloo")]
CARTPOLE += [
    Cell(f"CartPole-v1/{agent}", agent, "CartPole-v1", num_envs, 200_000)
    for agent, num_envs in (("reinforce", 16), ("reinforce-baseline", 16), ("actor-critic", 32))
]
# Not tuned: settings of the kind that published ones have; nothing was chosen by what these cells return.
MOUNTAIN_CAR = Cell(
    "MountainCar-v0/ppo",
    "ppo",
    "MountainCar-v0",
    16,
    1_000_000,
    {
        "normalize_observations": True, "normalize_rewards": True, "num_steps": 64, "epochs": 4, "gae_lambda": 0.98,
        "learning_rate": "1e-3:0", "entropy_weight": 0.01,
    },
)  # fmt: skip
MOUNTAIN_CAR_CONTINUOUS = Cell(
    "MountainCarContinuous-v0/ppo",
    "ppo",
    "MountainCarContinuous-v0",
    1,
    20_000,
    {
        "normalize_observations": True, "normalize_rewards": True, "num_steps": 1000, "epochs": 10, "discount": 0.999,
        "learning_rate": "1e-3:0", "initial_log_std": 0.5, "minibatch_size": 250,
    },
)  # fmt: skip
BIPEDAL_WALKER = Cell(
    "BipedalWalker-v3/ppo",
    "ppo",
    "BipedalWalker-v3",
    32,
    1_000_000,
    {
        "normalize_observations": True, "normalize_rewards": True, "num_steps": 64, "discount": 0.999,
        "learning_rate": "3e-4:0",
    },
)  # fmt: skip
PPO = [
    CARTPOLE[0],
    *(tuned_cell("ppo", env) for env in ("Acrobot-v1", "Pendulum-v1", "LunarLander-v3")),
    MOUNTAIN_CAR,
    MOUNTAIN_CAR_CONTINUOUS,
    tuned_cell("ppo", "LunarLanderContinuous-v3"),
    BIPEDAL_WALKER,
]
CELLS = [*CARTPOLE, *peers_of(CARTPOLE[0]), *(one for cell in PPO[1:] for one in (cell, *peers_of(cell)))]


def table(records: Sequence[Measured]) -> dict[str, str]:
    """Return the scores, and the comparison with Stable-Baselines3."""
    return {"scores": scores.table(CELLS, SEEDS, records), "peers": scores.comparison(CELLS, records)}


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a panel an environment."""
    return curves.plot(CELLS, records, "Classic control")
