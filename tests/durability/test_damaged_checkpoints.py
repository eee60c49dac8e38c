"""A checkpoint that is damaged in any way is named and not believed; the one before it is used."""

import random
import shutil

import pytest
from support.small_runs import CONTROL, go

from pg_agents.checkpoints.store import checkpoints_in, newest_good
from pg_agents.manifest import MANIFEST

NAMES = ["networks.safetensors", "optimizer.safetensors", "state.safetensors", "state.json", MANIFEST]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The checkpoints of a run."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    go(CONTROL, folder)
    return folder / "checkpoints"


def check_the_one_before_is_used(run, name):
    *_, before, newest = checkpoints_in(run)
    found, wrong = newest_good(run)
    assert found.steps == int(before.name[5:]) and len(wrong) == 1
    assert str(newest) in wrong[0] and "is damaged" in wrong[0] and name in wrong[0] and len(wrong[0]) < 1000


def changed(run, name, contents):
    """Put each of `contents` in the place of a file of the newest checkpoint, and the file back in the end."""
    file = list(checkpoints_in(run))[-1] / name
    whole = file.read_bytes()
    try:
        for content in contents(whole):
            file.write_bytes(content)
            yield
    finally:
        file.write_bytes(whole)


def flipped(whole, count):
    numbers = random.Random(0)
    for _ in range(count):
        bit = numbers.randrange(8 * len(whole))
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 1 << bit % 8
        yield bytes(wrong)


@pytest.mark.parametrize("flips", [8, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_are_seen(run, name, flips, record_property):
    for _ in changed(run, name, lambda whole: flipped(whole, flips)):
        check_the_one_before_is_used(run, "")
    assert newest_good(run)[1] == []
    record_property("bits of checkpoints flipped", flips)


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_truncations_are_seen(run, name, count, record_property):
    def contents(whole):
        return (whole[: len(whole) * number // count] for number in range(count))

    for _ in changed(run, name, contents):
        check_the_one_before_is_used(run, name)
    record_property("truncations of checkpoints", count)


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_missing_or_another_checkpoints_are_seen(run, tmp_path, name, record_property):
    shutil.copytree(run, tmp_path / "checkpoints")
    *_, before, newest = checkpoints_in(tmp_path / "checkpoints")
    shutil.copy(before / name, newest / name)
    check_the_one_before_is_used(tmp_path / "checkpoints", "")
    (newest / name).unlink()
    check_the_one_before_is_used(tmp_path / "checkpoints", name)
    record_property("files missing or swapped", 2)
