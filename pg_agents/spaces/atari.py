"""Games of Atari one at a time, with the pictures of `ale_py`'s vector form, which cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from pg_agents.spaces.wrappers import Wrapper

FIRE = 1  # the action, in games that have it
PREPROCESSING = {
    "stack_num": 4,
    "frameskip": 4,
    "noop_max": 30,
    "grayscale": True,
    "img_width": 84,
    "img_height": 84,
    "episodic_life": False,
    "use_fire_reset": True,
    "reward_clipping": True,
}  # fmt: skip - the vector form's arguments for it, and their defaults
TOGETHER = (
    "batch_size",
    "num_threads",
    "thread_affinity_offset",
    "autoreset_mode",
    "maxpool",
    "life_loss_info",
    "vectorization_mode",
    "vector_kwargs",
)  # fmt: skip - its arguments without a meaning for one game


class FireReset(gym.Wrapper):
    """Begins a game with its button: some wait for it."""

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401, D102
        observation, info = self.env.reset(**given)
        core: Any = self.env.unwrapped
        if core.get_action_meanings()[FIRE] == "FIRE":
            observation, *_, info = self.env.step(FIRE)
        return observation, info


def single_game(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Callable[[gym.Env], gym.Env]]]:
    """Return the arguments and the wrappers of one game with the pictures, rewards and ends of the vector form's.

    They are the same bits, up to two differences: the idle frames at the beginning come after the button instead of
    before it, and after a life, where that ends an episode, a new game begins.

    Args:
        given: arguments of the vector form.
    """
    how = PREPROCESSING | {name: value for name, value in given.items() if name in PREPROCESSING}
    kept = {name: value for name, value in given.items() if name not in PREPROCESSING and name not in TOGETHER}
    preprocessing = {
        "noop_max": how["noop_max"],
        "frame_skip": how["frameskip"],
        "screen_size": (how["img_width"], how["img_height"]),
        "terminal_on_life_loss": how["episodic_life"],
        "grayscale_obs": how["grayscale"],
    }
    stack = {"stack_size": how["stack_num"], "padding_type": "zero"}
    wrappers: list[Callable[[gym.Env], gym.Env]] = [FireReset] if how["use_fire_reset"] else []
    wrappers += [Wrapper("AtariPreprocessing", preprocessing), Wrapper("FrameStackObservation", stack)]
    if how["reward_clipping"]:
        wrappers.append(Wrapper("ClipReward", {"min_reward": -1.0, "max_reward": 1.0}))
    return kept | {"frameskip": 1}, wrappers
