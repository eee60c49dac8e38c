"""The parts of a checkpoint's time are those of the run's own checkpoints, and add up."""

import pytest

from benchmarks import checkpoints


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    return checkpoints.cartpole(tmp_path_factory.mktemp("runs"), updates=2, rounds=1)


def test_the_first_checkpoint_is_left_out_and_the_parts_add_up(cell):
    assert cell["checkpoints"] == 2 and cell["bytes"] > 100_000
    assert all(cell["parts"][part]["wall"] > 0 for part in checkpoints.ABOUT)
    whole = sum(part["wall"] for part in cell["parts"].values())
    assert whole == pytest.approx(cell["wall"]["median"])
    assert cell["share"]["wall"] == pytest.approx(whole / 60)


def test_the_page_says_what_was_measured_and_what_computed(cell):
    machine = {"processor": "one", "cores": 2}
    text = checkpoints.page({"command": "x", "machine": machine, "cells": {"PPO": cell}})
    assert f"| PPO | 2 | {cell['bytes']:,} |" in text
    assert "| computed: its share of 60 s |" in text
