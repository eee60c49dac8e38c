"""One of several independent learners as an agent of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.checks import whole_number
from pg_agents.data.learners import apart
from pg_agents.data.rollout import Rollout, map_steps
from pg_agents.data.tree import tree_map


def tensors_of(agent: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return copies of an agent's parameters and buffers, by name."""
    return {name: value.detach().clone() for name, value in [*agent.named_parameters(), *agent.named_buffers()]}


def learner_of(agent: Any, index: int, tensors: dict[str, Tensor] | None = None) -> Any:  # noqa: ANN401
    """Return the learner `index` of an agent, with all that it has learned and all that its next updates depend on.

    With `tensors`, which `tensors_of` has returned before, it has the parameters and buffers that it had then.

    Raises:
        ValueError: there is no such learner, or the agent was made of the user's networks.
    """
    index, count = whole_number("index", index), agent.policy.num_learners
    if index >= count:
        raise ValueError(f"index must be below {count}, the number of learners, got {index}")
    if agent.spaces is None:
        raise ValueError("learner: the agent was made of your own networks; make the one that you want of them")
    networks = {name: value for name, value in agent.networks.items() if name not in ("num_learners", "seeds")}
    one = type(agent).for_spaces(*agent.spaces, seed=agent.seeds[index], **networks, **agent.arguments)
    first = next(agent.policy.parameters())
    one.to(first.device, first.dtype)
    _give_tensors(one, agent, tensors, index, count)
    _give_moments(one, agent, index, count)
    one.generator.set_state(agent.generator[index].get_state() if count > 1 else agent.generator.get_state())
    one.progress, one.overlap.last = agent.progress, _columns(agent.overlap.last, index, count)
    return one


def _columns(last: Rollout | None, index: int, count: int) -> Rollout | None:
    """Return a learner's part of the steps that are prepended to the next rollout."""
    if last is None:
        return None
    each = last.rewards.shape[1] // count
    columns = slice(index * each, (index + 1) * each)
    memory = None if last.memory is None else tree_map(lambda leaf: leaf[columns], last.memory)
    return replace(map_steps(lambda leaf: leaf[:, columns], last), memory=memory, num_learners=1)


@torch.no_grad()
def _give_tensors(one: Any, agent: Any, tensors: dict[str, Tensor] | None, index: int, count: int) -> None:  # noqa: ANN401
    mine = dict([*one.named_parameters(), *one.named_buffers()])
    for name, value in (tensors or dict([*agent.named_parameters(), *agent.named_buffers()])).items():
        if mine[name].shape == value.shape:
            mine[name].copy_(value)
        elif name == "reward_scale.accumulated":  # of each environment
            one.reward_scale.accumulated = apart(value[None], count)[index, 0].clone()
        else:
            mine[name].copy_(value[index].reshape(mine[name].shape))
    for name, parameter in agent.named_parameters():
        one.get_parameter(name).requires_grad_(parameter.requires_grad)


def _give_moments(one: Any, agent: Any, index: int, count: int) -> None:  # noqa: ANN401
    names = {parameter: name for name, parameter in agent.named_parameters()}
    moments, _ = agent.flat_optimizer.get_state(names)
    parameters = dict(one.named_parameters())
    _, layout = one.flat_optimizer.get_state({parameter: name for name, parameter in parameters.items()})

    def its(name: str, value: Tensor) -> Tensor:
        if value.ndim == 0 or count == 1:
            return value
        shape = parameters[name.rpartition("/")[0]].shape
        return value[index].clone() if value.ndim == 1 else value[index].reshape(shape)

    one.flat_optimizer.set_state(parameters, {name: its(name, value) for name, value in moments.items()}, layout)
