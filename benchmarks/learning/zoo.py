"""Settings that Stable-Baselines3's zoo publishes (rl-baselines3-zoo, hyperparams/ppo.yml, commit 00128b5d46).

They are in the zoo's words, but for n_envs and n_timesteps. The zoo's environments are of earlier versions:
LunarLander-v2, HalfCheetah-v3 and Hopper-v3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.learning.protocol import Cell

LIBRARY = "stable-baselines3"
LUNAR_LANDER = {
    "n_steps": 1024, "batch_size": 64, "gae_lambda": 0.98, "gamma": 0.999, "n_epochs": 4, "ent_coef": 0.01,
}  # fmt: skip
WIDE = {
    "log_std_init": -2,
    "ortho_init": False,
    "activation_fn": "ReLU",
    "net_arch": {"pi": [256, 256], "vf": [256, 256]},
}

# Environment → environments side by side, steps, arguments.
PPO: dict[str, tuple[int, int, dict[str, Any]]] = {
    "CartPole-v1": (
        8,
        100_000,
        {
            "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.0,
            "learning_rate": "lin_0.001", "clip_range": "lin_0.2",
        },
    ),
    "Acrobot-v1": (
        16,
        1_000_000,
        {"normalize": True, "n_steps": 256, "gae_lambda": 0.94, "gamma": 0.99, "n_epochs": 4, "ent_coef": 0.0},
    ),
    "Pendulum-v1": (
        4,
        100_000,
        {
            "n_steps": 1024, "gae_lambda": 0.95, "gamma": 0.9, "n_epochs": 10, "ent_coef": 0.0, "learning_rate": 1e-3,
            "clip_range": 0.2, "use_sde": True, "sde_sample_freq": 4,
        },
    ),
    "LunarLander-v3": (16, 1_000_000, LUNAR_LANDER),
    "LunarLanderContinuous-v3": (16, 1_000_000, LUNAR_LANDER),
    "MountainCar-v0": (
        16,
        1_000_000,
        {"normalize": True, "n_steps": 16, "gae_lambda": 0.98, "gamma": 0.99, "n_epochs": 4, "ent_coef": 0.0},
    ),
    "MountainCarContinuous-v0": (
        1,
        20_000,
        {
            "normalize": True, "batch_size": 256, "n_steps": 8, "gamma": 0.9999, "learning_rate": 7.77e-05,
            "ent_coef": 0.00429, "clip_range": 0.1, "n_epochs": 10, "gae_lambda": 0.9, "max_grad_norm": 5,
            "vf_coef": 0.19, "use_sde": True, "policy_kwargs": {"log_std_init": -3.29, "ortho_init": False},
        },
    ),
    "BipedalWalker-v3": (
        32,
        5_000_000,
        {
            "normalize": True, "n_steps": 2048, "batch_size": 64, "gae_lambda": 0.95, "gamma": 0.999, "n_epochs": 10,
            "ent_coef": 0.0, "learning_rate": 3e-4, "clip_range": 0.18,
        },
    ),
    "HalfCheetah-v5": (
        1,
        1_000_000,
        {
            "normalize": True, "batch_size": 64, "n_steps": 512, "gamma": 0.98, "learning_rate": 2.0633e-05,
            "ent_coef": 0.000401762, "clip_range": 0.1, "n_epochs": 20, "gae_lambda": 0.92, "max_grad_norm": 0.8,
            "vf_coef": 0.58096, "policy_kwargs": WIDE,
        },
    ),
    "Hopper-v5": (
        1,
        1_000_000,
        {
            "normalize": True, "batch_size": 32, "n_steps": 512, "gamma": 0.999, "learning_rate": 9.80828e-05,
            "ent_coef": 0.00229519, "clip_range": 0.2, "n_epochs": 5, "gae_lambda": 0.99, "max_grad_norm": 0.7,
            "vf_coef": 0.835671, "policy_kwargs": WIDE,
        },
    ),
}  # fmt: skip


def peers_of(ours: Cell) -> list[Cell]:
    """Return the cells of Stable-Baselines3's PPO beside one of ours, with the zoo's settings.

    One has as many steps as ours; where the zoo has fewer, another one has the zoo's.
    """
    num_envs, steps, arguments = PPO[ours.env]
    name = f"{ours.env}/sb3-ppo"
    same = Cell(name, "PPO", ours.env, num_envs, ours.total_steps, arguments, ours.episodes, library=LIBRARY)
    if steps >= ours.total_steps:
        return [same]
    return [same, replace(same, name=f"{name}, {steps // 1000} k steps", total_steps=steps)]
