"""Reads the header of a .gguf file, and says what in it cannot be so.

A .gguf file has no checksum, so what is damaged shows only where it contradicts something: tensors that do not lie one
after the other up to the end of the file, layers that are missing or too many, tables of tokens of different lengths,
tokens that occur twice or do not exist, constants out of their range. Damage that turns one possible file into another,
a digit of a weight, a letter of a token, a small change of a constant, cannot be seen in the file; compare it with the
SHA-256 that its publisher names.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_agents.shown import shown

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # as struct's
TEXT, ARRAY = 8, 9
MAGIC = int.from_bytes(b"GGUF", "little")
VERSIONS = (2, 3)
KINDS_OF_TOKENS = range(7)
RANGES = {"rms_epsilon": (1e-12, 1e-2), "norm_epsilon": (1e-12, 1e-2), "rope.freq_base": (1.0, 1e12)}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: its sizes, its kind of numbers, and its first byte, counted from the first tensor's."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """A .gguf file's metadata, its tensors by name, and the place of the first one's bytes in the file."""

    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    start: int


class _Reader:
    """Reads a file from its beginning on, and never past its end."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place = content, 0

    def numbers(self, code: str, count: int = 1) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{code}") * count
        self._advance(size)
        return struct.unpack_from(f"<{count}{code}", self.content, self.place - size)

    def _advance(self, size: int) -> None:
        if size > len(self.content) - self.place:
            raise ValueError(f"it ends in its header, at byte {self.place}")
        self.place += size

    def text(self) -> str:
        (size,) = self.numbers("Q")
        self._advance(size)
        return self.content[self.place - size : self.place].decode("utf-8")

    def value(self) -> Any:  # noqa: ANN401
        (kind,) = self.numbers("I")
        if kind == ARRAY:
            kind, count = *self.numbers("I"), *self.numbers("Q")
            return self.several(kind, count)
        return self.several(kind, 1)[0]

    def several(self, kind: int, count: int) -> list[Any]:
        if kind == TEXT:
            return [self.text() for _ in range(count)]
        if kind not in NUMBERS:
            raise ValueError(f"a value is of kind {kind}, which is none")
        return list(self.numbers(NUMBERS[kind], count))


def read_header(file: Path) -> Header:
    """Return the header of a .gguf file.

    Raises:
        ValueError: it is no .gguf file, of another version, truncated, or damaged.
        OSError: it cannot be read.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        reader = _Reader(content)
        magic, version, tensors, values = (*reader.numbers("I", 2), *reader.numbers("Q", 2))
        if magic != MAGIC or version not in VERSIONS:
            raise ValueError(f"it does not begin with GGUF and version 2 or 3, but with {content[:4]!r} and {version}")
        named = dict(_unique((reader.text(), reader.value()) for _ in range(values)))
        placed = dict(_unique((reader.text(), _tensor(reader)) for _ in range(tensors)))
        start = reader.place + -reader.place % _alignment(named)
        _check_places(placed, _alignment(named), len(content) - start)
    return Header(named, placed, start)


def _unique(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen = set()
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"{shown(name)} occurs twice")
        seen.add(name)
        yield name, value


def _tensor(reader: _Reader) -> Tensor:
    (axes,) = reader.numbers("I")
    return Tensor(reader.numbers("Q", axes), *reader.numbers("I"), *reader.numbers("Q"))


def _alignment(values: Mapping[str, Any]) -> int:
    found = values.get("general.alignment", 32)
    if not isinstance(found, int) or found <= 0 or found % 8:
        raise ValueError(f"general.alignment is {shown(found)}, not a multiple of 8")
    return found


def _check_places(tensors: Mapping[str, Tensor], alignment: int, size: int) -> None:
    """Raise ValueError unless tensors lie one after the other, in `size` bytes."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    end = 0
    for name, tensor in tensors.items():
        if tensor.offset != end + -end % alignment:
            raise ValueError(f"{shown(name)} lies at {tensor.offset}, the tensor before it ends at {end}")
        try:
            numbers, bytes_of_them = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{shown(name)} is of kind {tensor.kind}, which is none") from error
        end = tensor.offset + math.prod(tensor.shape) // numbers * bytes_of_them
        if end > size:
            raise ValueError(f"{shown(name)} ends after the file's end: it is truncated, or its header damaged")


def check_header(header: Header) -> None:
    """Raise ValueError if a header's metadata contradict themselves, the tensors, or are out of their range."""
    values, tensors = header.values, header.tensors
    family = values.get("general.architecture")
    layers = {int(found[1]) for name in tensors if (found := re.match(r"blk\.(\d+)\.", name))}
    count = values.get(f"{family}.block_count")
    if layers != set(range(len(layers))) or count != len(layers):
        raise ValueError(f"it has tensors of {len(layers)} layers, {shown(family)}.block_count is {shown(count)}")
    if not any(name.endswith("_epsilon") for name in values):
        raise ValueError("its metadata lack the epsilon of its normalisation")
    for name, value in values.items():
        for end, (low, high) in RANGES.items():
            if name.endswith(end) and not (isinstance(value, float) and low <= value <= high):
                raise ValueError(f"{shown(name)} is {shown(value)}, not between {low:g} and {high:g}")
    _check_tokens(values, tensors, family)


def _check_tokens(values: Mapping[str, Any], tensors: Mapping[str, Tensor], family: Any) -> None:  # noqa: ANN401
    tokens = values.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ValueError("it holds no list of tokens")
    known = set(tokens)
    if len(known) != len(tokens):
        raise ValueError("a token occurs twice")
    rows = tensors["token_embd.weight"].shape[-1] if "token_embd.weight" in tensors else len(tokens)
    if (size := values.get(f"{family}.vocab_size", rows)) not in (len(tokens), rows):
        raise ValueError(f"it has {len(tokens)} tokens, {shown(family)}.vocab_size is {shown(size)}")
    for name in ("token_type", "scores"):
        if len(table := values.get(f"tokenizer.ggml.{name}", tokens)) != len(tokens):
            raise ValueError(f"it has {len(tokens)} tokens, and {len(table)} in tokenizer.ggml.{name}")
    if not set(values.get("tokenizer.ggml.token_type", ())) <= set(KINDS_OF_TOKENS):
        raise ValueError("a token is of a kind that is none")
    merges = values.get("tokenizer.ggml.merges", ()) if values.get("tokenizer.ggml.model") == "gpt2" else ()
    for merge in merges:
        if not set(merge.split(" ")) <= known:
            raise ValueError(f"{shown(merge)} merges tokens that are none")
    for name, value in values.items():
        if re.fullmatch(r"tokenizer\.ggml\.\w+_token_id", name) and not 0 <= value < len(tokens):
            raise ValueError(f"{shown(name)} is {shown(value)}, of {len(tokens)} tokens")
