"""A command that a launcher like torchrun has started in several processes: they learn together, and rank 0 speaks."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from pg_agents.cli.options import Options, ResumeOptions, TrainOptions
from pg_agents.cli.runs import run_folder
from pg_agents.cli.terminal import say
from pg_agents.data.shares import Ranks
from pg_agents.errors import LostRankError, UserError
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.heartbeat import heartbeat, is_mute
from pg_agents.training.ranks import first_opens, is_owed, ranks_of_group, told
from pg_agents.training.store_ranks import StoreRanks


def rank() -> int:
    """Return the number of this process, 0 if there is no other."""
    return int(os.environ.get("RANK", "0")) if processes() > 1 else 0


def processes() -> int:
    """Return how many processes a launcher has started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "MASTER_ADDR" in os.environ else 1


def restarts() -> int:
    """Return how often torchrun has started the processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def speaks(error: Exception) -> bool:
    """Return whether this process reports an error.

    Bad input is all processes' and is said by the first on each machine, what one has met while it learned by that one.
    """
    if isinstance(error, LostRankError) and is_mute():
        return False
    first = processes() == 1 or int(os.environ.get("LOCAL_RANK", rank())) == 0
    return first or not isinstance(error, ValueError) or "ended_rank" in vars(error)


def in_turn(error: Exception) -> None:
    """Let the first process say what is wrong before another ends, as torchrun then ends all; after 10 s it may."""
    if processes() == 1 or not dist.is_torchelastic_launched() or (rank() and speaks(error)):
        return
    with suppress(RuntimeError):
        said = dist.PrefixStore("said", _met()[0])
        said.wait(["first"], timedelta(seconds=10)) if rank() else said.set("first", "")


def heard(end: BaseException) -> bool:
    """Return whether this process says that a signal has ended it: the first, or of those who share seeds any one."""
    return bool(vars(end).get("speaks", rank() == 0))


def check_command(options: Options) -> None:
    """Raise UserError for a command that several processes cannot carry out together."""
    count = processes()
    if count == 1:
        return
    if not isinstance(options, TrainOptions | ResumeOptions):
        raise UserError(f"command: of {count} processes that were launched together only train and resume make use")
    if isinstance(options, TrainOptions) and options.run.jobs is not None:
        raise UserError(
            f"jobs: {options.run.jobs} has no effect where {count} processes were launched, which share the seeds out; "
            "leave it out"
        )


@contextmanager
def launched_group() -> Iterator[Ranks]:
    """A context with the group of the processes that were launched; of one, there is nothing to do.

    Where each has a GPU of its own, they send each other gradients by nccl, else by gloo. They also watch each other,
    on another connection to the store, since one that waits keeps others from using it.
    """
    if processes() == 1 or dist.is_initialized():
        yield ranks_of_group()
        return
    on_gpu = _takes_own_gpu()
    store, number, count = _met()
    dist.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=number, world_size=count)
    try:
        beats = dist.PrefixStore("heartbeat", _met()[0])
        with heartbeat(beats, number, count, lambda text: say(text, sys.stderr)):
            yield ranks_of_group()
    finally:
        if is_owed():  # whoever frees the group waits for it: half an hour for a rank that hangs
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
        else:
            dist.destroy_process_group()


@contextmanager
def launched_store() -> Iterator[Ranks]:
    """A context with the processes that were launched, each of which learns alone: no group is initialised."""
    _takes_own_gpu()
    with StoreRanks(*_met()) as ranks:
        yield ranks


def _takes_own_gpu() -> bool:
    """Return whether each process of this machine has a GPU of its own, which it takes then."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", processes()))
    if own := torch.cuda.is_available() and torch.cuda.device_count() >= local:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank())))
    return own


def _met() -> tuple[dist.Store, int, int]:
    """Return the store of the processes, the number of this one, and how many there are.

    Raises:
        UserError: the first cannot have the port at which all meet.
    """
    try:
        store, number, count = next(rendezvous("env://"))
    except dist.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        port = os.environ["MASTER_PORT"]
        raise UserError(f"master_port: {port} is in use on this machine; give another, or --standalone") from error
    # torchrun may keep its store when it starts processes again: in it stand the addresses of those that have ended.
    return dist.PrefixStore(f"attempt {restarts()}", store), number, count


@contextmanager
def folder_of_ranks(ranks: Ranks, typed: Path | None, name: str) -> Iterator[tuple[Path, bool]]:
    """A context with a new run's folder, which rank 0 makes, and whether the run that is there goes on.

    It does where torchrun has started the processes again, after one of them had ended.

    Args:
        ranks: the processes.
        typed: the folder; None: a new one.
        name: with which the name of a new one begins.
    """
    if restarts() and typed is not None and (typed / FOLDER).is_dir():
        yield typed, True
        return
    with first_opens(ranks, run_folder(typed, name)) as made:
        yield Path(told(ranks, str(made or ""))), False
