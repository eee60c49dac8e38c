"""A folder is held by one at a time."""

import os

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
