"""What is trained: every agent in every family of problems, and every option in a family that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

from benchmarks.correctness._bits.worker.environments import Make, copies, dice, native, texts

LONGEST = 10  # steps of an episode, for agents that learn from whole ones
EPISODES: dict[str, Any] = {"max_episode_steps": LONGEST}
PASSES: dict[str, Any] = {"num_steps": 8, "epochs": 2, "minibatch_size": 16}
SETTINGS: dict[str, dict[str, Any]] = {  # of each agent, small
    "reinforce": EPISODES,
    "reinforce-baseline": EPISODES,
    "actor-critic": {"num_steps": 3},
    "a2c": {"num_steps": 4},
    "ppo": PASSES,
    "grpo": EPISODES | {"epochs": 2, "minibatch_size": 16},
    "rloo": EPISODES,
    "trpo": PASSES,
    "npg": PASSES,
    "average-reward": {},
}
MODEL = "hf-config:{model}"  # a random Llama; the worker knows where


class Family(NamedTuple):
    """Problems of a kind.

    Attributes:
        make: so many environments.
        arguments: of every agent's `for_env`.
        num_envs: side by side.
    """

    make: Make
    arguments: dict[str, Any] = {}
    num_envs: int = 8


class Cell(NamedTuple):
    """One run: an agent in a family of problems, with an option's arguments added."""

    agent: str
    family: str
    option: str
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The cell's name in results."""
        return "/".join(filter(None, (self.agent, self.family, self.option)))


def numbers() -> Box:
    """Return a space of three numbers."""
    return Box(-1, 1, (3,), np.float32)


def shown() -> Dict:
    """Return a space of observations of three kinds."""
    return Dict(colour=Discrete(3, start=1), noise=Box(0, 1, (2, 2), np.float32), flags=MultiBinary(3))


def unusual() -> Box:
    """Return a box with a wide side, a narrow one far from 0, and one without an upper bound."""
    return Box(np.array([-1, 300, 0]), np.array([500, 300.25, np.inf]), dtype=np.float64)


SMALL: dict[str, Any] = {"hidden": (8,)}
EIGHT: dict[str, Any] = {"num_learners": 8, "minibatch_size": None}
FAMILIES = {
    "cartpole": Family(native("CartPole-v1"), SMALL),
    "cartpole copies": Family(copies("CartPole-v1"), SMALL),
    "cartpole same-step": Family(copies("CartPole-v1", "SAME_STEP"), SMALL),
    "cartpole disabled": Family(copies("CartPole-v1", "DISABLED"), SMALL),
    "cartpole single": Family(lambda _: gym.make("CartPole-v1"), SMALL, 1),
    "pendulum": Family(native("Pendulum-v1"), SMALL),
    "box": Family(dice(numbers, unusual), SMALL),
    "squashed": Family(
        dice(numbers, lambda: Box(np.array([-1.0, 3.0]), np.array([5.0, 3.5]), dtype=np.float64)),
        SMALL | {"squash": True, "initial_log_std": -0.5},
    ),
    "shifted": Family(dice(numbers, lambda: Discrete(3, start=4)), SMALL),
    "multi-discrete": Family(dice(numbers, lambda: MultiDiscrete([2, 3, 2], start=[0, 5, 1])), SMALL),
    "multi-binary": Family(dice(numbers, lambda: MultiBinary(4)), SMALL),
    "masks": Family(dice(numbers, lambda: Discrete(4), masked="info"), SMALL),
    "masks of choices": Family(dice(numbers, lambda: MultiDiscrete([2, 3]), masked="info", mode="SAME_STEP"), SMALL),
    "masks observed": Family(dice(numbers, lambda: Discrete(4), masked="observation"), SMALL),
    "dict": Family(dice(shown, lambda: Discrete(3)), SMALL),
    "pictures": Family(dice(lambda: Box(0, 255, (36, 36, 3), np.uint8), lambda: Discrete(3)), {}, 4),
    "bandit": Family(native("pg/BernoulliBandit-v0", probabilities=(0.1, 0.2, 0.9))),
    "contextual bandit": Family(native("pg/ContextualBandit-v0")),
    "gaussian bandit": Family(native("pg/GaussianBandit-v0")),
    "learners": Family(native("pg/BernoulliBandit-v0", probabilities=(0.1, 0.2, 0.9)), EIGHT),
    "learners in a grid": Family(native("pg/GridWorld-v0"), EIGHT),
    "frozen lake": Family(copies("FrozenLake-v1")),
    "grid": Family(native("pg/GridWorld-v0")),
    "continuing": Family(native("pg/TwoStateMDP-v0")),
    "continuing, cut": Family(native("pg/TwoStateMDP-v0", max_episode_steps=6)),
    "continuing, seen": Family(dice(numbers, lambda: Discrete(2, start=1), ends=0.0), SMALL),
    "memory": Family(native("pg/Recall-v0"), {"recurrent": 6}),
    "memory of numbers": Family(copies("CartPole-v1", "SAME_STEP"), {"recurrent": 6} | SMALL),
    "tokens": Family(native("pg/Shorter-v0")),
    "tokens in groups": Family(native("pg/Copy-v0", group_size=4, length=2)),
    "llama": Family(texts(), {"policy": MODEL}),
    "llama in groups": Family(texts(4), {"policy": MODEL}),
    "llama adapters": Family(texts(4), {"policy": MODEL, "lora": 2, "kl_weight": 0.1}),
}
PENALTIES = ("reward", "k2-loss", "k3-loss")
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "cartpole copies": [
        {"normalize_observations": True},
        {"normalize_rewards": True},
        {"normalize_advantages": True},
        {"entropy_weight": 0.05},
        {"entropy_weight": "0.1:0", "learning_rate": "1e-2:0", "critic_learning_rate": "1e-2:1e-3"},
        {"clip": "0.3:0.1"},
        {"clip_high": 0.28},
        {"target_kl": 1e-5},
        {"normalize_over": "minibatch", "normalize_advantages": True},
        {"micro_batch_size": 5},
        {"minibatch_size": None},
        {"critic_learning_rate": None, "learning_rate": 0.01},
        {"max_grad_norm": 0.1},
        {"optimizer": "sgd"},
        {"optimizer": "rmsprop"},
        {"adam_epsilon": 1e-3},
        {"activation": "relu", "hidden": (8, 8)},
        {"discount": 0.9, "gae_lambda": 0.5},
        {"value_weight": 0.3},
        {"discounted_time": True},
        {"num_steps": None},
        {"fisher_fraction": 0.5, "damping": 0.2},
        {"max_kl": 0.1, "backtrack": 0.5},
        *({"signal": signal} for signal in ("whole-return", "discounted-reward-to-go")),
        *({"baseline": baseline} for baseline in ("running-average", "batch-mean", "constant")),
        *({"kl_weight": 0.1, "kl_penalty": penalty} for penalty in PENALTIES),
        *({"advantage": one} for one in ("standardized", "batch-standardized", "centred")),
        *({"aggregation": one} for one in ("sequence-mean", "token-mean", "constant-length")),
        {"group_size": 2, "normalize_rewards": True},
    ],
    "cartpole single": [{"minibatch_size": 4}, {"normalize_advantages": True, "normalize_rewards": True}],
    "learners": [{"max_grad_norm": None}, {"max_grad_norm": None, "normalize_advantages": False}],
    "learners in a grid": [{"max_grad_norm": None}, {"max_grad_norm": None, "normalize_advantages": False}],
    "pendulum": [{"normalize_observations": True, "normalize_rewards": True}, {"entropy_weight": 0.01}],
    "grid": [{"entropy_weight": "0.1:0"}, {"kl_weight": 0.1}, {"hidden": (8,)}],
    "continuing": [
        {"optimizer": "sgd", "initial_gain": 1.0, "gain_learning_rate": 0.01},
        {"entropy_weight": 0.1, "max_grad_norm": 0.1},
    ],
    "tokens in groups": [
        *({"kl_weight": 0.1, "kl_penalty": penalty} for penalty in PENALTIES),
        {"micro_batch_size": 8},
        {"entropy_weight": 0.05},
    ],
    "llama in groups": [
        *({"kl_weight": 0.1, "kl_penalty": penalty} for penalty in PENALTIES),
        {"temperature": 0.7, "top_k": 12, "top_p": 0.9},
        {"chunk": 7, "micro_batch_size": 8},
        {"gradient_checkpointing": True},
        {"dtype": "bfloat16"},
        {"entropy_weight": "0.05:0"},
    ],
}


def cells(agent: str, family: str) -> Iterator[Cell]:
    """Yield an agent in a family, as it is and with each option; the agent may refuse."""
    for option in ({}, *OPTIONS.get(family, ())):
        given = SETTINGS.get(agent, {}) | FAMILIES[family].arguments | option
        yield Cell(agent, family, " ".join(f"{key}={value}" for key, value in option.items()), given)
