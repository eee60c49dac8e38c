"""Reads saved agents from their folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from pg_agents.agents.common.files import FILES, MODEL, damaged, not_finite, untied, verify_agent
from pg_agents.agents.common.make_agent import check_networks
from pg_agents.errors import SavedAgentError
from pg_agents.folders import read
from pg_agents.llm.make_language_networks import ARCHITECTURE
from pg_agents.shown import shown
from pg_agents.spaces.conversion import space_from_json
from pg_agents.spaces.pictures import as_before


def read_agent(path: Path, agents: Mapping[str, Any], networks: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return the agent saved in `path`; `networks` are policy=… and critic=… if it was made of the user's networks.

    Raises:
        SavedAgentError: the files are missing, damaged, or do not fit the networks.
        ImportError: a package that a language model needs is missing.
    """
    return read(_agent_in(path), lambda folder: _read(folder, agents, networks))


def _agent_in(path: Path) -> Path:
    """Return the folder of an agent: of a run's, that in it.

    Raises:
        SavedAgentError: it is that of a run without one, or of several.
    """
    inside = path / "agent"
    if (path / FILES[0]).is_file() or not (path / "metrics.jsonl").is_file():
        return path
    if inside.is_dir():
        return inside
    others = [other for pattern in ("best", "seed-*/agent") for other in sorted(path.glob(pattern)) if other.is_dir()]
    found = f"load {others[0]}" if others else "one that has not ended has checkpoints, from which resume goes on"
    raise SavedAgentError(f"path: {path} is a run's folder, which holds no agent at its end; {found}")


def _read(path: Path, agents: Mapping[str, Any], networks: dict[str, Any]) -> Any:  # noqa: ANN401
    for name in FILES:
        if not (path / name).is_file():
            raise SavedAgentError(f"path: {path} holds no saved agent ({name} is missing)")
    description = verify_agent(path)
    if description["agent"] not in agents:
        found = shown(description["agent"])
        raise SavedAgentError(
            f"path: {path} holds an agent called {found}, known are {', '.join(agents)}; "
            f"register your own agent with pg_agents.AGENTS[{found}] = its class (in the shell: --import its module)"
        )
    form = agents[description["agent"]]
    if description["spaces"] is None and "policy" not in networks:
        raise SavedAgentError(
            f"path: the agent in {path} was saved with its own networks; load it with policy=... "
            "and critic=..., if it has one"
        )
    if "policy" in networks:
        check_networks(networks["policy"], networks.get("critic"))
    try:
        state = untied(load_file(path / "agent.safetensors"), description)
        if "policy" in networks:
            agent = form(**networks, **description["arguments"])
            if (learned_in := description.get("learned_in")) is not None:
                observations, actions = map(space_from_json, learned_in)
                agent.learned_in = observations, actions
        else:
            agent = _make(form, description, path, networks, state)
        _take(agent, state, path)
    except (SavedAgentError, ImportError):
        raise
    except (TypeError, ValueError) as error:
        blamed = re.split(r"[: ]", str(error), maxsplit=1)[0]
        if blamed in networks or (blamed == "critic" and "policy" in networks):
            raise  # about what the user gave, or did not give, not about the files
        raise damaged(path, error) from error
    except Exception as error:  # any kind: the files may hold anything
        raise damaged(path, error) from error
    return agent


def _make(
    form: Any,  # noqa: ANN401
    description: dict[str, Any],
    path: Path,
    given: dict[str, Any],
    state: dict[str, Tensor],
) -> Any:  # noqa: ANN401
    observations, actions = map(space_from_json, description["spaces"])
    networks, arguments = dict(description["networks"]), description["arguments"]
    if unknown := arguments.keys() - set(form.config_class.options()):
        raise TypeError(f"arguments: {form.__name__} has none called {min(unknown)}")
    if "policy" in networks:  # its weights are among the parameters: the original model is not needed
        if not (path / MODEL).is_dir():
            raise SavedAgentError(f"path: {path} holds a language model's agent, but not its folder {MODEL}/")
        networks["policy"] = f"{ARCHITECTURE}{path / MODEL}"
    else:
        networks.setdefault("share_encoder", False)  # agents saved by a version that shared none do not say so
        _check_encoder(path, networks.pop("encoder", None), given.get("encoder"))
    agent = form.for_spaces(observations, actions, **networks, **arguments, **given)
    if agent.state_dict().keys() - state.keys():  # saved by a version that flattened images
        agent = form.for_spaces(as_before(observations), actions, **networks, **arguments, **given)
        agent.spaces = observations, actions
    agent.networks = description["networks"]
    return agent


def _check_encoder(path: Path, saved: str | None, given: Any) -> None:  # noqa: ANN401
    """Raise SavedAgentError unless the user's encoder is given where the agent was made with one of its class."""
    if saved is not None and given is None:
        raise SavedAgentError(
            f"path: the agent in {path} was made with the user's encoder {shown(saved)}; load it with encoder=…"
        )
    found = None if given is None else type(given).__name__
    if found != saved:
        made = "without a user's encoder: leave it out" if saved is None else f"with an encoder {shown(saved)}"
        raise SavedAgentError(f"encoder: the agent in {path} was made {made}, got {shown(found)}")


def _take(agent: Any, state: dict[str, Tensor], path: Path) -> None:  # noqa: ANN401
    """Load the parameters in `state` into an agent, in the precision in which they were saved."""
    if misfit := _misfit(agent.state_dict(), state):
        raise SavedAgentError(f"path: the parameters in {path} do not fit the networks: {misfit}")
    parts = (agent.policy, agent.critic, agent.reference)
    for part in filter(None, parts):
        first = next(part.parameters(), None)
        if first is None:
            continue  # a reference that shares the policy's parameters
        name = next(name for name, parameter in agent.named_parameters() if parameter is first)
        if state[name].dtype != first.dtype:
            part.to(state[name].dtype)
    for name, tensor in agent.state_dict(keep_vars=True).items():
        if tensor.is_floating_point() and tensor.dtype != state[name].dtype:
            tensor.data = tensor.data.to(state[name].dtype)
    agent.load_state_dict(state)
    if wrong := not_finite(agent):
        raise SavedAgentError(
            f"path: {shown(wrong)} of the agent in {path} is not finite; load one that was saved before it was"
        )


def _misfit(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """Return the first difference between the names, shapes and kinds of `theirs` and `mine`, as text; "" if none."""
    for name in mine.keys() ^ theirs.keys():
        return f"{shown(name)} is {'missing' if name in mine else 'unknown'}"
    for name, tensor in mine.items():
        found = theirs[name]
        if found.shape != tensor.shape or found.is_floating_point() != tensor.is_floating_point():
            is_there, needed = (f"{one.dtype} {list(one.shape)}" for one in (found, tensor))
            return f"{shown(name)} is {is_there}, the networks have {needed}"
    return ""
