"""Folders are whole or not there, and only what is ours is deleted."""

import os
import shutil
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest
from support.forks import in_a_fork

from pg_agents import folders, locks
from pg_agents.errors import SavedFilesError
from pg_agents.folders import MARKER, check_ours, read, restore, sweep, write, write_file
from pg_agents.locks import TAKEN, held, lock, release
from pg_agents.manifest import MANIFEST, verify

LEFTOVER = ".pg_agents-0123456789abcdef.tmp"


def filled(text):
    def fill(folder):
        (folder / "a").write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "b").write_text(2 * text)

    return fill


def text_of(path):
    verify(path)
    text = (path / "a").read_text()
    assert (path / "deep" / "b").read_text() == 2 * text
    return text


def leftover(parent, **texts):
    """Make what a killed writer leaves: new="text", and old_NAME="text" of the folder NAME."""
    folder = parent / LEFTOVER
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    for name, text in texts.items():
        write(parent / "aside" / "x", filled(text))
        place = folder / name.replace("_", "/")
        place.parent.mkdir(exist_ok=True)
        os.rename(parent / "aside" / "x", place)
        (parent / "aside").rmdir()
    return folder


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    if request.param == "two renames":
        system = SimpleNamespace(renameat2=lambda *names: -1)  # as where the file system cannot exchange folders
        monkeypatch.setattr(folders, "ctypes", SimpleNamespace(CDLL=lambda name: system))


@pytest.mark.usefixtures("way")
def test_a_folder_is_written_and_replaced_with_its_manifest(tmp_path):
    for text in ("one", "two", "three"):
        write(tmp_path / "above" / "x", filled(text))
        assert text_of(tmp_path / "above" / "x") == text
        assert os.listdir(tmp_path / "above") == ["x"]


@pytest.mark.usefixtures("way")
def test_whatever_fails_the_former_folder_stays_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path / "x", filled("one"))

    def failing(folder):
        (folder / "a").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "x", failing)
    rename = os.rename
    for failing_call in range(3):
        calls = []

        def once(*names, calls=calls, last=failing_call):
            calls.append(names)
            if len(calls) - 1 == last:
                raise OSError(5, "Input/output error")
            rename(*names)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", once)
            try:
                write(tmp_path / "x", filled("one"))
            except OSError as error:
                assert error.errno == 5
                said = f"path: {tmp_path / 'x'} cannot be written (Input/output error); what was saved there before is "
                assert str(error) == said + "as it was"
        assert text_of(tmp_path / "x") == "one" and os.listdir(tmp_path) == ["x"]


@pytest.mark.usefixtures("way")
def test_names_change_while_their_folder_is_held_and_a_former_folder_is_back_before_it_is_let_go(tmp_path, monkeypatch):
    """Whoever waits to hold the folder, as `read` does, finds the former folder or the new one."""
    seen, put, rename = [], folders._put, os.rename

    def held_here(*places):
        seen.append(lock(tmp_path) == TAKEN)
        put(*places)

    def refused(name, place):
        if name.name == folders.NEW:
            raise OSError(5, "Input/output error")
        rename(name, place)

    def let_go(descriptor):
        seen.append((tmp_path / "x").exists())
        release(descriptor)

    monkeypatch.setattr(folders, "_put", held_here)
    for text in ("one", "two"):
        write(tmp_path / "x", filled(text))
    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(locks, "release", let_go)
    with suppress(OSError):
        write(tmp_path / "x", filled("two"))
    assert len(seen) == 6 and all(seen) and text_of(tmp_path / "x") == "two"


def test_a_folder_is_told_from_another_by_its_number_and_the_time_of_its_change():
    """A number is used again once its folder is deleted, and two folders may have changed at the same tick."""

    def identity(number, time):
        return folders._identity(SimpleNamespace(stat=lambda: SimpleNamespace(st_ino=number, st_ctime_ns=time)))

    assert len({identity(1, 1), identity(1, 2), identity(2, 1)}) == 3


def test_what_is_not_ours_is_not_replaced(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis").write_text("mine")
    write(tmp_path / "beside", filled("one"))
    (tmp_path / "beside" / "deep" / "notes").write_text("mine")
    for name, said in (("file", "is no folder"), ("folder", "holds 'thesis'"), ("beside", "holds 'deep/notes'")):
        with pytest.raises(SavedFilesError, match=f"{name} .*{said}"):
            write(tmp_path / name, filled("two"))
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", filled("two"))
    assert (tmp_path / "beside" / "deep" / "notes").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["beside", "empty", "file", "folder"]


def test_what_appears_while_a_folder_is_written_is_not_replaced(tmp_path):
    write(tmp_path / "x", filled("one"))

    def fill(folder):
        filled("two")(folder)
        (tmp_path / "x" / "notes").write_text("mine")

    with pytest.raises(SavedFilesError, match="holds 'notes'"):
        write(tmp_path / "x", fill)
    assert (tmp_path / "x" / "notes").read_text() == "mine" and text_of(tmp_path / "x") == "one"


def test_what_was_between_two_renames_is_put_back(tmp_path):
    for finder in (restore, lambda path: sweep(path.parent), lambda path: read(path, text_of)):
        leftover(tmp_path, old_x="one", new="two")
        finder(tmp_path / "x")
        assert text_of(tmp_path / "x") == "one" and os.listdir(tmp_path) == ["x"]
        shutil.rmtree(tmp_path / "x")
    leftover(tmp_path, old_x="one", new="two")
    write(tmp_path / "y", filled("three"))
    assert text_of(tmp_path / "x") == "one" and sorted(os.listdir(tmp_path)) == ["x", "y"]


def test_leftovers_do_not_replace_what_is_there(tmp_path):
    write(tmp_path / "x", filled("two"))
    leftover(tmp_path, old_x="one")
    restore(tmp_path / "x")
    restore(tmp_path / "nothing")
    restore(tmp_path / "nowhere" / "x")
    assert sorted(os.listdir(tmp_path)) == [LEFTOVER, "x"]
    sweep(tmp_path)
    assert text_of(tmp_path / "x") == "two" and os.listdir(tmp_path) == ["x"]


def test_a_former_folder_is_put_back_in_the_place_of_an_empty_one(tmp_path):
    (tmp_path / "x").mkdir()
    leftover(tmp_path, old_x="one")
    sweep(tmp_path)
    assert text_of(tmp_path / "x") == "one" and os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("entries", [["notes"], [MARKER, "notes"], ["new"], [MARKER, "new", "old", ".hidden"]], ids=str)
def test_folders_that_only_look_like_leftovers_are_not_touched(tmp_path, entries):
    (tmp_path / LEFTOVER).mkdir()
    for name in entries:
        (tmp_path / LEFTOVER / name).write_text("mine")
    sweep(tmp_path)
    write(tmp_path / "x", filled("one"))
    assert sorted(os.listdir(tmp_path / LEFTOVER)) == sorted(entries)


def test_other_names_and_links_are_not_touched(tmp_path):
    elsewhere = leftover(tmp_path / "elsewhere", new="one")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / LEFTOVER).symlink_to(elsewhere)
    for name in (".pg_agents-0123.tmp", ".pg_agents-0123456789abcdeg.tmp", "pg_agents-0123456789abcdef.tmp", "x.tmp"):
        (tmp_path / "here" / name).mkdir()
        (tmp_path / "here" / name / MARKER).touch()
    before = sorted(os.listdir(tmp_path / "here"))
    sweep(tmp_path / "here")
    assert sorted(os.listdir(tmp_path / "here")) == before and (elsewhere / "new" / MANIFEST).exists()


def test_a_folder_that_a_living_writer_fills_is_not_swept(tmp_path):
    inside, over = threading.Event(), threading.Event()

    def slow(folder):
        filled("slow")(folder)
        inside.set()
        assert over.wait(60)

    writer = threading.Thread(target=write, args=(tmp_path / "x", slow))
    writer.start()
    assert inside.wait(60)
    in_a_fork(lambda: sweep(tmp_path))
    sweep(tmp_path)
    write(tmp_path / "x", filled("fast"))
    assert text_of(tmp_path / "x") == "fast" and len(os.listdir(tmp_path)) == 2
    over.set()
    writer.join(60)
    assert text_of(tmp_path / "x") == "slow" and os.listdir(tmp_path) == ["x"]


@pytest.mark.usefixtures("way")
def test_many_writers_and_readers_of_one_folder_see_whole_ones(tmp_path):
    write(tmp_path / "x", filled("start"))
    errors, stop = [], threading.Event()

    def writes(name):
        try:
            for count in range(8):
                write(tmp_path / "x", filled(f"{name} {count}"))
        except BaseException as error:
            errors.append(error)

    def reads():
        try:
            while not stop.is_set():
                read(tmp_path / "x", text_of)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=writes, args=(name,)) for name in ("one", "two", "three")]
    readers = [threading.Thread(target=reads) for _ in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join(60)
    stop.set()
    for thread in readers:
        thread.join(60)
    assert not errors and text_of(tmp_path / "x").endswith("7") and os.listdir(tmp_path) == ["x"]


def test_what_is_replaced_is_looked_at_while_no_other_writer_changes_names(tmp_path):
    holders = []
    write(tmp_path / "x", filled("one"), check=lambda path: holders.append(lock(path.parent)))
    assert holders == [TAKEN, TAKEN]


def test_a_former_folder_is_not_put_back_where_the_next_writer_has_moved_the_new_one(tmp_path, monkeypatch):
    """Where folders cannot be exchanged, there is none between two renames; the writer before may be deleting then."""
    write(tmp_path / "x", filled("one"))
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    finish = folders._finish

    def late(folder):
        if (tmp_path / "x").exists():
            os.rename(tmp_path / "x", tmp_path / "aside")
        finish(folder)
        assert not (tmp_path / "x").exists()
        os.rename(tmp_path / "aside", tmp_path / "x")

    monkeypatch.setattr(folders, "_finish", late)
    write(tmp_path / "x", filled("two"))
    assert text_of(tmp_path / "x") == "two"


def test_a_temporary_folder_that_its_writer_deletes_meanwhile_stops_nobody(tmp_path, monkeypatch):
    listed = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda folder: [*listed(folder), LEFTOVER] if folder == tmp_path else listed(folder)
    )
    monkeypatch.setattr(folders.Path, "is_dir", lambda path: path.name == LEFTOVER or path.exists())
    write(tmp_path / "x", filled("one"))
    assert text_of(tmp_path / "x") == "one"


def test_a_reader_reads_anew_when_the_folder_is_replaced_meanwhile(tmp_path):
    write(tmp_path / "x", filled("one"))
    seen = []

    def reader(path):
        first = (path / "a").read_text()
        if not seen:
            write(path, filled("two"))
        seen.append((first, (path / "deep" / "b").read_text()))
        return seen[-1]

    assert read(tmp_path / "x", reader) == ("two", "twotwo") and seen[0] == ("one", "twotwo")


def test_a_reader_that_fails_fails_once(tmp_path):
    write(tmp_path / "x", filled("one"))
    calls = []
    with pytest.raises(ZeroDivisionError):
        read(tmp_path / "x", lambda path: calls.append(path) or 1 / 0)
    assert len(calls) == 1


def test_a_name_as_long_as_the_system_allows_and_a_link_are_written(tmp_path):
    write(tmp_path / ("x" * 255), filled("one"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("one", "two"):
        write(tmp_path / "link", filled(text))
        assert (tmp_path / "link").is_symlink() and text_of(tmp_path / "real") == text


def test_file_systems_without_locks_are_written_and_their_leftovers_kept(tmp_path, monkeypatch):
    leftover(tmp_path, new="one")
    for module in (folders, locks):
        monkeypatch.setattr(module, "lock", lambda folder: None)
    for text in ("one", "two"):
        write(tmp_path / "x", filled(text))
    assert text_of(tmp_path / "x") == "two" and sorted(os.listdir(tmp_path)) == [LEFTOVER, "x"]


def test_a_writer_that_is_kept_waiting_gives_up_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with held(tmp_path), pytest.raises(OSError, match="cannot be written .another process has held"):
        write(tmp_path / "x", filled("one"))
    write(tmp_path / "x", filled("one"))
    check_ours(tmp_path / "x")


def test_a_folder_and_a_file_are_in_their_place_once_the_disk_has_them_and_the_names_after(tmp_path, monkeypatch):
    waited = []

    def wait(places):
        waited.append([(place, place.exists(), (tmp_path / "x").exists(), file.exists()) for place in places])

    file = tmp_path / "y"
    monkeypatch.setattr(folders, "synchronize", wait)
    write(tmp_path / "x", filled("one"))
    assert waited == [[(tmp_path, True, True, False)]]
    write_file(file, "text ä")
    write_file(file, b"bytes")
    ((fresh, there, _, placed),), ((parent, *_, replaced),) = waited[1:3]
    assert there and not placed and fresh.parent == parent == tmp_path and replaced
    assert len(waited) == 5 and file.read_bytes() == b"bytes" and os.listdir(tmp_path) in (["x", "y"], ["y", "x"])


def test_a_file_that_cannot_be_written_leaves_the_former_one_alone(tmp_path, monkeypatch):
    def full(places):
        raise OSError(28, "No space left on device")

    write_file(tmp_path / "y", "former")
    monkeypatch.setattr(folders, "synchronize", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "y", "new")
    assert (tmp_path / "y").read_text() == "former" and os.listdir(tmp_path) == ["y"]
