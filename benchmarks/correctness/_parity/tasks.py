"""The tasks of both sides: two environments of steps and one of texts, all small."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pg_envs
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

NUM_ENVS, EPISODE_STEPS = 4, 15  # short episodes: some terminate, some are cut, all within one rollout
VOCABULARY, END, PROMPTS = 12, 2, ((3, 4), (5, 6, 7), (8,), (9, 10, 3, 5))
MAX_NEW_TOKENS = 6
LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": END,
    "pad_token_id": 0,
}


class Drift(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A point in space that drifts away from the origin unless it is pushed back; far out the episode ends."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin somewhere around the origin."""
        super().reset(seed=seed)
        self.place = self.np_random.normal(size=3)
        return self.place.astype(np.float32), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move; the reward is minus the squared distance."""
        self.place = 1.1 * self.place + 0.3 * action + 0.1 * self.np_random.normal(size=3)
        square = float(self.place @ self.place)
        return self.place.astype(np.float32), -square, square > 12.0, False, {}


def steps_env(task: str) -> VectorEnv:
    """Return the environments of the task "discrete" or "box"; they reset in the step in which an episode ends."""

    def make() -> gym.Env:
        env: Any = gym.make("CartPole-v1").unwrapped if task == "discrete" else Drift()
        return gym.wrappers.TimeLimit(env, EPISODE_STEPS)

    return SyncVectorEnv([make] * NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)


def score(prompt: tuple[int, ...], text: list[int]) -> float:
    """Return how far a text's tokens are, on average, from the prompt's last one: hardly two texts score alike."""
    return sum((1 + 0.1 * i) * abs(token - prompt[-1]) for i, token in enumerate(text)) / (VOCABULARY * len(text))


def texts_env(num_envs: int, group_size: int) -> VectorEnv:
    """Return the environment of the task "texts"."""
    return pg_envs.TokenVectorEnv(
        num_envs,
        prompts=[list(prompt) for prompt in PROMPTS],
        score=score,
        vocabulary=VOCABULARY,
        eos=END,
        pad=0,
        max_new_tokens=MAX_NEW_TOKENS,
        group_size=group_size,
    )


def llama(seed: int) -> Any:  # noqa: ANN401
    """Return a random Llama of a few thousand parameters, in float64."""
    import transformers  # of the extra `llm`

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)).double()
