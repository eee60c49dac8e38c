"""Tensors are written as safetensors reads them, and the SHA-256 is that of the file."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pg_agents import tensor_files
from pg_agents.manifest import check_tensors, sha256
from pg_agents.tensor_files import DTYPES, write_tensors


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tolist() == other.tolist()


def check(tmp_path, tensors):
    digest = write_tensors(tmp_path / "x.safetensors", tensors)
    assert digest == sha256(tmp_path / "x.safetensors")
    check_tensors(tmp_path, "x.safetensors")
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert same(found[name], tensor.detach().contiguous()), name


def test_every_dtype_comes_back(tmp_path):
    numbers = torch.tensor([[0.0, 1.0, 2.0], [3.0, 5.0, 7.0]])
    check(tmp_path, {f"{number}/{dtype}": numbers.to(dtype) for number, dtype in enumerate(DTYPES)})


def test_views_shared_memory_scalars_and_nothing_come_back(tmp_path):
    vector = torch.arange(12.0)
    matrix = torch.nn.Parameter(vector.view(3, 4))
    views = {"whole": matrix, "again": matrix, "transposed": matrix.T, "part": vector[3:5], "far apart": vector[::5]}
    check(tmp_path, views | {"a scalar": torch.tensor(7), "none": torch.zeros(0, 3), "größe \"'\n": torch.ones(1)})
    check(tmp_path, {})


def test_each_tensor_is_aligned(tmp_path):
    write_tensors(
        tmp_path / "x", {"a": torch.ones(3, dtype=torch.uint8), "b": torch.ones(1).double(), "c": torch.ones(1)}
    )
    content = (tmp_path / "x").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert [header[name]["data_offsets"] for name in "bca"] == [[0, 8], [8, 12], [12, 15]]


def test_a_dtype_that_safetensors_does_not_know_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"^b is of torch.complex128, which safetensors does not know"):
        write_tensors(tmp_path / "x", {"a": torch.ones(1), "b": torch.ones(1, dtype=torch.complex128)})


def test_hashing_is_beside_the_writing_and_ends_with_it(tmp_path, monkeypatch):
    plain, where = tensor_files._sha256, []
    monkeypatch.setattr(
        tensor_files, "_sha256", lambda parts: (where.append(threading.current_thread()), plain(parts))[1]
    )
    write_tensors(tmp_path / "x", {"a": torch.ones(3)})
    assert where != [threading.main_thread()] and not where[0].is_alive()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="only Linux is told to give its copies up")
def test_blocks_of_a_large_file_are_handed_to_the_disk_one_by_one(tmp_path, monkeypatch):
    sizes, plain = [], tensor_files._hand_over
    monkeypatch.setattr(tensor_files, "BLOCK", 1 << 12)
    monkeypatch.setattr(tensor_files, "_hand_over", lambda file: (plain(file), sizes.append(os.fstat(file).st_size)))
    check(tmp_path, {"large": torch.arange(5000), **{f"small {i}": torch.full((300,), i) for i in range(5)}})
    steps = [after - before for before, after in zip(sizes, sizes[1:], strict=False)]
    assert len(sizes) >= 10 and all(1 << 12 <= step < 2 << 12 for step in steps)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_an_error():
    with pytest.raises(OSError) as raised:
        write_tensors(Path("/dev/full"), {"a": torch.ones(1000)})
    assert raised.value.errno == errno.ENOSPC
