"""Some of several independent learners as an agent of their own, and what they have learned given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pg_agents.data.rollout import Rollout, map_steps
from pg_agents.data.tree import tree_map

OF_COLUMNS = "reward_scale.accumulated"  # a buffer with a number for each environment, not for each learner
STEP = "/step"  # how the names of an optimizer's counts of steps end


class Places:
    """The places of some of L learners in arrays that have L, or L · b columns, along an axis.

    Args:
        count: L.
        learners: the learners, in the order in which they are taken.
    """

    def __init__(self, count: int, learners: Sequence[int]) -> None:
        self.count, self.learners = count, torch.tensor(learners)

    def take(self, values: Tensor, axis: int = 0) -> Tensor:
        """Return what belongs to these learners."""
        return self._apart(values, axis).index_select(axis, self.learners.to(values.device)).flatten(axis, axis + 1)

    def put(self, values: Tensor, theirs: Tensor, axis: int = 0) -> None:
        """Replace what belongs to these learners, in place."""
        apart = self._apart(values, axis)
        shape = *apart.shape[:axis], len(self.learners), *apart.shape[axis + 1 :]
        apart.index_copy_(axis, self.learners.to(values.device), theirs.reshape(shape))

    def _apart(self, values: Tensor, axis: int) -> Tensor:
        return values.unflatten(axis, (self.count, values.shape[axis] // self.count))


@torch.no_grad()
def learners_of(agent: Any, learners: Sequence[int], tensors: dict[str, Tensor] | None = None) -> Any:  # noqa: ANN401
    """Return some learners of an agent, in this order, with all that their next updates depend on.

    Args:
        agent: the agent.
        learners: from 0 to L − 1, one or more.
        tensors: parameters and buffers by name that it had before; None: as it has them.

    Raises:
        ValueError: the agent was made of the user's networks.
    """
    some, places, whole = _made(agent, learners), Places(len(agent.seeds), learners), tensors or _tensors(agent)
    if OF_COLUMNS in whole:
        some.reward_scale.accumulated = places.take(whole[OF_COLUMNS])
    for name, theirs in _tensors(some).items():
        theirs.copy_(whole[name] if whole[name].shape == theirs.shape else places.take(whole[name]).view_as(theirs))
    for name, parameter in some.named_parameters():
        parameter.requires_grad_(agent.get_parameter(name).requires_grad)
    moments, layout = _moments(agent)[0], _moments(some)[1]
    for name, value in moments.items():
        if value.ndim and places.count > 1:
            shape = () if name.endswith(STEP) else some.get_parameter(name.rpartition("/")[0]).shape
            moments[name] = places.take(value) if len(learners) > 1 else places.take(value).reshape(shape)
    some.flat_optimizer.set_state(dict(some.named_parameters()), moments, layout)
    states = places.take(_states(agent))
    some.generator.set_state(states if len(learners) > 1 else states[0])
    last, progress = agent.overlap.last, agent.progress
    its = tuple(progress[learner] for learner in learners) if isinstance(progress, tuple) else progress
    some.progress = its[0] if isinstance(its, tuple) and len(its) == 1 else its
    some.overlap.last = last if last is None else _columns_of(last, places)
    return some


@torch.no_grad()
def give_back(agent: Any, some: Any, learners: Sequence[int]) -> None:  # noqa: ANN401
    """Let an agent have what `learners_of` it, `some`, have learned since; its other learners stay as they are."""
    places, whole = Places(len(agent.seeds), learners), _tensors(agent)
    for name, theirs in _tensors(some).items():
        if whole[name].shape == theirs.shape:
            whole[name].copy_(theirs)
        elif theirs.requires_grad or name in dict(agent.named_buffers()):  # what is frozen has not changed
            places.put(whole[name], theirs)
    _give_moments_back(agent, some, places)
    states = _states(agent)
    places.put(states, _states(some))
    agent.generator.set_state(states)
    if some.overlap.last is not None:
        _put_columns(agent.overlap.last, some.overlap.last, places)


def _made(agent: Any, learners: Sequence[int]) -> Any:  # noqa: ANN401
    """Return a new agent of some learners' seeds, with their options, on the same device and in the same precision."""
    if agent.spaces is None:
        raise ValueError("learner: the agent was made of your own networks; make the one that you want of them")
    networks = {name: value for name, value in agent.networks.items() if name not in ("num_learners", "seeds")}
    seeds = [agent.seeds[learner] for learner in learners]
    networks |= {"seed": seeds[0]} if len(seeds) == 1 else {"seeds": seeds}
    some = type(agent).for_spaces(*agent.spaces, **networks, **agent.config.of_learners(learners))
    first = next(agent.policy.parameters())
    if first.dtype != next(some.policy.parameters()).dtype:
        some.to(first.dtype)
    return some.to(first.device)


def _tensors(agent: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the parameters and buffers by name."""
    return dict([*agent.named_parameters(), *agent.named_buffers()])


def _moments(agent: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:  # noqa: ANN401
    return agent.flat_optimizer.get_state({parameter: name for name, parameter in agent.named_parameters()})


def _give_moments_back(agent: Any, some: Any, places: Places) -> None:  # noqa: ANN401
    (moments, layout), (theirs, _) = _moments(agent), _moments(some)
    for name, value in theirs.items():
        value = value.expand(len(places.learners)) if name.endswith(STEP) else value.reshape(len(places.learners), -1)
        nothing = value.new_zeros(places.count, *value.shape[1:])  # before its first step, a parameter has no moments
        moments[name] = nothing + moments.get(name, 0)
        places.put(moments[name], value)
    agent.flat_optimizer.set_state(dict(agent.named_parameters()), moments, layout)


def _states(agent: Any) -> Tensor:  # noqa: ANN401
    """Return the states of the generators of minibatches, [L, …]."""
    return agent.generator.get_state().view(len(agent.seeds), -1)


def _columns_of(last: Rollout, places: Places) -> Rollout:
    """Return the learners' part of the steps that are prepended to the next rollout."""
    memory = None if last.memory is None else tree_map(places.take, last.memory)
    steps = map_steps(lambda leaf: places.take(leaf, 1), last)
    return replace(steps, memory=memory, num_learners=len(places.learners))


def _put_columns(last: Rollout, theirs: Rollout, places: Places) -> None:
    map_steps(lambda leaf, part: places.put(leaf, part, 1), last, theirs)
    if theirs.memory is not None:
        tree_map(places.put, last.memory, theirs.memory)
