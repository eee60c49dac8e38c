"""The soak's samples, and that it sees what grows."""

import os
import sys

import pytest

from benchmarks.durability import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_run_is_sampled_and_what_grows_is_seen(monkeypatch):
    held, plain = [], soak.sample
    monkeypatch.setattr(soak, "sample", lambda run: (held.append(os.open(os.devnull, os.O_RDONLY)), plain(run))[1])
    found = soak.run(soak.Cell("short", 8_000, 5), 0)
    assert found["total_steps"] >= 8_000 and len(found["samples"]) >= 5
    assert found["grown"]["descriptors"] >= 3 and found["grown"]["threads"] == 0
    for file in held:
        os.close(file)
