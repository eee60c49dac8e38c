"""An agent as files: JSON and safetensors, nothing that could run code when it is read."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from pg_agents.agents.making import check_networks
from pg_agents.pictures import as_before
from pg_agents.policies.language import ARCHITECTURE
from pg_agents.schedules import Linear
from pg_agents.shown import shown
from pg_agents.spaces import space_from_json, space_to_json

if TYPE_CHECKING:
    from pg_agents.agents.agent import Agent

FORMAT = 1
FILES = ("agent.json", "agent.safetensors")
MODEL = "model"  # the folder with what else the policy is made of


class SavedAgentError(ValueError):
    """A folder that holds no agent, or a damaged one; the message names it."""


def save_agent(agent: Agent, path: Path) -> None:
    """Write `agent` to the folder `path`; one that is there is replaced only when the new one is complete.

    One with parameters that are not finite is written for whoever wants to look into it, with a warning.

    Raises:
        SavedAgentError: something is there that no agent wrote.
    """
    path = path.resolve()
    _check_replaceable(path)
    if wrong := _not_finite(agent):
        warnings.warn(
            f"path: {wrong} is not finite: what is saved to {path} will not load", RuntimeWarning, stacklevel=3
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        fresh, old = Path(folder) / "new", Path(folder) / "old"
        fresh.mkdir()
        save_file(
            {name: value.contiguous().clone() for name, value in agent.state_dict().items()},
            fresh / "agent.safetensors",
        )
        agent.policy.write_files(fresh / MODEL)
        description = {
            "format": FORMAT,
            "agent": agent.name,
            "arguments": agent.arguments,
            "networks": agent.networks,
            "spaces": None if agent.spaces is None else [space_to_json(space) for space in agent.spaces],
            "files": sorted({file.relative_to(fresh).as_posix() for file in fresh.rglob("*")} | {*FILES}),
        }
        (fresh / "agent.json").write_text(json.dumps(description, indent=2, default=plain) + "\n")
        if path.exists():
            os.replace(path, old)
        os.replace(fresh, path)


def _check_replaceable(path: Path) -> None:
    """Raise SavedAgentError where there is anything in `path` but what the agent that is there says it wrote."""
    refusal = f"path: {path} exists and is not the folder of a saved agent"
    if path.exists() and not path.is_dir():
        raise SavedAgentError(f"{refusal}; give another")
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))
    try:
        written = {*FILES, *read_description(path)["files"]} if found else set()
    except (SavedAgentError, KeyError, TypeError):
        written = set(FILES) if set(found) == set(FILES) else set()  # of an earlier version, which had no list
    for name in found:
        if name not in written:
            raise SavedAgentError(f"{refusal} alone ({shown(name)} is not of one); move it, or give another folder")


KINDS: dict[str, type | tuple[type, ...]] = {
    "format": int, "agent": str, "arguments": dict, "networks": dict, "spaces": (list, type(None)),
}  # fmt: skip


def read_description(path: Path) -> dict[str, Any]:
    """Return what agent.json in the folder `path` says.

    Raises:
        SavedAgentError: there is none, it is damaged, or of another format.
    """
    try:
        description = json.loads((path / "agent.json").read_text(encoding="utf-8"))
        wrong = [key for key, kind in KINDS.items() if not isinstance(description[key], kind)]
    except (OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if wrong:
        raise _damaged(path, TypeError(f"{wrong[0]}: {shown(description[wrong[0]], 80)}"))
    if description["format"] != FORMAT:
        found = shown(description["format"], 80)
        raise SavedAgentError(f"path: {path} is of format {found}, this version reads {FORMAT}")
    return description


def _damaged(path: Path, error: Exception) -> SavedAgentError:
    return SavedAgentError(f"path: the agent saved in {path} is damaged ({shown(error, 400)})")


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a schedule, or a number or an array of numpy or torch, as JSON can write it.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(value, Linear):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be written as JSON")


def load_agent(path: Path, agents: dict[str, type[Agent]], networks: dict[str, Any]) -> Agent:
    """Return the agent that was saved to `path`; `networks` are policy=… and critic=… where it was given its own.

    Raises:
        SavedAgentError: whatever is wrong with the files.
        ImportError: a package is missing that a language model needs.
    """
    for name in FILES:
        if not (path / name).is_file():
            raise SavedAgentError(f"path: {path} holds no saved agent ({name} is missing)")
    description = read_description(path)
    if description["agent"] not in agents:
        found = shown(description["agent"])
        raise SavedAgentError(
            f"path: {path} holds an agent called {found}, known are {', '.join(agents)}; "
            f"one of your own is made known by pg_agents.AGENTS[{found}] = its class"
        )
    form = agents[description["agent"]]
    if description["spaces"] is None and "policy" not in networks:
        raise SavedAgentError(f"path: the agent in {path} was saved with its own networks; load it with policy=...")
    if "policy" in networks:
        check_networks(networks["policy"], networks.get("critic"))
    try:
        state = load_file(path / "agent.safetensors")
        if "policy" in networks:
            agent = form(**networks, **description["arguments"])
        else:
            agent = _make(form, description, path, networks, state)
        _take(agent, state, path)
    except (SavedAgentError, ImportError):
        raise
    except Exception as error:  # of any kind: what is in the files may be anything
        raise _damaged(path, error) from error
    return agent


def _take(agent: Agent, state: dict[str, Tensor], path: Path) -> None:
    """Give an agent the parameters in `state`, in the precision they were saved in."""
    if misfit := _misfit(agent.state_dict(), state):
        raise SavedAgentError(f"path: the parameters in {path} do not fit the networks: {misfit}")
    parts = (agent.policy, agent.critic, getattr(agent, "reference", None))
    for part in filter(None, parts):
        first = next(part.parameters(), None)
        if first is None:
            continue  # a reference that shares the policy's parameters
        name = next(name for name, parameter in agent.named_parameters() if parameter is first)
        if state[name].dtype != first.dtype:
            part.to(state[name].dtype)
    agent.load_state_dict(state)
    if wrong := _not_finite(agent):
        raise SavedAgentError(
            f"path: {shown(wrong)} of the agent in {path} is not finite; load one that was saved before it was"
        )


def _misfit(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """Return the first thing in which `theirs` are not parameters of the same names, shapes and kinds as `mine`."""
    for name in mine.keys() ^ theirs.keys():
        return f"{shown(name)} is {'missing' if name in mine else 'none of theirs'}"
    for name, tensor in mine.items():
        found = theirs[name]
        if found.shape != tensor.shape or found.is_floating_point() != tensor.is_floating_point():
            is_there, needed = (f"{one.dtype} {list(one.shape)}" for one in (found, tensor))
            return f"{shown(name)} is {is_there}, they have {needed}"
    return ""


def _not_finite(agent: Agent) -> str | None:
    """Return the name of the first parameter with an entry that is NaN or infinite."""
    return next((name for name, value in agent.named_parameters() if not value.isfinite().all()), None)


def _make(
    form: type[Agent], description: dict[str, Any], path: Path, given: dict[str, Any], state: dict[str, Tensor]
) -> Agent:
    observations, actions = map(space_from_json, description["spaces"])
    networks, arguments = dict(description["networks"]), description["arguments"]
    if unknown := arguments.keys() - set(form.argument_names()):
        raise TypeError(f"arguments: {form.__name__} has none called {min(unknown)}")
    if "policy" in networks:  # its weights are among the parameters: the model it was made of is not needed
        if not (path / MODEL).is_dir():
            raise SavedAgentError(f"path: {path} holds a language model's agent, but not its folder {MODEL}/")
        networks["policy"] = f"{ARCHITECTURE}{path / MODEL}"
    agent = form.for_spaces(observations, actions, **networks, **arguments, **given)
    if agent.state_dict().keys() - state.keys():  # of a version whose networks saw pictures as mere numbers
        agent = form.for_spaces(as_before(observations), actions, **networks, **arguments, **given)
        agent.spaces = observations, actions
    agent.networks = description["networks"]
    return agent
