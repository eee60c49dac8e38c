"""Games of Atari one at a time, with the pictures of `ale_py`'s vector form, which cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import AtariPreprocessing, ClipReward, FrameStackObservation

from pg_agents.errors import UserError
from pg_agents.spaces.packages import registering_module
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
    "life_loss_info",
)  # not of one game


class FireReset(gym.Wrapper):
    """Begins a game with its button: some wait for it."""

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401, D102
        observation, info = self.env.reset(**given)
        core: Any = self.env.unwrapped
        if core.get_action_meanings()[FIRE] == "FIRE":
            observation, *_, info = self.env.step(FIRE)
        return observation, info


def one_by_one(
    env_id: str, given: Mapping[str, Any], wrappers: Sequence[Wrapper]
) -> tuple[Mapping[str, Any], Sequence[Callable[[gym.Env], gym.Env]]]:
    """Return the arguments and the wrappers of environments that are made one by one.

    They are the given ones, but games of Atari without wrappers get the pictures of `ale_py`'s vector form: how they
    are stepped does not change the task. The argument `obs_type`, which that form does not have, asks for others.

    Raises:
        UserError: wrappers of the raw screen, which look like the vector form's and are none.
    """
    if registering_module(env_id) != "ale_py" or "obs_type" in given:
        return given, wrappers
    if not wrappers:
        return single_game(given)
    if any(wrapper.name == "AtariPreprocessing" for wrapper in wrappers):
        return given, wrappers
    raise UserError(
        f"wrappers: {', '.join(map(str, wrappers))} would change the raw screens of {env_id}: put AtariPreprocessing "
        "first and make the games with frameskip=1 (--wrapper AtariPreprocessing --env-arg frameskip=1), leave the "
        "wrappers out, as ale_py then preprocesses and stacks the pictures, or ask for raw screens with obs_type=rgb "
        "(--env-arg obs_type=rgb)"
    )


def single_game(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Callable[[gym.Env], gym.Env]]]:
    """Return the arguments and the wrappers of one game with the pictures, rewards and ends of the vector form's.

    They are the same bits, but for the idle frames at the beginning, which come after the button instead of before it.

    Args:
        given: arguments of the vector form.
    """
    how = PREPROCESSING | {name: value for name, value in given.items() if name in PREPROCESSING}
    kept = {name: value for name, value in given.items() if name not in PREPROCESSING}
    preprocessing = {
        "noop_max": how["noop_max"],
        "frame_skip": how["frameskip"],
        "screen_size": (how["img_width"], how["img_height"]),
        "terminal_on_life_loss": how["episodic_life"],
        "grayscale_obs": how["grayscale"],
    }
    stack = {"stack_size": how["stack_num"], "padding_type": "zero"}
    wrappers: list[Callable[[gym.Env], gym.Env]] = [FireReset] if how["use_fire_reset"] else []
    wrappers += [partial(AtariPreprocessing, **preprocessing), partial(FrameStackObservation, **stack)]
    if how["reward_clipping"]:
        wrappers.append(partial(ClipReward, min_reward=-1.0, max_reward=1.0))
    return kept | {"frameskip": 1}, wrappers
