"""Probes: functions of the run whose values are recorded with the metrics while an agent learns."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv
from torch import Tensor

from pg_agents.agents.base import Agent
from pg_agents.data.rollout import Rollout, TokenBlock
from pg_agents.policies import TabularPolicy
from pg_agents.shown import shown
from pg_agents.training.appended import Value
from pg_agents.training.current import current_numbers
from pg_agents.training.policy_pictures import PolicyProbe
from pg_agents.training.run import Run

Probe = Callable[[Run], Mapping[str, Value] | None]


def probes_of_runs(probes: Sequence[Callable[..., Any]]) -> list[Probe]:
    """Return probes as functions of a run; the form (agent, rollout) of version 0.1 still works, with a warning.

    Raises:
        ValueError: a probe that cannot be called with a run.
    """
    if callable(probes) or isinstance(probes, str | Mapping):
        raise ValueError(f"probes must be a list of functions of the run, got {shown(probes)}; write probes=[…]")
    return list(map(_probe_of_runs, probes))  # no comprehension: the warning counts the frames up to the caller


def _probe_of_runs(probe: Callable[..., Any]) -> Probe:
    name = getattr(probe, "__qualname__", repr(probe))
    if _takes(probe, 1) and "rollout" not in _parameters(probe)[1:2]:
        return probe
    if not _takes(probe, 2):
        raise ValueError(f"probes: {name} must be a function of the run: def probe(run) → metrics by name")
    warnings.warn(
        f"the probe {name} takes the run now, def probe(run), with run.agent and run.rollout; "
        "the form (agent, rollout) will be removed in version 0.3",
        DeprecationWarning,
        stacklevel=5,  # the line that called `train`
    )
    return lambda run: probe(run.agent, run.rollout)


def found_by(probe: Probe, run: Run) -> Mapping[str, Value]:
    """Return what a probe finds in a run, by name.

    Raises:
        ValueError: it returns neither metrics by name nor None.
    """
    found, name = probe(run), getattr(probe, "__qualname__", type(probe).__name__)
    if found is None or isinstance(found, Mapping):
        for key, value in (found or {}).items():
            if not isinstance(value, str) and not any(hasattr(value, needed) for needed in ("__float__", "shape")):
                raise ValueError(
                    f"probes: {name} returned {shown(value)} for {shown(key)}, expected a number, a text or an array"
                )
        return found or {}
    end = "; run.stop(reason) ends the run" if isinstance(found, bool) else ""
    raise ValueError(f"probes: {name} returned {shown(found)}, expected metrics by name, or None{end}")


def _parameters(probe: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters; none of functions written in C."""
    try:
        return list(inspect.signature(probe).parameters)
    except ValueError:
        return []


def _takes(probe: Callable[..., Any], count: int) -> bool:
    """Return whether `probe` can be called with `count` positional arguments."""
    if not callable(probe):
        return False
    try:
        inspect.signature(probe).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # functions written in C may have no signature
        return True
    return True


def default_probes(agent: Agent, env: gym.Env | VectorEnv) -> list[Probe]:
    """Return probes for `current_numbers` and, by policy, for a table's probabilities or for generated texts."""
    if isinstance(agent.policy, TabularPolicy):
        return [current_numbers, PolicyProbe(env)]
    if "append_only" in env.metadata:
        return [current_numbers, token_samples(getattr(env.unwrapped, "decode", None))]
    return [current_numbers]


def token_samples(decode: Callable[[Sequence[int]], str] | None, count: int = 4) -> Probe:
    """Return a probe that shows `count` generated texts with their scores (the sum of their rewards) as a table."""

    def probe(run: Run) -> dict[str, Value]:
        table = text_table(run.rollout, decode, count)
        return {"samples/training": table} if table else {}

    return probe


def text_table(rollout: Rollout, decode: Callable[[Sequence[int]], str] | None, count: int = 4) -> str:
    """Return prompts, completions and scores of up to `count` environments, evenly spaced, as a table in Markdown.

    A line break is shown as ⏎; without `decode`, token ids are shown. "" if no episode began and ended in the rollout.
    """
    show = decode or (lambda ids: " ".join(map(str, ids)))
    num_envs = rollout.mask.shape[1]
    found = (_text(rollout, row) for row in range(0, num_envs, max(1, num_envs // count)))
    texts = [text for text in found if text is not None][:count]
    rows = [f"| {_cell(show(prompt))} | {_cell(show(answer))} | {score:.2f} |" for prompt, answer, score in texts]
    return "\n".join(["| prompt | completion | score |", "|---|---|---|", *rows]) if rows else ""


def _text(rollout: Rollout, row: int) -> tuple[list[int], list[int], float] | None:
    """Return prompt, completion and score of an environment's first episode that began and ended in the rollout."""
    seen, mask = rollout.observations, rollout.mask[:, row]
    if isinstance(seen, TokenBlock):
        start, end, tokens = 0, len(mask), seen.tokens[row, : int(seen.lengths[0, row])]
    elif isinstance(seen, dict) and set(seen) == {"tokens", "length"}:
        episode_starts = (rollout.episode_starts[:, row] & mask).nonzero()
        ends = ((rollout.terminated | rollout.truncated)[:, row] & mask).nonzero()
        if not len(episode_starts) or not len(ends) or ends[-1] < episode_starts[0]:
            return None
        start = int(episode_starts[0])
        end = int(ends[ends >= start][0]) + 1
        tokens = seen["tokens"][start, row, : int(seen["length"][start, row])]
    else:
        return None
    taken = mask[start:end]
    actions, rewards = rollout.actions[start:end, row][taken], rollout.rewards[start:end, row][taken]
    return _ids(tokens), _ids(actions), float(rewards.sum())


def _cell(text: str) -> str:
    """Return a text as code in a table's cell, in TensorBoard's Markdown: there a bar in code ends no cell."""
    plain = text.replace("\n", "⏎").replace("\r", "␍")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    room = " " if "`" in plain else ""
    return f"{fence}{room}{plain}{room}{fence}" if plain.strip() else ""


def _ids(tokens: Tensor) -> list[int]:
    return [int(token) for token in tokens]
