"""A run of several processes: one agent, which learns from the environments of all of them.

The processes are the ranks of a group of torch.distributed, which a launcher like torchrun starts. Each collects in
environments of its own, with random numbers of its own; the parameters are the same on all, bit for bit. Rank 0 alone
writes, evaluates and prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from math import prod
from typing import Any

import safetensors.numpy
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pg_agents.agents.base import Agent
from pg_agents.checkpoints.machine import machine
from pg_agents.data.shares import ALONE, Ranks
from pg_agents.data.state import State, from_arrays_and_json, to_arrays_and_json
from pg_agents.errors import LostRankError
from pg_agents.seeding import Purpose, spawn
from pg_agents.shown import shown
from pg_agents.training.heartbeat import check_answers

SLICE = timedelta(seconds=1)  # in which signals are heeded, and silent ranks, while others are waited for
_begun: list[dist.Work] = []  # what has not been waited for to its end


class GroupRanks:
    """The processes of torch.distributed's group."""

    def __init__(self) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        on_gpu = dist.get_backend() == "nccl"
        self.device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in place: one message for all of a kind."""
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault(tensor.dtype, []).append(tensor)
        for several in kinds.values():
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in several]).to(self.device)
            _carry_out(dist.all_reduce, flat)
            for tensor, part in zip(several, flat.split([tensor.numel() for tensor in several]), strict=True):
                tensor.detach().copy_(part.view(tensor.shape))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor of each rank, in order; their shapes may differ."""
        shapes = [tuple(shape.tolist()) for shape in self._equal(torch.tensor(tensor.shape, dtype=torch.int64))]
        numbers = tensor.detach().reshape(-1)
        numbers = numbers.view(torch.uint8) if tensor.dtype == torch.bool else numbers
        padded = numbers.new_zeros(max(map(prod, shapes)))
        padded[: len(numbers)] = numbers
        parts = zip(self._equal(padded), shapes, strict=True)
        return [part[: prod(shape)].view(tensor.dtype).view(shape).to(tensor.device) for part, shape in parts]

    def _equal(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor of each rank, all of one shape."""
        mine = tensor.to(self.device)
        if not mine.numel():  # gloo does not wait where there is nothing to send
            return [mine] * self.count
        found = [torch.empty_like(mine) for _ in range(self.count)]
        _carry_out(dist.all_gather, found, mine)
        return found


def _carry_out(collective: Callable[..., Any], *tensors: Any) -> None:  # noqa: ANN401
    """Do what all ranks do together; LostRankError if one has ended, or is silent for too long."""
    try:
        _begun[:] = [work := collective(*tensors, async_op=True)]
        while not _is_done(work):
            check_answers()
        _begun.clear()
    except LostRankError:
        raise
    except RuntimeError as error:  # of gloo and nccl
        raise LostRankError(
            f"rank {dist.get_rank()}: another one has ended, or does not answer; what it said stands above, if it said "
            f"anything ({shown(error, 200)})"
        ) from error


def is_owed() -> bool:
    """Return whether this process has stopped waiting for what others have not sent yet: torch would go on to."""
    return any(not work.is_completed() for work in _begun)


def _is_done(work: dist.Work) -> bool:
    """Wait for a while; return whether it was enough. Nccl's work is only begun: what uses the result waits for it."""
    if dist.get_backend() != "gloo":
        return bool(work.wait())
    try:
        return bool(work.wait(SLICE))
    except RuntimeError:  # its time was over, or it has failed
        return work.is_completed() and bool(work.wait())


def ranks_of_group() -> Ranks:
    """Return the ranks of torch.distributed's group, if one of several processes was initialised."""
    alone = not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1
    return ALONE if alone else GroupRanks()


def seed_of_rank(seed: int, ranks: Ranks) -> int:
    """Return the seed of a rank's environments and actions: rank 0 has the run's own."""
    return spawn(spawn(seed, Purpose.RANKS) + ranks.number, Purpose.RANKS) if ranks.number else seed


@torch.no_grad()
def give_from_first(module: nn.Module, ranks: Ranks) -> None:
    """Give all ranks the parameters and buffers of rank 0."""
    if ranks.count == 1:
        return
    tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.dtype != torch.bool]
    if ranks.number:
        torch._foreach_zero_(tensors)
    ranks.add(tensors)


@contextmanager
def together(agent: Agent) -> Iterator[Ranks]:
    """A context in which an agent has the ranks of torch.distributed's group, if there is one of several processes."""
    agent.ranks = ranks_of_group()
    try:
        yield agent.ranks
    finally:
        agent.ranks = ALONE


def join(agent: Agent, plan: Mapping[str, Any]) -> None:
    """Let an agent begin with the parameters and the order of minibatches of rank 0.

    Raises:
        ValueError: the ranks were given something else, or the agent consists of several learners.
    """
    ranks = agent.ranks
    if ranks.count == 1:
        return
    if (count := agent.policy.num_learners) > 1:
        raise ValueError(f"num_learners: {count} independent learners do not learn from several ranks; make one")
    versions = {name: machine()[name] for name in ("pg_agents", "torch")}
    moments = sum(len(state) for state in agent.flat_optimizer.optimizer.state.values())
    check_same(ranks, {"agent": agent.name, **agent.arguments, **plan, **versions, "optimizer": moments})
    give_from_first(agent, ranks)
    agent.generator.set_state(ranks.gather(agent.generator.get_state())[0])


def largest(ranks: Ranks, *numbers: int) -> list[int]:
    """Return the largest of each number over the ranks, so that all take the same decision."""
    return list(numbers) if ranks.count == 1 else torch.stack(ranks.gather(torch.tensor(numbers))).amax(0).tolist()


def check_same(ranks: Ranks, given: Mapping[str, Any]) -> None:
    """Raise ValueError on all ranks if they were not given the same.

    Args:
        ranks: the processes.
        given: plain values by the names of arguments.
    """
    if ranks.count == 1:
        return
    every = [json.loads(bytes(one.tolist())) for one in ranks.gather(_bytes(json.dumps(given, default=str).encode()))]
    for number, other in enumerate(every):
        for name, value in every[0].items():
            if other[name] != value:
                then, now = shown(value), shown(other[name])
                raise ValueError(f"{name}: rank 0 has {then}, rank {number} has {now}; start all ranks with the same")


@contextmanager
def first_opens(ranks: Ranks, opened: AbstractContextManager[Any]) -> Iterator[Any]:
    """A context in which rank 0 has opened something before the others go on, which have None.

    Raises:
        ValueError: on the other ranks, if rank 0 could not open it, for its reason.
    """
    if ranks.number:
        if reason := told(ranks, ""):
            raise ValueError(reason)
        yield None
        return
    try:
        found = opened.__enter__()
    except Exception as error:
        told(ranks, str(error))
        raise
    told(ranks, "")
    with ExitStack() as stack:
        stack.push(opened)
        yield found


def told(ranks: Ranks, text: str) -> str:
    """Return on all ranks the text that rank 0 has given."""
    return bytes(ranks.gather(_bytes(text.encode()))[0].tolist()).decode() if ranks.count > 1 else text


def states_of_ranks(state: State, ranks: Ranks) -> list[State]:
    """Return the state of each rank, in order; all call this together."""
    if ranks.count == 1:
        return [state]
    arrays, values = to_arrays_and_json(state)
    texts = ranks.gather(_bytes(json.dumps(values).encode()))
    files = ranks.gather(_bytes(safetensors.numpy.save(arrays)))
    return [
        from_arrays_and_json(safetensors.numpy.load(bytes(file.numpy())), json.loads(bytes(text.numpy())))
        for text, file in zip(texts, files, strict=True)
    ]


def _bytes(text: bytes) -> Tensor:
    return torch.tensor(list(text), dtype=torch.uint8)
