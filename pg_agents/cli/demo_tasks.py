"""The tasks of `pg-agents demo`, and how each agent learns them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pg_agents.training.tuned import Tuned


@dataclass(frozen=True)
class Task:
    """An environment, and how every agent learns in it.

    Attributes:
        env: the environment's id.
        episodes: episodes in the greedy evaluation, of all learners together; more if an episode's return is noisy.
        usual: how agents learn, of which `env_args` hold for all.
        own: by an agent's name, how it learns instead.
        continuing: the task never ends: only agents for continuing tasks learn in it, and returns are per step.
    """

    env: str
    episodes: int
    usual: Tuned
    own: Mapping[str, Tuned] = field(default_factory=dict)
    continuing: bool = False

    def settings(self, agent: str) -> Tuned:
        """Return how an agent learns."""
        return self.own.get(agent, self.usual)

    @property
    def env_args(self) -> dict[str, Any]:
        """Arguments for the environment's constructor."""
        return self.usual.env_args


MEANS = (0.2, -0.8, 1.5, 0.4, 1.2, -1.5, -0.2, -1.0, 0.8, -0.5)  # of a ten-armed bandit, drawn from N(0, 1)

# Texts of whole episodes: one pass of the transformer reads all of a text, where a rollout of a few steps would read the
# window again at each of them.
TEXTS = {"learning_rate": "4e-3:0", "entropy_weight": 0.01}
WHOLE = {"num_steps": None}
SMALL = {"hidden": (32, 32)}

# Settings were chosen on seeds from 100, the learning rate and its schedule first, then as few steps as reach the
# optimum; results are of seeds from 0. The slowest tasks come first, so that both processes are busy until the end.
TASKS = (
    Task(
        "pg/Reverse-v0",
        200,
        Tuned(64, 12_000, TEXTS, {"length": 2, "symbols": 3}),
        {
            "reinforce": Tuned(64, 24_000, TEXTS),
            "actor-critic": Tuned(64, 12_000, TEXTS | WHOLE),
            "a2c": Tuned(64, 12_000, TEXTS | WHOLE | {"optimizer": "adam"}),
            "ppo": Tuned(64, 6_000, {"learning_rate": "2e-3:0"}),
            "grpo": Tuned(64, 6_000, {"learning_rate": "2e-3:0"}),
            "trpo": Tuned(64, 5_000, WHOLE),
            "npg": Tuned(64, 5_000, WHOLE),
        },
    ),
    Task(
        "pg/CartPole-v1",
        160,
        Tuned(16, 100_000),
        {
            "reinforce": Tuned(16, 150_000, SMALL | {"learning_rate": "1e-2:0", "normalize_advantages": True}),
            "a2c": Tuned(8, 100_000, {"learning_rate": "3e-3:0", "normalize_rewards": True}),
        },
    ),
    Task("pg/GridWorld-v0", 2_000, Tuned(16, 50_000)),
    Task("pg/GaussianBandit-v0", 20_000, Tuned(16, 20_000, env_args={"means": MEANS})),
    Task("pg/TwoStateMDP-v0", 128, Tuned(16, 50_000), continuing=True),
)
