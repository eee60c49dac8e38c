"""Where settings are looked for: the dimensions that the types of an agent's options name, around known settings."""

from __future__ import annotations

import dataclasses
import json
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pg_agents.agents import Agent
from pg_agents.configuration import Configuration
from pg_agents.policies import NetworkConfig
from pg_agents.schedules import LinearSchedule
from pg_agents.search import Among, Around
from pg_agents.training.tuned import Tuned
from pg_agents.tuning.task import Task

NUM_ENVS = "num_envs"
SEARCHED_ENVS = 8, 16, 32, 64  # environments of a learner
END = "_end"  # of a parameter: a schedule's end, as a share of its start
UPDATES = 10  # that a run has at least with as few environments as known settings, unless these have fewer
DEFAULTS, TUNED, SEARCH = "defaults", "tuned", "search"  # where settings come from


@dataclass(frozen=True)
class Dimension:
    """One parameter: a number between `low` and `high` on a logarithmic scale, or one of `choices`.

    Attributes:
        name: of the parameter.
        low: the smallest number; None: there are choices.
        high: the largest number.
        choices: labels → values.
    """

    name: str
    low: float | None = None
    high: float | None = None
    choices: dict[Any, Any] | None = None

    def suggested(self, trial: Any) -> Any:  # noqa: ANN401
        """Return what an Optuna trial has for the parameter."""
        if self.choices is not None:
            return self.choices[trial.suggest_categorical(self.name, list(self.choices))]
        return float(f"{trial.suggest_float(self.name, self.low, self.high, log=True):.3g}")


@dataclass(frozen=True)
class Space:
    """Where settings are looked for.

    Attributes:
        task: what is tuned.
        dimensions: the parameters.
        known: known settings by their name: "defaults" and, if some are shipped, "tuned".
        parameters: of the known settings, by their name.
    """

    task: Task
    dimensions: tuple[Dimension, ...]
    known: dict[str, Tuned]
    parameters: dict[str, dict[str, Any]]

    def settings(self, trial: Any, origin: str) -> Tuned:  # noqa: ANN401
        """Return the settings of a trial of Optuna; those that are known are what they are, not what is drawn."""
        drawn = {one.name: one.suggested(trial) for one in self.dimensions}
        return self.known[origin] if origin in self.known else self.drawn(drawn)

    def drawn(self, drawn: Mapping[str, Any]) -> Tuned:
        """Return the settings of parameters; what they do not name is as in the best known settings."""
        base = self.known.get(TUNED, self.known[DEFAULTS])
        values = {name: value for name, value in drawn.items() if not name.endswith(END)}
        for name, end in drawn.items():
            start = name.removesuffix(END)
            if name.endswith(END) and end != 1:
                values[start] = LinearSchedule(values[start], float(f"{end * values[start]:.3g}"))
        num_envs = values.pop(NUM_ENVS, base.num_envs)
        arguments = base.arguments | values
        steps = arguments.get("num_steps")
        if steps is not None and arguments.get("minibatch_size") is not None:
            arguments["minibatch_size"] = min(arguments["minibatch_size"], steps * num_envs)
        return dataclasses.replace(base, num_envs=num_envs, arguments=arguments)

    def labels(self) -> dict[str, Any]:
        """Return the dimensions as JSON: trials of other ones cannot be compared."""
        return {one.name: [one.low, one.high] if one.choices is None else list(one.choices) for one in self.dimensions}


def make_space(task: Task, known: dict[str, Tuned]) -> Space:
    """Return where settings are looked for: what the options' types say, widened so that it holds the known settings.

    Options that were fixed are left out, and so are values that the networks do not take or that change nothing.

    Shipped settings that do not go with fixed options are left out, with a warning.

    Raises:
        ValueError: there is no agent with the defaults.
    """
    with ExitStack() as opened:
        settings = known[DEFAULTS]
        env = task.open(opened, settings.num_envs, 1)
        agent = task.kind.for_env(env, **settings.arguments)
        made = {DEFAULTS: _values(agent, settings)}
        networks = dict(_networks(task, env, agent, settings)) if "policy" not in task.fixed else {}
    if TUNED in known and (values := _tuned_values(task, known[TUNED])) is not None:
        made[TUNED] = values
    dimensions = [] if task.num_envs is not None else [_among(NUM_ENVS, SEARCHED_ENVS, made)]
    for name, mark in (networks | marks_of(task.kind.config_class)).items():
        if name not in task.fixed:
            dimensions += _dimensions(name, mark, made, _most_steps(task, made))
    parameters = {origin: {one.name: _parameter(one, values) for one in dimensions} for origin, values in made.items()}
    return Space(task, tuple(dimensions), {origin: known[origin] for origin in made}, parameters)


def _values(agent: Agent, settings: Tuned) -> dict[str, Any]:
    """Return the options that an agent has, defaults included."""
    return NetworkConfig().as_dict() | agent.networks | agent.arguments | {NUM_ENVS: settings.num_envs}


def _tuned_values(task: Task, settings: Tuned) -> dict[str, Any] | None:
    """Return the options of the shipped settings; None, with a warning: they do not go with what was fixed."""
    try:
        with ExitStack() as opened:
            return _values(task.kind.for_env(task.open(opened, settings.num_envs, 1), **settings.arguments), settings)
    except ValueError as error:
        warnings.warn(f"the tuned settings do not go with what is given, and are left out: {error}", stacklevel=3)
        return None


def marks_of(config: type[Configuration]) -> dict[str, Around | Among]:
    """Return where a configuration's options are looked for, by name; of an option the nearest class says it."""
    found: dict[str, Around | Among] = {}
    for base in config.__mro__:
        if dataclasses.is_dataclass(base):
            hints = typing.get_type_hints(base, include_extras=True)
            for name in base.__dict__.get("__annotations__", {}):
                marks = [mark for mark in getattr(hints[name], "__metadata__", ()) if isinstance(mark, Around | Among)]
                found |= {} if name in found or not marks else {name: marks[0]}
    return {name: found[name] for name in config.options() if name in found}


def _networks(task: Task, env: Any, agent: Agent, settings: Tuned) -> Iterator[tuple[str, Among]]:  # noqa: ANN401
    """Yield the options of networks that change them, with those values that do."""
    for name, mark in marks_of(NetworkConfig).items():
        if name in task.fixed or not isinstance(mark, Among):
            continue
        values = [value for value in mark.values if _changes(task, env, agent, settings.arguments | {name: value})]
        if values:
            yield name, Among(*values)


def _changes(task: Task, env: Any, agent: Agent, arguments: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether networks with these arguments are of the same kind as an agent's, and others."""
    try:
        other = task.kind.for_env(env, **arguments)
    except ValueError:
        return False
    if type(other.policy) is not type(agent.policy):
        return False
    ours, theirs = agent.policy.state_dict(), other.policy.state_dict()
    same = repr(agent.policy) == repr(other.policy) and ours.keys() == theirs.keys()
    return not same or any(not ours[name].equal(theirs[name]) for name in ours)


def _most_steps(task: Task, made: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the most steps of an environment in a rollout with which a run has some updates."""
    return max(1, task.total_steps // (UPDATES * min(values[NUM_ENVS] for values in made.values())))


def _dimensions(name: str, mark: Around | Among, made: Mapping[str, Mapping[str, Any]], most: int) -> list[Dimension]:
    """Return the parameters of an option; none where the default is that it has no value around which to look."""
    if isinstance(mark, Among):
        fitting = [value for value in mark.values if name != "num_steps" or value <= most]
        whole = name == "num_steps" and made[DEFAULTS][name] is None
        return [] if whole else [_among(name, fitting, made)]
    starts = [_start(values[name]) for values in made.values()]
    if None in starts:
        return []
    found = [Dimension(name, min(starts[0] / mark.factor, *starts), max(starts[0] * mark.factor, *starts))]
    if mark.ends:
        known = {origin: {name + END: _end(values[name])} for origin, values in made.items()}
        found.append(_among(name + END, mark.ends, known))
    return found


def _among(name: str, values: Sequence[Any], made: Mapping[str, Mapping[str, Any]]) -> Dimension:
    every = [*values, *(known[name] for known in made.values())]
    labels = {label_of(value): value for value in every}
    numbers = all(isinstance(value, int | float) for value in every)
    return Dimension(name, choices=dict(sorted(labels.items(), key=lambda one: one[1])) if numbers else labels)


def label_of(value: Any) -> Any:  # noqa: ANN401
    """Return a value as Optuna and JSON take it."""
    if isinstance(value, LinearSchedule):
        return str(value)
    return json.dumps(value) if isinstance(value, tuple | list) else value


def _start(value: Any) -> Any:  # noqa: ANN401
    return value.start if isinstance(value, LinearSchedule) else value


def _end(value: Any) -> float:  # noqa: ANN401
    """Return the end of a number or a schedule as a share of its start."""
    return float(f"{value.end / value.start:.6g}") if isinstance(value, LinearSchedule) else 1.0


def _parameter(one: Dimension, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the parameter of an agent's options."""
    if one.name.endswith(END):
        return _end(values[one.name.removesuffix(END)])
    return _start(values[one.name]) if one.choices is None else label_of(values[one.name])
