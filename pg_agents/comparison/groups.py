"""Runs in groups: a panel for each environment, and in it a group for each agent with its settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pg_agents.comparison.runs import KNOWN, Run
from pg_agents.errors import UserError
from pg_agents.shown import nearest, shown

# Settings that make no other way of learning: how long, how often, where, with which random numbers.
NO_DIFFERENCE = (
    "agent", "seed", "seeds", "jobs", "way", "env", "total_steps", "log_every", "stop_return", "step_timeout",
    "eval_every", "eval_episodes", "checkpoint_every", "keep_checkpoints", "threads", "device", "parameters", "torch",
    "earlier", "track", "shard", "batches", "networks.num_learners", "networks.seeds", "env_args.vectorization_mode",
)  # fmt: skip
TABLES = ("env_args.", "eval_env_args.", "env_object.", f"{KNOWN}.")  # these neither
NETWORKS, OURS = (
    "networks.",
    "parameters",
)  # of networks a run of ours says only what is no default; what it always says
AGENT, FOLDER, SEED, ABSENT, DEFAULT = "agent", "folder", "seed", "–", "default"


@dataclass(frozen=True)
class Group:
    """Runs that are alike but for their random numbers."""

    label: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Panel:
    """The groups in one environment."""

    title: str
    groups: tuple[Group, ...]

    @property
    def runs(self) -> list[Run]:
        """All runs in it."""
        return [run for group in self.groups for run in group.runs]


def panels_of(runs: Sequence[Run], by: Sequence[str] = ()) -> list[Panel]:
    """Return a panel for each environment with its arguments, and in it the groups, in the order of the runs.

    Args:
        runs: the runs.
        by: names of settings whose values make a group: agent, seed, folder, or one of config.json, in full
            (arguments.learning_rate) or its end (learning_rate). None are given: the agent, with those settings that
            differ between runs of one agent in one environment, and with the folder if a seed would be twice in a
            group.

    Raises:
        UserError: no run has such a setting, or several have one with that end; seeds of several environments.
    """
    tasks = _parts(runs, title_of)
    keys = [_key(name, runs) for name in by]
    if SEED in keys and len(tasks) > 1:
        several = f"by: {SEED}, but runs of different environments ({', '.join(tasks)}) have nothing in common by it"
        raise UserError(f"{several}; give runs of one environment, or another setting")
    label = (lambda run: ", ".join(_named(run, key, bare=key == AGENT) for key in keys)) if keys else _by_default(tasks)
    return [
        Panel(title, tuple(Group(name, tuple(inside)) for name, inside in _parts(task, label).items()))
        for title, task in tasks.items()
    ]


def title_of(run: Run) -> str:
    """Return a run's environment with its arguments, as text; "" if nothing says it."""
    given = [f"{key}={text_of(value)}" for key, value in sorted(run.env_args.items()) if key != "vectorization_mode"]
    evaluated = [f"{key}={text_of(value)}" for key, value in sorted(run.eval_args.items())]
    return ", ".join([run.env, *given, *([f"evaluated with {' '.join(evaluated)}"] if evaluated else [])])


def _parts(runs: Iterable[Run], name: Callable[[Run], str]) -> dict[str, list[Run]]:
    parts: dict[str, list[Run]] = {}
    for run in runs:
        parts.setdefault(name(run), []).append(run)
    return parts


def _by_default(tasks: dict[str, list[Run]]) -> Callable[[Run], str]:
    """Return what labels a run with its agent and what differs between the runs of that agent in a task."""
    keys: dict[str, list[str]] = {}
    for task in tasks.values():
        for agent, runs in _parts(task, _agent).items():
            known = keys.setdefault(agent, [])
            known += [key for key in _differing(runs) if key not in known]
            if FOLDER not in known and twins(runs):
                known.append(FOLDER)

    def label(run: Run) -> str:
        others = [_named(run, key) for key in keys[_agent(run)]]
        return " ".join([_agent(run), *others])

    return label


def _agent(run: Run) -> str:
    return str(run.settings[AGENT])


def _differing(runs: Sequence[Run]) -> list[str]:
    """Return the settings of which two of the runs have different values.

    What a run does not say is equal, but for options of networks, which our runs do not say where they are the default.
    """
    names = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: {value for run in runs if (value := _value(run, key)) != ABSENT} for key in names}
    return [key for key in names if len(values[key]) > 1 and key not in NO_DIFFERENCE and not key.startswith(TABLES)]


def twins(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that have settings and a seed which another one before them has."""
    keys = _differing(runs)
    found: list[Run] = []
    seen: set[tuple[str, ...]] = set()
    for run in runs:
        settings = (title_of(run), *(_value(run, key) for key in (AGENT, SEED, *keys)))
        found += [run] if SEED in run.settings and settings in seen else []
        seen.add(settings)
    return found


def _named(run: Run, key: str, *, bare: bool = False) -> str:
    value = _value(run, key)
    return value if bare or key == FOLDER else f"{key.rpartition('.')[2]}={value}"


def _value(run: Run, key: str) -> str:
    if key == FOLDER:
        return run.folder
    if key in run.settings:
        return text_of(run.settings[key])
    return DEFAULT if key.startswith(NETWORKS) and OURS in run.settings else ABSENT


def text_of(value: object) -> str:
    """Return a setting's value as it is typed: texts bare, numbers as short as they can be."""
    if isinstance(value, str):
        return value
    short = f"{value:g}" if isinstance(value, float) else json.dumps(value, sort_keys=True)
    return repr(value) if isinstance(value, float) and float(short) != value else short


def _key(name: str, runs: Sequence[Run]) -> str:
    """Return the setting that is meant by a name, or by the end of one."""
    every = {FOLDER, *(key for run in runs for key in run.settings)}
    if name in every:
        return name
    found = sorted(key for key in every if key.endswith(f".{name}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"by: {shown(name)} may be {' or '.join(found)}; write it in full")
    near = nearest(name, {key.rpartition(".")[2] for key in every})
    meant = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(sorted(every)[:8])}, …"
    raise UserError(f"by: no run's config.json has {shown(name)}; {meant}")
