"""Tensors as files of safetensors, whose SHA-256 is computed while they are written.

    8 bytes      the length of the header, little-endian
    the header   JSON, {NAME: {"dtype": …, "shape": …, "data_offsets": [from, to]}, …}, and spaces up to a multiple of 8
    the rest     the tensors, one after another; those of larger numbers first, so that all are aligned

The hash is computed by a thread of its own from the memory that is written, as neither needs the interpreter: nothing
is read again, and what is hashed is what the process holds, not what came back from the disk.

A large file is handed to the disk block by block, and the system's copies of what the disk has are given up (Linux).
So writing uses the same few pages again and again, instead of as many new ones as the file is long, which a virtual
machine gives out slowly; what other files have in the system's cache stays there, and little is left to wait for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 64 << 20  # bytes
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.complex64: "C64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors by their names, on any device, views too; return the SHA-256 of the file, as hexadecimal digits.

    Raises:
        OSError: the disk is full, read-only or gone.
        ValueError: safetensors does not know the dtype of one.
    """
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])))
    parts = [_header(ordered), *map(_bytes_of, ordered.values())]
    with ThreadPoolExecutor(1) as beside, file.open("wb") as stream:
        digest = beside.submit(_sha256, parts)
        written = 0
        for block in _blocks(parts):
            stream.write(block)
            written += len(block)
            if written >= BLOCK:
                stream.flush()
                _hand_over(stream.fileno())
                written = 0
    return digest.result()


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the header of tensors that lie in their order, with its length."""
    described, end = {}, 0
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name} is of {tensor.dtype}, which safetensors does not know; convert it")
        start, end = end, end + tensor.nbytes
        described[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes_of(tensor: Tensor) -> Any:  # noqa: ANN401
    """Return a tensor's memory, or that of a copy if it is on another device or its numbers lie apart."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return np.from_dlpack(numbers)  # numpy() would forbid FSDP to free the memory


def _blocks(parts: Sequence[Any]) -> Iterator[Any]:
    """Yield parts, large ones in blocks."""
    for part in parts:
        yield from (part[start : start + BLOCK] for start in range(0, len(part), BLOCK))


def _hand_over(descriptor: int) -> None:
    """Wait until the disk has what was written, and give the system's copies of it up."""
    if hasattr(os, "posix_fadvise"):
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sha256(parts: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
