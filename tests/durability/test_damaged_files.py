"""A saved agent whose files are damaged is never believed: one error that names the file, quickly, in little memory.

The control arms load the same files without their manifest, as earlier versions wrote them.
"""

import json
import random
import re
import shutil

import gymnasium as gym
import pytest
import torch
from support.forks import in_a_fork

import pg_agents as pg
from pg_agents.manifest import seal

FULL = pytest.mark.slow
NAMES = ["agent.json", "agent.safetensors", "manifest.json"]
MIB = 1 << 20


@pytest.fixture
def saved(tmp_path):
    pg.A2C.for_env(gym.make("CartPole-v1"), hidden=(16,)).save(tmp_path / "agent")
    return tmp_path / "agent"


@pytest.fixture
def other(tmp_path):
    pg.A2C.for_env(gym.make("CartPole-v1"), hidden=(16,), seed=1, discount=0.5).save(tmp_path / "other")
    return tmp_path / "other"


def without_manifest(path):
    """Turn a saved agent into one of an earlier version."""
    (path / "manifest.json").unlink()
    description = json.loads((path / "agent.json").read_text())
    description["files"].remove("manifest.json")
    (path / "agent.json").write_text(json.dumps(description))


def with_flipped_bits(file, flips):
    """Yield after each of `flips` single bits of a file is flipped, and put it back."""
    whole, numbers = file.read_bytes(), random.Random(0)
    for _ in range(flips):
        bit = numbers.randrange(8 * len(whole))
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 1 << bit % 8
        file.write_bytes(wrong)
        yield
    file.write_bytes(whole)


def loads(path):
    try:
        pg.load(path)
    except pg.SavedAgentError as error:
        assert str(path) in str(error) and len(str(error)) < 1000
        return False
    return True


@pytest.mark.parametrize("flips", [60, pytest.param(200, marks=FULL)])
@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_bit_is_seen_and_the_file_named(saved, name, flips, record_property):
    for _ in with_flipped_bits(saved / name, flips):
        with pytest.raises(pg.SavedAgentError, match=r"agent is damaged \(.*[a-z]"):
            pg.load(saved)
    assert loads(saved)
    record_property("bits flipped", flips)


def test_control_flipped_bits_load_without_a_manifest(saved, record_property):
    without_manifest(saved)
    believed = sum(loads(saved) for _ in with_flipped_bits(saved / "agent.safetensors", 50))
    record_property("bits flipped", 50)
    record_property("believed", believed)
    assert believed > 25


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_seen(saved, name, record_property):
    whole = (saved / name).read_bytes()
    lengths = {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 2}
    numbers = random.Random(1)
    lengths |= {numbers.randrange(len(whole) - 1) for _ in range(10)}
    record_property("truncations", len(lengths))
    for wrong in [*(whole[:length] for length in lengths), whole + b"\0", whole * 2, bytes(len(whole))]:
        (saved / name).write_bytes(wrong)
        with pytest.raises(pg.SavedAgentError, match=f"is damaged .*{name}"):
            pg.load(saved)
    (saved / name).unlink()
    with pytest.raises(pg.SavedAgentError, match=f"{name}'? is missing"):
        pg.load(saved)


@pytest.mark.parametrize("name", NAMES)
def test_another_agents_file_in_its_place_is_seen(saved, other, name):
    shutil.copy(other / name, saved / name)
    with pytest.raises(pg.SavedAgentError, match="is damaged"):
        pg.load(saved)


def test_control_another_agents_file_loads_without_a_manifest(saved, other):
    without_manifest(saved)
    shutil.copy(other / "agent.safetensors", saved / "agent.safetensors")
    assert loads(saved)


def test_a_manifest_of_a_later_version_says_so(saved):
    text = (saved / "manifest.json").read_text()
    (saved / "manifest.json").write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(pg.SavedAgentError, match="of format 2, this version reads 1; update pg-agents"):
        pg.load(saved)


def hostile_header(size):
    """Return the beginning of a safetensors file with a header of `size` bytes, full of tensors without numbers."""
    lines = (f'"{i:08d}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(size // 60))
    header = ("{" + ",".join(lines) + "}").encode().ljust(size)
    return len(header).to_bytes(8, "little") + header


HOSTILE = {
    "a header of 77 MiB": ("agent.safetensors", lambda: hostile_header(77 * MIB), "the header of .* 80740352 bytes"),
    "a header longer than the file": ("agent.safetensors", lambda: (1 << 62).to_bytes(8, "little"), "is truncated"),
    "a deep description": ("agent.json", lambda: b'{"a":' * 100_000, "nested too deep"),
    "deep lists": ("agent.json", lambda: b"[" * 100_000, "nested too deep"),
    "a long description": ("agent.json", lambda: b"[" + b"[]," * (33 * MIB) + b"0]", "103809027 bytes, which is more"),
    "a deep manifest": ("manifest.json", lambda: b"[" * 100_000, "manifest.json' is nested too deep"),
    "a long manifest": ("manifest.json", lambda: b" " * (99 * MIB), "manifest.json' has .* which is more"),
    "random bytes": ("agent.safetensors", lambda: random.Random(0).randbytes(20 * MIB), "is truncated|the header"),
}  # fmt: skip


@pytest.mark.parametrize("with_manifest", [True, False], ids=["with a manifest of its own", "without a manifest"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_cost_neither_seconds_nor_memory(saved, case, with_manifest):
    name, content, said = HOSTILE[case]
    if not with_manifest and name != "manifest.json":
        without_manifest(saved)
    (saved / name).write_bytes(content())
    if with_manifest and name != "manifest.json":
        seal(saved)

    def work():
        import resource
        import time

        start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            pg.load(saved)
        except pg.SavedAgentError as error:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            return str(error), time.process_time() - start, memory / 1024

    del content
    error, seconds, mebibytes = in_a_fork(work)
    assert f"agent saved in {saved} is damaged" in error and len(error) < 1000
    assert re.search(said, error)
    assert seconds < 1 and mebibytes < 200


@FULL
def test_control_a_header_takes_seconds_and_memory_without_a_limit(saved):
    (saved / "agent.safetensors").write_bytes(hostile_header(8 * MIB))

    def work():
        import time

        from safetensors.torch import load_file

        start = time.process_time()
        load_file(saved / "agent.safetensors")
        return time.process_time() - start

    assert in_a_fork(work) > 0.5


@pytest.mark.parametrize("megabytes", [20, pytest.param(100, marks=FULL)])
def test_a_large_agent_is_verified_at_the_speed_of_reading(saved, megabytes):
    from pg_agents.manifest import verify

    with (saved / "agent.safetensors").open("wb") as file:
        for _ in range(megabytes):
            file.write(random.Random(0).randbytes(10**6))
    seal(saved)

    def work():
        import time

        start = time.process_time()
        verify(saved)
        return time.process_time() - start

    assert in_a_fork(work) < megabytes / 100


def test_what_loads_is_what_was_saved(saved):
    agent = pg.A2C.for_env(gym.make("CartPole-v1"), hidden=(16,))
    loaded = pg.load(saved)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in agent.state_dict().items())
