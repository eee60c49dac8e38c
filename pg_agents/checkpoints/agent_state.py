"""An agent's state: everything that learning changes, and what else decides the bits of the next update.

Parameters and buffers are tensors by their names, the optimizer's memory likewise; the rest is a `State`: the generator
of minibatches, the share of the run that is over, the steps that will be prepended to the next rollout, and which
parameters are frozen.

Frozen parameters (a reference policy, a language model beneath its adapters) are in the agent that was saved when the
run began. `FrozenParameters` tells which of them are still what they were then: those are not written again.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pg_agents.agents.base import Agent
from pg_agents.data.rollout import Rollout
from pg_agents.data.state import State
from pg_agents.data.tree import tree_map
from pg_agents.errors import SavedFilesError
from pg_agents.shown import shown


@dataclass(frozen=True)
class AgentState:
    """What decides the bits of an agent's next update.

    Attributes:
        networks: parameters and buffers by name, without frozen parameters that have not changed.
        moments: the optimizer's tensors, "NAME/MOMENT".
        rest: everything else.
    """

    networks: dict[str, Tensor]
    moments: dict[str, Tensor]
    rest: State


class FrozenParameters:
    """The frozen parameters of an agent, which tells the ones that were not changed since.

    Args:
        agent: the agent, whose frozen parameters are what they were when the run began.
        changed: names of those that are not, since they were changed or frozen during the run.
    """

    def __init__(self, agent: nn.Module, changed: Container[str] = ()) -> None:
        named = agent.named_parameters()
        frozen = (parameter for name, parameter in named if not parameter.requires_grad and name not in changed)
        self.places = {parameter: _place(parameter) for parameter in frozen}

    def unchanged(self, parameter: nn.Parameter) -> bool:
        """Return whether a parameter is frozen, and where and what it was."""
        return not parameter.requires_grad and self.places.get(parameter) == _place(parameter)


def _place(parameter: Tensor) -> tuple[int, int, int]:
    """Return where a parameter is, in which storage (its memory is another each time it is gathered), and its age."""
    return parameter.untyped_storage()._cdata, int(parameter.storage_offset()), parameter._version


def agent_state(agent: Agent, frozen: FrozenParameters) -> AgentState:
    """Return an agent's state; its tensors are the agent's own."""
    parameters = dict(agent.named_parameters())
    moments, layout = agent.flat_optimizer.get_state({parameter: name for name, parameter in parameters.items()})
    learned = {name: parameter for name, parameter in parameters.items() if not frozen.unchanged(parameter)}
    rest = {
        "agent": agent.name,
        "frozen": [name for name, parameter in parameters.items() if not parameter.requires_grad],
        "layout": layout,
        "generator": agent.generator.get_state().numpy(),
        "progress": agent.progress,
        "overlap": _rollout_state(agent.overlap.last),
    }
    return AgentState({**learned, **dict(agent.named_buffers())}, moments, rest)


def set_agent_state(agent: Agent, state: AgentState, start: Mapping[str, Tensor]) -> None:
    """Give an agent a state of `agent_state`, in place; it must have been made with the same networks and options.

    Args:
        agent: the agent.
        state: the state.
        start: the parameters with which the run began, for those that are not in the state.

    Raises:
        SavedFilesError: the state is not that of such an agent.
    """
    rest = state.rest
    parameters, buffers = dict(agent.named_parameters()), dict(agent.named_buffers())
    values = {**{name: start[name] for name in rest["frozen"] if name in start}, **state.networks}
    if misfit := _misfit(parameters, buffers, values):
        raise SavedFilesError(f"{misfit}: the agent was made with other networks or options than the run's")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.requires_grad_(name not in rest["frozen"])
            parameter.copy_(values[name])
    for name, buffer in buffers.items():
        _set_buffer(agent, name, buffer, values[name])
    agent.flat_optimizer.set_state(parameters, state.moments, rest["layout"])
    agent.generator.set_state(torch.from_numpy(rest["generator"].copy()))
    agent.progress = rest["progress"]
    agent.overlap.last = _rollout_of(rest["overlap"], next(agent.policy.parameters()).device)


def _misfit(parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> str:
    """Return the first difference between an agent's names, shapes and dtypes and those of `values`; "" if none."""
    mine = {**parameters, **buffers}
    if different := sorted(mine.keys() ^ values.keys()):
        return f"{shown(different[0])} is {'missing' if different[0] in mine else 'unknown'}"
    for name, value in values.items():
        both = value, mine[name]
        found, wanted = (
            (one.dtype, list(one.shape)) if name in parameters else (one.is_floating_point() or one.dtype, None)
            for one in both
        )  # a buffer of another precision is replaced
        if found != wanted:
            return f"{shown(name)} is {value.dtype} {list(value.shape)}, expected {mine[name].dtype} {wanted[1]}"
    return ""


def _set_buffer(agent: nn.Module, name: str, buffer: Tensor, value: Tensor) -> None:
    """Change a buffer in place; one of another shape or precision, as the run's had, is replaced."""
    if buffer.shape == value.shape and buffer.dtype == value.dtype:
        buffer.copy_(value)
        return
    owner, _, last = name.rpartition(".")
    setattr(agent.get_submodule(owner), last, value.to(buffer.device))


# -- the steps of an overlap -------------------------------------------------------------------------------------------
OF_ACTING = ("features", "encoder_version")  # of the parameters that acted: nothing to a later rollout


def _rollout_state(rollout: Rollout | None) -> State:
    if rollout is None:
        return None
    kept = (field.name for field in fields(rollout) if field.name not in OF_ACTING)
    return {name: tree_map(_array, getattr(rollout, name)) for name in kept}


def _rollout_of(state: State, device: torch.device) -> Rollout | None:
    if state is None:
        return None
    return Rollout(**{name: tree_map(_tensor, value) for name, value in state.items()}).to(device)


def _array(leaf: Any) -> Any:  # noqa: ANN401
    return leaf.numpy(force=True) if isinstance(leaf, Tensor) else leaf


def _tensor(leaf: Any) -> Any:  # noqa: ANN401
    return torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf
