"""An agent as files: JSON and safetensors, nothing that could run code when it is read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pg_agents.spaces import space_from_json, space_to_json

if TYPE_CHECKING:
    from pg_agents.agents.agent import Agent

FORMAT = 1


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
    fresh, old = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / "agent.json").write_text(json.dumps(description, indent=2) + "\n")
    save_file({name: value.contiguous() for name, value in agent.state_dict().items()}, fresh / "agent.safetensors")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
    os.replace(fresh, path)
    shutil.rmtree(old, ignore_errors=True)


def load_agent(path: Path, agents: dict[str, type[Agent]], networks: dict[str, Any]) -> Agent:
    """Return the agent that was saved to `path`; `networks` are policy=… and critic=… where it was given its own."""
    for name in ("agent.json", "agent.safetensors"):
        if not (path / name).is_file():
            raise SavedAgentError(f"path: {path} holds no saved agent ({name} is missing)")
    try:
        description = json.loads((path / "agent.json").read_text())
        state = load_file(path / "agent.safetensors")
        if description["format"] != FORMAT:
            raise SavedAgentError(f"path: {path} is of format {description['format']}, this version reads {FORMAT}")
        form, arguments = agents[description["agent"]], description["arguments"]
        if description["spaces"] is None and not networks:
            raise SavedAgentError(f"path: the agent in {path} was saved with its own networks; load it with policy=...")
        agent = None if networks else _make(form, description)
    except SavedAgentError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SavedAgentError(f"path: the agent saved in {path} is damaged ({error!r})") from error
    agent = agent or form(**networks, **arguments)
    try:
        agent.load_state_dict(state)
    except RuntimeError as error:
        raise SavedAgentError(f"path: the parameters in {path} do not fit the networks: {error}") from error
    return agent


def _make(form: type[Agent], description: dict[str, Any]) -> Agent:
    observations, actions = map(space_from_json, description["spaces"])
    return form.for_spaces(observations, actions, **description["networks"], **description["arguments"])
