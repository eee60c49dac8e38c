"""What stands at the top of a file of arguments: the options of a run that such a file may give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pg_agents.checks import is_count
from pg_agents.configuration import Configuration, Count, Finite, Positive, Rule


def _are_seeds(value: Any) -> bool:  # noqa: ANN401
    several = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    return is_count(value) or (several and all(is_count(one, 0) for one in value))


Whole = Annotated[int, Rule("a whole number, 0 or above", lambda x: is_count(x, 0))]
Seeds = Annotated[int | Sequence[int], Rule("a number of seeds, or a list of seeds like [3, 5, 9]", _are_seeds)]
Cadence = Annotated[int | str, Rule('a number of steps, or seconds like "60s"', lambda x: isinstance(x, str | int))]


@dataclass(frozen=True, kw_only=True)
class RunArguments(Configuration):
    """What stands at the top of a file; None: it is left to what is typed, to tuned settings and to defaults."""

    agent: str | None = None
    """The agent for which the file is."""
    env: str | None = None
    """The environment's id."""
    num_envs: Count | None = None
    """Environments that are stepped together."""
    total_steps: Count | None = None
    """Steps to learn from."""
    seed: Whole | None = None
    """The seed."""
    seeds: Seeds | None = None
    """Several seeds: how many, or which."""
    jobs: Count | None = None
    """How many seeds are trained at a time, each in a process."""
    log_every: Count | None = None
    """Steps between rows of metrics."""
    stop_return: Finite | None = None
    """The mean return that ends the run."""
    step_timeout: Positive | None = None
    """Seconds that a call of the environment may take."""
    eval_every: Count | None = None
    """Steps between evaluations."""
    eval_episodes: Count | None = None
    """Episodes in each."""
    checkpoint_every: Cadence | None = None
    """Steps, or seconds, between checkpoints."""
    keep_checkpoints: Whole | None = None
    """Checkpoints that are kept."""
    track: str | None = None
    """The tracker to which the run is sent, too."""
    threads: Count | None = None
    """Torch's threads."""
    device: str | None = None
    """The device that holds the networks."""
    shard: bool | None = None
    """Whether processes share out a language model's parameters."""
