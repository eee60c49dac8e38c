"""Work in a fork of the process, which can be killed, or live in a world of its own."""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import warnings

import torch

CONTEXT = multiprocessing.get_context("fork")
NEW_MOUNTS, RECURSIVE, PRIVATE = 0x20000, 0x4000, 1 << 18  # of Linux: CLONE_NEWNS, MS_REC, MS_PRIVATE


def in_a_fork(work, seconds=60):
    """Return what `work()` returns in a fork, the exception that ends it, or None if the fork was killed.

    A fork in which nothing happens is forked anew, once: it has the locks that threads of this process (of joblib, of
    TensorBoard, of an executor) held at that instant, and not the threads that would give them back. A warning says
    where it stood, as the work itself may be what waits.
    """
    for _ in range(2):
        receive, process, stacks = _forked(work)
        try:
            if receive.poll(seconds):
                return receive.recv()
            os.kill(process.pid, signal.SIGUSR1)
            time.sleep(1)
        except EOFError:
            return None
        finally:
            process.kill()
            process.join(60)
            receive.close()
        stacks.seek(0)
        stood = stacks.read()
        warnings.warn(f"a fork took more than {seconds} seconds; it stood at\n{stood}", stacklevel=2)
    raise AssertionError(f"two forks took more than {seconds} seconds; the second stood at\n{stood}")


def _forked(work):
    """Return the pipe that gets the result of `work()` from a fork, the fork, and the file for stacks at SIGUSR1."""
    stacks = tempfile.TemporaryFile("w+")  # noqa: SIM115 - the fork's, too

    def run():
        faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        torch.set_num_threads(1)  # a fork has none of the threads that an earlier test may have started
        try:
            send.send(work())
        except BaseException as error:
            send.send(error)
        finally:
            os._exit(0)

    receive, send = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run)
    process.start()
    send.close()  # so that a process that dies is noticed at once
    return receive, process, stacks


def begun(work):
    """Return a fork that does `work()` and nothing else, on one thread."""

    def run():
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        torch.set_num_threads(1)
        code = 1
        try:
            code = work() or 0
        finally:
            os._exit(code)

    process = CONTEXT.Process(target=run)
    process.start()
    return process


def ended(process, seconds=60):
    """Return the exit code of a fork that ends within some seconds."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join(60)
        raise AssertionError(f"the fork took more than {seconds} seconds")
    return process.exitcode


def wait_until(so, seconds=60, pause=0.002):
    """Wait until `so()`, at most some seconds."""
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(pause)


def lines_of(*modules):
    """Return the files of modules, for `at_line`."""
    return {module.__file__ for module in modules}


def at_line(number, files, work):
    """Do `work()`, kill this process before it runs line `number` of those in `files`; return how many lines it ran."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def mount_small(folder, size="64k", options=""):
    """Mount a disk of `size` on a folder, which this process and its children alone see; False: that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) or libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None):
        return False
    return libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size}{options}".encode()) == 0
