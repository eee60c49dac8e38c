"""Gymnasium's wrappers by their names, for Python, the command line and a run's config.json alike."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

from pg_agents.errors import UserError
from pg_agents.shown import nearest, shown
from pg_agents.spaces.packages import how_to_install

WORDS = {"true": True, "false": False, "none": None}
USABLE = (
    "AddRenderObservation", "AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction",
    "DiscretizeObservation", "DtypeObservation", "FilterObservation", "FlattenObservation", "FrameStackObservation",
    "GrayscaleObservation", "MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation",
    "ReshapeObservation", "ResizeObservation", "StickyAction", "TimeAwareObservation", "TimeLimit",
)  # fmt: skip
FUNCTION = "it takes a function, which no text can name; wrap the environment in Python"
STATISTICS = "its statistics are not saved with the agent"
ARRAYS = "observations and actions are to be arrays of numpy"
DRAWING = "it changes drawn pictures alone"
UNUSABLE = {
    "RecordVideo": "it writes files; `pg-agents evaluate RUN --video` records videos",
    "RenderCollection": "it keeps all drawn pictures; `pg-agents evaluate RUN --video` records videos",
    "HumanRendering": "it opens a window; `pg-agents evaluate RUN --video` records videos",
    "NormalizeObservation": f"{STATISTICS}; use normalize_observations (--normalize-observations), whose are",
    "NormalizeReward": f"{STATISTICS}; use normalize_rewards (--normalize-rewards)",
    "TransformObservation": FUNCTION, "TransformAction": FUNCTION, "TransformReward": FUNCTION,
    "Autoreset": "environments that are stepped together reset themselves",
    "RecordEpisodeStatistics": "a run records returns and lengths itself",
    "PassiveEnvChecker": "Gymnasium applies it itself", "OrderEnforcing": "Gymnasium applies it itself",
    "AddWhiteNoise": DRAWING, "ObstructView": DRAWING,
    "ArrayConversion": ARRAYS, "JaxToNumpy": ARRAYS, "JaxToTorch": ARRAYS, "NumpyToTorch": ARRAYS,
}  # fmt: skip


@dataclass(frozen=True)
class Wrapper:
    """A wrapper of `gymnasium.wrappers`, which is applied to one environment by calling this with it.

    Nothing else can be named, and no argument runs code: a run's folder may come from anybody.

    Attributes:
        name: the class's name, one of `USABLE`.
        arguments: keyword arguments: None, numbers, texts, and sequences and mappings of them; sequences become tuples,
            so that they are the same after JSON.

    Raises:
        UserError: there is no such wrapper, it is of no use here, it takes no such argument, or a value is of another
            kind.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = isinstance(self.name, str) and self.name in USABLE
        if not known or not hasattr(gym.wrappers, self.name):
            raise UserError(f"wrappers: {_unusable(self.name)}")
        if not isinstance(self.arguments, Mapping):
            raise UserError(f"wrappers: {self.name}'s arguments must be a table, got {shown(self.arguments)}")
        _, _, *taken = inspect.signature(getattr(gym.wrappers, self.name).__init__).parameters  # without self and env
        for key in self.arguments:
            if key not in taken:
                raise UserError(
                    f"wrappers: {self.name} takes no argument {shown(key)}; it takes {', '.join(taken) or 'none'}"
                )
        if isinstance(self.arguments.get("filter_keys"), str):
            key = self.arguments["filter_keys"]
            raise UserError(f"wrappers: {self.name}'s filter_keys must be a list, got {shown(key)}; write [{key}]")
        plain = {key: _plain(value, f"wrappers: {self.name}'s {key}") for key, value in self.arguments.items()}
        object.__setattr__(self, "arguments", plain)

    @classmethod
    def parse(cls, text: str) -> Wrapper:
        """Return the wrapper of a text: "NAME" or "NAME:argument=value,…", with Python literals or words as values.

        Raises:
            UserError: as the class; the arguments cannot be read.
        """
        name, colon, arguments = text.partition(":")
        try:
            call = ast.parse(f"f({arguments})", mode="eval").body
            assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
            given = {
                str(keyword.arg): ast.literal_eval(_Words().visit(keyword.value))
                for keyword in call.keywords
                if keyword.arg
            }
            assert len(given) == len(call.keywords) and bool(given) == bool(colon)
        except (AssertionError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
            example = "FrameStackObservation:stack_size=4"
            raise UserError(
                f"wrappers: {shown(text)} must be NAME or NAME:argument=value,…, with Python literals as values; "
                f"for example {example}"
            ) from error
        return cls(name, given)

    def __call__(self, env: gym.Env) -> gym.Env:
        """Return the wrapped environment.

        Raises:
            UserError: a package is missing, or the wrapper does not fit the environment or refuses its arguments.
        """
        self._check(env)
        try:
            return getattr(gym.wrappers, self.name)(env, **self.arguments)
        except DependencyNotInstalled as error:
            raise UserError(
                f"wrappers: {self.name} needs a package that is not installed. {how_to_install(str(error))}"
            ) from error
        except Exception as error:  # whatever a constructor does with what does not fit
            raise self._misfit(env, self._reason(env, error)) from error

    def _check(self, env: gym.Env) -> None:
        """Raise UserError for an environment that Gymnasium would wrap without a word, and of which little is left."""
        seen = env.observation_space
        if self.name == "RescaleObservation" and np.issubdtype(seen.dtype or float, np.integer):
            raise self._misfit(
                env,
                f"its observations are {seen.dtype}, and would still be after it, cut to whole numbers; leave it out: "
                "pictures and other bounded whole numbers are scaled by the network itself",
            )

    def _misfit(self, env: gym.Env, reason: str) -> UserError:
        env_id = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        return UserError(f"wrappers: {self} cannot be applied to {env_id}: {reason}")

    def _reason(self, env: gym.Env, error: Exception) -> str:
        if self.name == "AtariPreprocessing" and not hasattr(env.unwrapped, "ale"):
            return "it is for games of Atari, ids that begin with ALE/"
        if "frame-skipping" in str(error):
            return "both skip frames; make the environment with frameskip=1 (--env-arg frameskip=1)"
        return " ".join(str(error).split()) or type(error).__name__

    def __str__(self) -> str:
        """Return the text from which `parse` makes an equal wrapper."""
        arguments = ",".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.name}:{arguments}" if arguments else self.name


def wrappers_of(given: Iterable[str | Wrapper]) -> list[Wrapper]:
    """Return the wrappers of texts (see `Wrapper.parse`), and those that are made already, in their order.

    Raises:
        UserError: as `Wrapper`; it is no sequence, or something in it is no text.
    """
    if isinstance(given, str | Wrapper):
        raise UserError(f"wrappers must be a sequence of texts, got {shown(given)}; write [{shown(given)}]")
    if not isinstance(given, Iterable):
        raise UserError(f"wrappers must be a sequence of texts, got {shown(given)}")
    given = list(given)
    for one in given:
        if not isinstance(one, str | Wrapper):
            raise UserError(
                f"wrappers must be texts like 'FrameStackObservation:stack_size=4', got {shown(one)}; others go around "
                'environments that are made already: gymnasium.make_vec(id, n, vectorization_mode="sync", wrappers=[…])'
            )
    return [one if isinstance(one, Wrapper) else Wrapper.parse(one) for one in given]


def _unusable(name: Any) -> str:  # noqa: ANN401
    if isinstance(name, str) and name in UNUSABLE:
        return f"{name} cannot be used here: {UNUSABLE[name]}"
    near = nearest(name, USABLE) if isinstance(name, str) else []
    way_out = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(USABLE)}"
    return f"gymnasium.wrappers has no {shown(name)} that can be used here; {way_out}"


class _Words(ast.NodeTransformer):
    """Makes texts of single words, but for true, false and none."""

    def visit_Name(self, node: ast.Name) -> ast.Constant:  # noqa: N802
        return ast.Constant(WORDS.get(node.id.lower(), node.id))


def _plain(value: Any, what: str) -> Any:  # noqa: ANN401
    """Return a value that JSON can hold, with tuples for sequences."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(_plain(one, what) for one in value)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(one, what) for key, one in value.items()}
    raise UserError(f"{what} must be a number, a text, None, or a sequence or table of them, got {shown(value)}")
