"""A command in several processes that share a store, as those that a launcher has started."""

import os
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist

from pg_agents.cli import launched, main
from support.forks import CONTEXT


def on_processes(count, *typed):
    """Return (exit code, standard output, standard error) of a command in each of several forks, in order."""
    store = dist.TCPStore("localhost", 0, count, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as folder:
        given = [(Path(folder), number, count, store.port, typed) for number in range(count)]
        forks = [CONTEXT.Process(target=_command, args=one) for one in given]
        for fork in forks:
            fork.start()
        for fork in forks:
            fork.join()
        text = [[(Path(folder) / f"{stream}-{number}").read_text() for stream in "12"] for number in range(count)]
    return [(fork.exitcode, out, err) for fork, (out, err) in zip(forks, text, strict=True)]


def _command(folder, number, count, port, typed):
    for descriptor in (1, 2):
        os.dup2(os.open(folder / f"{descriptor}-{number}", os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", buffering=1) for descriptor in (1, 2))
    os.environ |= {"MASTER_ADDR": "localhost", "RANK": str(number), "WORLD_SIZE": str(count)}
    store = dist.TCPStore("localhost", port, count, is_master=False, wait_for_workers=False)
    launched._met = lambda: (store, number, count)
    torch.set_num_threads(1)
    code = 70
    try:
        code = main(list(typed))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
