"""A folder is held by one at a time."""

import errno
import os

import pytest

from pg_agents import locks


def test_a_folder_is_let_go_though_a_forked_process_has_inherited_what_holds_it(tmp_path):
    descriptor = locks.lock(tmp_path)
    inherited = os.dup(descriptor)  # the same open file, as a forked process has it
    assert locks.lock(tmp_path) == locks.TAKEN
    locks.release(descriptor)
    again = locks.lock(tmp_path)
    assert again not in (None, locks.TAKEN)
    locks.release(again)
    os.close(inherited)


@pytest.mark.parametrize(("number", "found"), [(errno.EWOULDBLOCK, locks.TAKEN), (errno.ENOLCK, None)])
def test_a_folder_that_is_taken_is_told_from_one_that_cannot_be_held(tmp_path, monkeypatch, number, found):
    closed, close = [], os.close

    def flock(descriptor, how):
        raise OSError(number, "no lock")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    monkeypatch.setattr(locks.os, "close", lambda descriptor: closed.append(descriptor) or close(descriptor))
    assert locks.lock(tmp_path) == found and len(closed) == 1
