"""Tuned settings: better than the defaults for an agent in an environment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """Settings of a run.

    Attributes:
        num_envs: environments that are stepped together.
        total_steps: environment steps to learn from.
        arguments: arguments of `for_env`.
        env_args: arguments for the environment's constructor.
        wrappers: of each single environment, as texts (`pg_agents.spaces.wrappers`).
    """

    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)
    env_args: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()


LUNAR_LANDER = Tuned(
    num_envs=16,
    total_steps=1_000_000,
    arguments={"num_steps": 1024, "epochs": 4, "gae_lambda": 0.98, "discount": 0.999, "entropy_weight": 0.01},
)
NORMALIZED = {"normalize_observations": True, "normalize_rewards": True}
MUJOCO = Tuned(64, 1_000_000, NORMALIZED | {"num_steps": 32, "initial_log_std": -0.5, "learning_rate": "3e-4:0"})
# Games of Atari in ale_py's vector form, which preprocesses its pictures and clips its rewards: the settings that
# Stable-Baselines3's zoo publishes. Its value loss, ½ (V − G)², is the one whose weight is 1 here.
ATARI = Tuned(
    num_envs=8,
    total_steps=10_000_000,
    arguments={
        "num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": "2.5e-4:0", "clip": "0.1:0",
        "value_weight": 1.0, "entropy_weight": 0.01, "normalize_over": "minibatch", "adam_epsilon": 1e-5,
    },
)  # fmt: skip
# Rooms of MiniGrid, seen as 7×7×3 codes from 0 to 10 in bytes: as numbers for a multilayer perceptron they are learned
# sooner than as a picture, which would be divided by 255.
MINIGRID = Tuned(
    num_envs=16,
    total_steps=100_000,
    arguments={
        "num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": "1e-3:0", "entropy_weight": 0.01,
    },
    wrappers=(
        "FilterObservation:filter_keys=['image','direction']", "FlattenObservation", "DtypeObservation:dtype=float32",
    ),
)  # fmt: skip
# Texts, written by a transformer whose weights begin at random.
TRANSCRIBING = ("pg/Copy-v0", "pg/Reverse-v0", "pg/Sort-v0")
TRANSCRIBERS = {
    "grpo": Tuned(256, 50_000, {"minibatch_size": 512, "learning_rate": "2e-3:0", "entropy_weight": 0.01}),
    "rloo": Tuned(256, 100_000, {"learning_rate": "3e-3:0", "entropy_weight": 0.01}),
    "ppo": Tuned(
        256,
        50_000,
        {"epochs": 2, "minibatch_size": 512, "learning_rate": "2e-3:0", "discount": 1.0, "entropy_weight": 0.01},
    ),
    "reinforce-baseline": Tuned(256, 100_000, {"learning_rate": "3e-3:0", "discount": 1.0, "entropy_weight": 0.01}),
}

TUNED: dict[tuple[str, str], Tuned] = {
    ("ppo", "CartPole-v1"): Tuned(
        num_envs=32,
        total_steps=200_000,
        arguments={
            "num_steps": 64, "minibatch_size": 512, "epochs": 4, "learning_rate": "1e-2:0", "gae_lambda": 0.95,
            "discount": 0.98, "hidden": (32, 32),
        },
    ),
    ("ppo", "Acrobot-v1"): Tuned(
        num_envs=16,
        total_steps=500_000,
        arguments=NORMALIZED | {"num_steps": 256, "epochs": 4, "gae_lambda": 0.94, "learning_rate": "1e-3:0"},
    ),
    ("ppo", "Pendulum-v1"): Tuned(  # found by tuning, in 20 trials on seeds 300 to 303
        num_envs=8,
        total_steps=100_000,
        arguments={"learning_rate": 9.32e-4, "clip": 0.1, "max_grad_norm": None, "normalize_rewards": True},
    ),
    ("ppo", "LunarLander-v3"): LUNAR_LANDER,
    ("ppo", "LunarLanderContinuous-v3"): LUNAR_LANDER,
    ("ppo", "HalfCheetah-v5"): MUJOCO,
    ("ppo", "Hopper-v5"): MUJOCO,
    ("ppo", "Walker2d-v5"): MUJOCO,
    ("ppo", "ALE/Pong-v5"): ATARI,
    ("ppo", "ALE/Breakout-v5"): replace(ATARI, env_args={"episodic_life": True}),
    ("ppo", "pg/Catch-v0"): Tuned(
        num_envs=8,
        total_steps=80_000,
        arguments={
            "num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": "5e-4:0", "entropy_weight": "0.05:0",
        },
    ),
    ("a2c", "pg/Catch-v0"): Tuned(16, 80_000, {"learning_rate": "1.5e-3:0", "entropy_weight": 0.01}),
    ("ppo", "MiniGrid-DoorKey-5x5-v0"): MINIGRID,
    ("ppo", "MiniGrid-DoorKey-6x6-v0"): replace(MINIGRID, total_steps=200_000),
    ("ppo", "MiniGrid-Empty-8x8-v0"): replace(MINIGRID, total_steps=60_000),
    **{(agent, env): settings for agent, settings in TRANSCRIBERS.items() for env in TRANSCRIBING},
    # Guessing the bit is right half the time: with little entropy the policy gives one answer to all prompts.
    ("grpo", "pg/Parity-v0"): Tuned(
        256, 80_000, {"minibatch_size": 256, "learning_rate": "1e-3:0", "entropy_weight": "0.25:0"}
    ),
    ("rloo", "pg/Parity-v0"): Tuned(128, 400_000, {"learning_rate": 2e-3, "entropy_weight": "0.1:0"}),
    ("ppo", "pg/Parity-v0"): Tuned(
        256,
        240_000,
        {"minibatch_size": 256, "learning_rate": "1e-3:0", "discount": 1.0, "entropy_weight": "0.2:0"},
    ),
    ("reinforce-baseline", "pg/Parity-v0"): Tuned(
        128, 400_000, {"learning_rate": 2e-3, "discount": 1.0, "entropy_weight": "0.1:0"}
    ),
    ("grpo", "pg/Addition-v0"): Tuned(
        512,
        4_000_000,
        {"epochs": 3, "minibatch_size": 700, "learning_rate": "1e-3:1e-4", "entropy_weight": "0.06:0"},
    ),
    ("rloo", "pg/Addition-v0"): Tuned(128, 3_000_000, {"learning_rate": "1e-3:1e-4", "entropy_weight": "0.02:0"}),
    ("ppo", "pg/Addition-v0"): Tuned(
        512,
        2_000_000,
        {
            "epochs": 3, "minibatch_size": 700, "learning_rate": "1e-3:1e-4", "discount": 1.0,
            "entropy_weight": "0.06:0",
        },
    ),
    ("reinforce-baseline", "pg/Addition-v0"): Tuned(
        128,
        3_000_000,
        {"learning_rate": "1e-3:1e-4", "discount": 1.0, "normalize_advantages": True, "entropy_weight": "0.06:0"},
    ),
    ("a2c", "CartPole-v1"): Tuned(16, 200_000, {"learning_rate": "3e-3:0", "normalize_rewards": True}),
    ("trpo", "CartPole-v1"): Tuned(16, 200_000),
    ("npg", "CartPole-v1"): Tuned(16, 200_000),
    ("grpo", "CartPole-v1"): Tuned(16, 200_000, {"learning_rate": "3e-3:0"}),
    ("rloo", "CartPole-v1"): Tuned(16, 200_000, {"learning_rate": "1e-2:0"}),
    ("trpo", "Hopper-v5"): Tuned(64, 1_000_000, NORMALIZED | {"num_steps": 32, "initial_log_std": -0.5}),
}  # fmt: skip


def tuned_settings(agent: str, env: str) -> Tuned:
    """Return the tuned settings for an agent in an environment.

    Raises:
        ValueError: there are none; the message lists this agent's environments with tuned settings.
    """
    if (agent, env) in TUNED:
        return TUNED[agent, env]
    known = [known_env for known_agent, known_env in TUNED if known_agent == agent]
    there = f"there are some for {', '.join(known)}" if known else "there are none for any environment"
    raise ValueError(f"tuned: there are no tuned settings for {agent} in {env}; {there}; leave --tuned out")
