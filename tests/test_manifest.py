"""A folder is read only as it was written."""

import errno
import json
import os

import pytest

from pg_agents import manifest
from pg_agents.errors import SavedFilesError
from pg_agents.manifest import MANIFEST, check_tensors, listed, read_json, seal, verify


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "agent.json").write_text('{"a": 1}')
    (tmp_path / "model" / "weights").write_bytes(bytes(range(32)))
    seal(tmp_path)
    return tmp_path


def changed(folder, **changes):
    found = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(found))


def test_a_folder_as_it_was_written_is_verified_and_its_files_are_listed(folder):
    assert verify(folder) == (folder / MANIFEST).read_bytes()
    assert listed(folder) == {"agent.json", MANIFEST, "model", "model/weights"}
    (folder / "notes").write_text("a file that is not listed does no harm")
    verify(folder)


def test_what_was_hashed_while_it_was_written_is_not_read_again(folder, monkeypatch):
    read, plain = [], manifest.sha256
    monkeypatch.setattr(manifest, "sha256", lambda file: (read.append(file.name), plain(file))[1])
    seal(folder, {"model/weights": 64 * "0"})
    assert read == ["agent.json"]
    with pytest.raises(SavedFilesError, match="its SHA-256 is another"):
        verify(folder)


@pytest.mark.parametrize("name", ["agent.json", "model/weights", MANIFEST])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SavedFilesError, match=f"^'?{name}'? is missing"):
        verify(folder)


@pytest.mark.parametrize("name", ["agent.json", "model/weights", MANIFEST])
def test_any_bit_of_any_file_counts(folder, name):
    whole = (folder / name).read_bytes()
    for bit in range(0, 8 * len(whole), 13 if name == MANIFEST else 1):
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(wrong)
        with pytest.raises(SavedFilesError):
            verify(folder)
    (folder / name).write_bytes(whole)
    verify(folder)


@pytest.mark.parametrize("name", ["agent.json", "model/weights", MANIFEST])
def test_every_truncation_and_a_longer_file_are_seen(folder, name):
    whole = (folder / name).read_bytes()
    for wrong in [*(whole[:length] for length in range(len(whole))), whole + b"x", whole * 2]:
        if name == MANIFEST and wrong.strip() == whole.strip():
            continue  # its last line end says nothing
        (folder / name).write_bytes(wrong)
        said = None if name == MANIFEST else f"has {len(wrong)} bytes, manifest.json says {len(whole)}"
        with pytest.raises(SavedFilesError, match=said):  # by its size, before it is read
            verify(folder)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "", "null", "[]", "9" * 5000, "\xff", "x" * (1 << 20)])
def test_a_manifest_that_is_none_is_one_short_error(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(SavedFilesError, match=MANIFEST) as caught:
        verify(folder)
    assert len(str(caught.value)) < 300


def test_a_later_format_says_so(folder):
    changed(folder, format=2)
    with pytest.raises(SavedFilesError, match="manifest.json is of format 2, this version reads 1; update pg-agents"):
        verify(folder)


@pytest.mark.parametrize("name", ["/etc/hostname", "../x", "a/../../x", "", "a\0b"])
def test_no_file_outside_the_folder_is_read(folder, name):
    changed(folder, files={name: {"bytes": 1, "sha256": "0" * 64}})
    with pytest.raises(SavedFilesError, match="manifest.json is not as it was written"):
        verify(folder)


@pytest.mark.parametrize(
    "line", [{}, {"bytes": -1, "sha256": "0" * 64}, {"bytes": True, "sha256": "0" * 64}, {"bytes": 8, "sha256": 3}, 7]
)
def test_a_line_that_says_too_little_is_not_believed(folder, line):
    changed(folder, files={"agent.json": line})
    with pytest.raises(SavedFilesError, match="manifest.json is not as it was written"):
        verify(folder)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder):
    for name in ("agent.json", MANIFEST):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(SavedFilesError, match=f"{name}'? is no regular file"):
            verify(folder)


def test_json_is_bounded_in_length_and_depth(folder):
    assert read_json(folder, "agent.json") == {"a": 1}
    with pytest.raises(SavedFilesError, match="'agent.json' has 8 bytes, which is more than 7"):
        read_json(folder, "agent.json", 7)
    (folder / "agent.json").write_text("[" * 10**5)
    with pytest.raises(SavedFilesError, match="'agent.json' is nested too deep"):
        read_json(folder, "agent.json")


def test_a_header_of_parameters_is_bounded_before_it_is_read(folder):
    def header(length, size):
        (folder / "a.safetensors").write_bytes(length.to_bytes(8, "little"))
        os.truncate(folder / "a.safetensors", size)

    for length in (1000, 1992):  # and nothing but a header, as where an optimizer has no memory
        header(length, 2000)
        check_tensors(folder, "a.safetensors")
    header(2000, 2000)
    with pytest.raises(SavedFilesError, match="'a.safetensors' is truncated: its header alone has 2000 bytes"):
        check_tensors(folder, "a.safetensors")
    header(77 << 20, 100 << 20)
    with pytest.raises(SavedFilesError, match="the header of 'a.safetensors' has 80740352 bytes, which is more than"):
        check_tensors(folder, "a.safetensors")
    header(2 << 20, 128 << 20)  # a sixty-fourth of the file: hundreds of thousands of tensors
    check_tensors(folder, "a.safetensors")


def test_nothing_is_sealed_before_the_disk_has_it(folder, monkeypatch):
    waited = []
    monkeypatch.setattr(manifest, "_synchronize", waited.append)
    seal(folder)
    assert sorted(waited) == sorted([folder, *folder.rglob("*")])

    def full(place):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "_synchronize", full)
    with pytest.raises(OSError, match="No space left"):
        seal(folder)


def test_every_place_is_waited_for_and_a_disk_that_fails_is_an_error(tmp_path, monkeypatch):
    files = [tmp_path / str(number) for number in range(20)]
    for file in files:
        file.touch()
    waited, error = [], [None]

    def fsync(descriptor):
        waited.append(os.fstat(descriptor).st_ino)
        if error[0]:
            raise OSError(error[0], "the disk says no")

    monkeypatch.setattr(manifest.os, "fsync", fsync)
    manifest.synchronize([*files, tmp_path])
    assert sorted(waited) == sorted(place.stat().st_ino for place in [*files, tmp_path])
    error[0] = errno.EINVAL  # a file system that knows no fsync of folders
    manifest.synchronize([tmp_path])
    error[0] = errno.EIO
    with pytest.raises(OSError, match="the disk says no"):
        manifest.synchronize(files)
