"""An agent as files: JSON and safetensors, nothing that could run code when it is read."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pg_agents.policies.language import ARCHITECTURE
from pg_agents.schedules import Linear
from pg_agents.spaces import space_from_json, space_to_json

if TYPE_CHECKING:
    from pg_agents.agents.agent import Agent

FORMAT = 1
FILES = ("agent.json", "agent.safetensors")
MODEL = "model"  # the folder with what else the policy is made of


class SavedAgentError(ValueError):
    """A folder that holds no agent, or a damaged one; the message names it."""


def save_agent(agent: Agent, path: Path) -> None:
    """Write `agent` to the folder `path`; one that is there is replaced only when the new one is complete."""
    description = {
        "format": FORMAT,
        "agent": agent.name,
        "arguments": agent.arguments,
        "networks": agent.networks,
        "spaces": None if agent.spaces is None else [space_to_json(space) for space in agent.spaces],
    }
    path = path.resolve()
    if path.exists() and not (path.is_dir() and {entry.name for entry in path.iterdir()} <= {*FILES, MODEL}):
        raise SavedAgentError(f"path: {path} exists and is not the folder of a saved agent; give another")
    text = json.dumps(description, indent=2, default=plain) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        fresh, old = Path(folder) / "new", Path(folder) / "old"
        fresh.mkdir()
        (fresh / "agent.json").write_text(text)
        save_file(
            {name: value.contiguous().clone() for name, value in agent.state_dict().items()},
            fresh / "agent.safetensors",
        )
        agent.policy.write_files(fresh / MODEL)
        if path.exists():
            os.replace(path, old)
        os.replace(fresh, path)


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
    """Return the agent that was saved to `path`; `networks` are policy=… and critic=… where it was given its own."""
    for name in FILES:
        if not (path / name).is_file():
            raise SavedAgentError(f"path: {path} holds no saved agent ({name} is missing)")
    try:
        description = json.loads((path / "agent.json").read_text())
        state = load_file(path / "agent.safetensors")
        if description["format"] != FORMAT:
            raise SavedAgentError(f"path: {path} is of format {description['format']}, this version reads {FORMAT}")
        if description["agent"] not in agents:
            raise SavedAgentError(
                f"path: {path} holds an agent called {description['agent']!r}, known are {', '.join(agents)}; "
                f"one of your own is made known by pg_agents.AGENTS[{description['agent']!r}] = its class"
            )
        form, arguments = agents[description["agent"]], description["arguments"]
        if description["spaces"] is None and "policy" not in networks:
            raise SavedAgentError(f"path: the agent in {path} was saved with its own networks; load it with policy=...")
        agent = None if "policy" in networks else _make(form, description, path, networks)
    except SavedAgentError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SavedAgentError(f"path: the agent saved in {path} is damaged ({error!r})") from error
    agent = agent or form(**networks, **arguments)
    parts = (agent.policy, agent.critic, getattr(agent, "reference", None))
    for part in filter(None, parts):  # in the precision they were saved in
        first = next(part.parameters(), None)
        if first is None:
            continue  # a reference that shares the policy's parameters
        name = next(name for name, parameter in agent.named_parameters() if parameter is first)
        if name in state and state[name].dtype != first.dtype:
            part.to(state[name].dtype)
    try:
        agent.load_state_dict(state)
    except RuntimeError as error:
        raise SavedAgentError(f"path: the parameters in {path} do not fit the networks: {error}") from error
    return agent


def _make(form: type[Agent], description: dict[str, Any], path: Path, given: dict[str, Any]) -> Agent:
    observations, actions = map(space_from_json, description["spaces"])
    networks = dict(description["networks"])
    if "policy" in networks:  # its weights are among the parameters: the model it was made of is not needed
        if not (path / MODEL).is_dir():
            raise SavedAgentError(f"path: {path} holds a language model's agent, but not its folder {MODEL}/")
        networks["policy"] = f"{ARCHITECTURE}{path / MODEL}"
    agent = form.for_spaces(observations, actions, **networks, **description["arguments"], **given)
    agent.networks = description["networks"]
    return agent
