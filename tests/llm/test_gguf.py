"""What a .gguf file holds is read once, kept whole, and never believed when it is damaged."""

import collections
import os
import random
import shutil
import struct
import warnings

import pytest
import torch
from support.bugs import Bug, seeded
from support.tiny_gguf import TOKENS, write_gguf

from pg_agents.llm import gguf_cache, gguf_header
from pg_agents.llm.gguf_cache import SOURCE, cached
from pg_agents.llm.gguf_header import check_header, read_header
from pg_agents.llm.loading import load_model
from pg_agents.manifest import MANIFEST, verify


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    file = tmp_path_factory.mktemp("gguf") / "model.gguf"
    return file, write_gguf(file)


@pytest.fixture
def file(original, tmp_path):
    return shutil.copy(original[0], tmp_path / "model.gguf")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_bit(data, bit):
    wrong = bytearray(data)
    wrong[bit // 8] ^= 1 << bit % 8
    return bytes(wrong)


def test_a_gguf_file_is_read_as_it_was_written_and_only_once(original, file, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()  # an empty folder is no damaged one
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            model, tokenizer = load_model(file, cache=tmp_path / "cache")
        for name, value in original[1].state_dict().items():
            assert torch.equal(model.state_dict()[name], value)
        assert sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) == TOKENS
        verify(tmp_path / "cache")
        monkeypatch.setattr("transformers.GgufConfig", None)  # the second time it is not needed
    assert sorted(os.listdir(tmp_path)) == ["cache", "model.gguf"]


def test_a_header_says_what_is_in_the_file(file):
    header = read_header(file)
    check_header(header)
    assert header.values["llama.block_count"] == 2 and header.values["tokenizer.ggml.tokens"] == TOKENS
    assert header.tensors["blk.1.ffn_up.weight"].shape == (32, 64) and len(header.tensors) == 21
    start, tensor = header.start, header.tensors["output_norm.weight"]
    assert struct.unpack_from("<32f", file.read_bytes(), start + tensor.offset) == (1.0,) * 32


def damage(folder, name, how):
    whole = (folder / name).read_bytes()
    if how == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(with_bit(whole, 100) if how == "one bit" else whole[: len(whole) // 2])


@pytest.mark.parametrize("how", ["one bit", "half", "missing"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", SOURCE, MANIFEST])
def test_a_damaged_cache_is_made_anew_and_that_is_said(file, tmp_path, name, how):
    load_model(file, cache=tmp_path / "cache")
    good = content(tmp_path / "cache")
    damage(tmp_path / "cache", name, how)
    with pytest.warns(RuntimeWarning, match=rf"cache is made anew from .*model.gguf \(.*{name}"):
        load_model(file, cache=tmp_path / "cache")
    assert content(tmp_path / "cache") == good


def test_a_cache_of_another_file_is_made_anew_and_that_is_said(file, tmp_path):
    load_model(file, cache=tmp_path / "cache")
    other = write_gguf(file, seed=1)
    with pytest.warns(RuntimeWarning, match="the file is another one than it was made from"):
        model, _ = load_model(file, cache=tmp_path / "cache")
    assert torch.equal(model.lm_head.weight, other.lm_head.weight)


def test_what_is_no_cache_is_not_overwritten(file, original, tmp_path):
    original[1].save_pretrained(tmp_path / "mine")
    before = content(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"^cache: .*mine holds 'config.json', which is no cache; move it"):
        load_model(file, cache=tmp_path / "mine")
    load_model(file, cache=tmp_path / "cache")
    (tmp_path / "cache" / "notes").write_text("mine")
    with pytest.raises(ValueError, match=r"^cache: .*cache holds 'notes'"):
        load_model(file, cache=tmp_path / "cache")
    (tmp_path / "text").touch()
    with pytest.raises(ValueError, match=r"^cache: .*text exists and is no folder"):
        load_model(file, cache=tmp_path / "text")
    assert content(tmp_path / "mine") == before and (tmp_path / "cache" / "notes").read_text() == "mine"


def test_a_cache_that_could_not_be_made_leaves_nothing(file, tmp_path):
    def fails(folder):
        (folder / "config.json").write_text("{")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"cache cannot be written \(No space left on device\)"):
        cached(file, tmp_path / "cache", fails)
    assert os.listdir(tmp_path) == ["model.gguf"]


# -- damage of the file itself -----------------------------------------------------------------------------------------
def outcome(file, data, cache, reference):
    """Return "error", or how a model that was read from `data` differs: "tokens", "numbers" or "nothing"."""
    file.write_bytes(data)
    shutil.rmtree(cache, ignore_errors=True)
    try:
        model, tokenizer = load_model(file, cache=cache)
    except ValueError as error:
        assert str(error).startswith("path: transformers cannot read the model in") or "tokenizer has" in str(error)
        assert len(str(error)) < 1000
        return "error"
    ids = torch.arange(3, 35)[None]
    if not torch.equal(model(ids).logits, reference(ids).logits):
        return "numbers"
    return "nothing" if tokenizer.get_vocab() == {token: i for i, token in enumerate(TOKENS)} else "tokens"


@pytest.mark.parametrize("flips", [24, pytest.param(400, marks=pytest.mark.slow)])
def test_most_flipped_bits_of_a_header_are_seen(original, file, tmp_path, flips):
    whole, bits = file.read_bytes(), random.Random(0)
    header = 8 * read_header(file).start
    found = collections.Counter(
        outcome(file, with_bit(whole, bits.randrange(header)), tmp_path / "cache", original[1]) for _ in range(flips)
    )
    assert found["error"] >= 0.75 * flips and found["numbers"] <= 0.05 * flips, found


def test_truncation_anywhere_is_seen(original, file, tmp_path):
    whole = file.read_bytes()
    for length in (0, 3, 4, 20, 100, 2000, read_header(file).start, len(whole) // 2, len(whole) - 1):
        assert outcome(file, whole[:length], tmp_path / "cache", original[1]) == "error"
        assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"GGUF", b"GGUP", "does not begin with GGUF"),
        (struct.pack("<f", 1e-6), struct.pack("<f", 1.0), "rms_epsilon' is 1.0, not between 1e-12 and 0.01"),
        (struct.pack("<f", 1e4), struct.pack("<f", float("nan")), "freq_base' is nan, not between"),
        (b"blk.1.ffn_up.weight", b"blk.7.ffn_up.weight", "tensors of 3 layers, 'llama'.block_count is 2"),
        (b"blk.1.ffn_up.weight", b"blk.1.ffn_uq.weight", "missing keys: 'model.layers.1.mlp.up_proj.weight'"),
        (b"blk.1.ffn_up.weight", b"blk.0.ffn_up.weight", "'blk.0.ffn_up.weight' occurs twice"),
        (struct.pack("<Q", 2) + b"ab" + struct.pack("<Q", 2), struct.pack("<Q", 2) + b"bc" + struct.pack("<Q", 2),
         "a token occurs twice"),
        (struct.pack("<Q", 3) + b"a b", struct.pack("<Q", 3) + b"a !", "'a !' merges tokens that are none"),
        (b"eos_token_id" + struct.pack("<II", 4, 2), b"eos_token_id" + struct.pack("<II", 4, 40), "is 40, of 40"),
        (b"token_type" + struct.pack("<IIQ", 9, 5, 40), b"token_type" + struct.pack("<IIQ", 9, 5, 2**60), "it ends in"),
        (struct.pack("<f", 1.0) * 32, struct.pack("<f", float("inf")) * 32, "is not finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_so_is_said(file, tmp_path, old, new, said):
    whole = file.read_bytes()
    assert old in whole
    file.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(ValueError, match="cannot read the model in .*model.gguf") as caught:
        load_model(file, cache=tmp_path / "cache")
    assert said in str(caught.value) and not (tmp_path / "cache").exists()


def test_tensors_that_have_changed_places_are_seen(file, tmp_path):
    whole, header = file.read_bytes(), read_header(file)

    def line(layer, offset):
        return f"blk.{layer}.ffn_up.weight".encode() + struct.pack("<IQQIQ", 2, 32, 64, 0, offset)

    one, other = (header.tensors[f"blk.{layer}.ffn_up.weight"].offset for layer in (0, 1))
    assert line(0, one) in whole and line(1, other) in whole
    file.write_bytes(whole.replace(line(0, one), line(0, other)).replace(line(1, other), line(1, one)))
    with pytest.raises(ValueError, match=f"'blk.0.ffn_up.weight' lies at {other}, the tensor before it ends at"):
        load_model(file, cache=tmp_path / "cache")


test_seeded_bugs = seeded(
    Bug(
        "a cache is believed as it is",
        gguf_cache._difference,
        lambda folder, source: "",
        [
            test_a_damaged_cache_is_made_anew_and_that_is_said,
            test_a_cache_of_another_file_is_made_anew_and_that_is_said,
        ],
        raises=Exception,
    ),
    Bug(
        "a cache replaces whatever is there",
        gguf_cache._check,
        lambda folder: None,
        [test_what_is_no_cache_is_not_overwritten],
    ),
    Bug(
        "tensors may lie anywhere",
        gguf_header._check_places,
        lambda *arguments: None,
        [test_tensors_that_have_changed_places_are_seen],
    ),
)
