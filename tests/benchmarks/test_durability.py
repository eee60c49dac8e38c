"""The faults of the durability benchmark against writers, readers and trainings that are known."""

import json
import os
import signal
import sys
import time
from dataclasses import replace

import pytest
import torch
from support.loads import at_this_load

from benchmarks import peers
from benchmarks.durability._faults import running
from benchmarks.durability._faults.cells import CELLS, FULL, Cell
from benchmarks.durability.faults import good

sys.path.insert(0, str(running.WORKERS))
import faults
import serve
import side_ours
import trainings
from forks import Fork

sys.path.remove(str(running.WORKERS))

OLD, NEW = b"old" * 1000, b"new" * 1000


class InPlace:
    """A writer without protection: it takes 0.1 seconds, in which the file holds less than everything."""

    def content(self, number):
        return OLD if number == 1 else NEW

    def save(self, number, folder):
        with (folder / "file").open("wb", buffering=0) as file:
            for start in range(0, len(OLD), 300):
                file.write(self.content(number)[start : start + 300])
                time.sleep(0.01)

    def load(self, folder):
        content = (folder / "file").read_bytes()
        if len(content) != len(OLD):
            raise ValueError("it is cut off")
        return content.hex()


class Safe(InPlace):
    """A writer that writes beside the file and renames, and a reader that knows what may be there."""

    def save(self, number, folder):
        beside = folder / "beside"
        beside.mkdir(exist_ok=True)
        super().save(number, beside)
        os.replace(beside / "file", folder / "file")

    def load(self, folder):
        content = super().load(folder)
        if bytes.fromhex(content) not in (OLD, NEW):
            raise LookupError("it is damaged")
        return content


# -- the killer --------------------------------------------------------------------------------------------------------
def test_a_writer_without_protection_is_caught_by_the_killer(tmp_path):
    found = faults.kill(InPlace(), tmp_path, 8, 0)
    assert sum(found["found"].values()) == 8 and found["inside"] >= 4 and found["found"]["refused: ValueError"] >= 4
    assert found["save_seconds"] > 0.1 and found["bytes"] == len(OLD)


def test_a_writer_that_renames_passes_the_killer(tmp_path):
    found = faults.kill(Safe(), tmp_path, 8, 0)
    assert {*found["found"]} <= {"old", "new"} and found["found"]["old"] and found["inside"] >= 4


def test_an_earlier_save_that_can_be_named_is_told_apart(tmp_path):
    class Beside(InPlace):
        def save(self, number, folder):
            (folder / str(number)).mkdir(exist_ok=True)
            super().save(number, folder / str(number))

        def load(self, folder):
            return super().load(max(folder.iterdir()))

        def load_earlier(self, folder):
            return super().load(folder / "1")

    found = faults.kill(Beside(), tmp_path, 4, 0)["found"]
    assert any(outcome.endswith("; the earlier one if it is named") for outcome in found)
    assert good("kill", found) == found.get("new", 0) + found.get("old", 0) < 4


def test_flipped_bits_are_believed_without_a_check_and_noticed_with_one(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    assert faults.flip(InPlace(), tmp_path / "one", 5, 0)["found"] == {"other values": 5}
    assert faults.flip(Safe(), tmp_path / "other", 5, 0)["found"] == {"refused: LookupError": 5}


def test_a_file_is_cut_off_at_every_tenth(tmp_path):
    class Lengths(InPlace):
        def load(self, folder):
            content = (folder / "file").read_bytes()
            if len(content) < len(OLD):
                raise {0: EOFError, len(OLD) // 2: LookupError}.get(len(content), ValueError)
            return content.hex()

    found = faults.truncate(Lengths(), tmp_path, 10, 0)["found"]
    assert found == {"refused: EOFError": 1, "refused: LookupError": 1, "refused: ValueError": 8}


def test_a_full_disk_costs_the_save_without_protection_alone(tmp_path):
    class Whole(InPlace):
        def save(self, number, folder):
            (folder / "file").write_bytes(self.content(number))

    class Aside(Safe):
        def save(self, number, folder):
            (folder / "beside").write_bytes(self.content(number))
            os.replace(folder / "beside", folder / "file")

    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    found = faults.full(Whole(), tmp_path / "one", 3, 0)
    assert found["found"] == {"refused: ValueError": 3} and found["said"] == {"refused: OSError": 3}
    found = faults.full(Aside(), tmp_path / "other", 3, 0)
    assert found["found"] == {"old": 3} and found["unnoticed"] == 0


def test_a_reader_that_crashes_hangs_or_exits_is_told_apart():
    assert Fork(lambda begin: os.kill(os.getpid(), signal.SIGKILL)).join().trouble() == "crashed: SIGKILL"
    assert Fork(lambda begin: time.sleep(60)).join(0.2).trouble() == "hung"
    assert Fork(lambda begin: sys.exit(3)).join().trouble() == "exited: 3"
    assert Fork(lambda begin: [0] * (1 << 40)).join().trouble() == "refused: MemoryError"
    assert Fork(lambda begin: "said").join().said == "said"


def test_what_saves_is_not_what_the_worker_holds(tmp_path):
    class Same(InPlace):
        def content(self, number):
            return OLD

    with pytest.raises(RuntimeError, match="what is saved twice is the same"):
        faults.Bench(Same(), tmp_path)


@pytest.mark.parametrize("saves, outcome, code", [(True, "something loads", "143"), (False, "nothing to load", "-15")])
def test_sigterm_ends_learning(tmp_path, monkeypatch, saves, outcome, code):
    monkeypatch.setattr(trainings.random.Random, "uniform", lambda self, low, high: 0.05)

    class Learns:
        def learn(self, folder, begin):
            def save(*_):
                (folder / "file").write_text("parameters")
                sys.exit(143)

            if saves:
                signal.signal(signal.SIGTERM, save)
            begin()
            time.sleep(60)

        def load(self, folder):
            return (folder / "file").read_text()

    found = trainings.terminate(Learns(), tmp_path, 2, 0)
    assert (
        found["found"] == {outcome: 2} and found["codes"] == {code: 2} and found["slowest_seconds"] < at_this_load(10)
    )


@pytest.mark.parametrize("end, outcome, alike", [("c", "equal", 2), ("d", "differs", 2), (None, "differs", 0)])
def test_trainings_that_go_on_are_held_beside_the_one_that_was_not_stopped(tmp_path, end, outcome, alike):
    class Trains:
        def whole(self, folder, seed):
            (folder / "half").write_text(f"{seed} b")
            return f"{seed} b c"

        def resumed(self, folder, seed):
            return f"{(folder / 'half').read_text()} {end or os.getpid()}"

    found = trainings.resume(Trains(), tmp_path, 2, 0)
    assert found == {"found": {outcome: 2}, "two_resumed_are_equal": alike}


def test_fingerprints_are_of_bits():
    one = torch.zeros(3)
    assert faults.fingerprint([("a", one)]) == faults.fingerprint([("a", torch.zeros(3))])
    others = [[("a", -one)], [("b", one)], [("a", one.double())], [("a", one[None])], [("a", one), ("b", one)]]
    assert len({faults.fingerprint(parts) for parts in [[("a", one)], *others]}) == 6
    assert dict(faults.flat({"x": [1, {"y": 2}]}, "z")) == {"z/x/0": 1, "z/x/1/y": 2}


def test_every_fault_has_its_number_of_times():
    assert serve.FAULTS.keys() == FULL.keys()


# -- sides -------------------------------------------------------------------------------------------------------------
def test_the_control_loses_what_it_saved_where_we_do_not(tmp_path):
    (tmp_path / "control").mkdir()
    control = faults.full(side_ours.Unprotected(False), tmp_path / "control", 4, 0)
    assert good("full", control["found"]) == 0
    assert faults.flip(side_ours.Unprotected(False), tmp_path, 3, 0)["found"] == {"other values": 3}
    ours = faults.full(side_ours.Saved(False), tmp_path / "control", 4, 0)
    assert ours["found"] == {"old": 4} and ours["unnoticed"] == 0


def cell_of(side, count=3):
    return Cell(f"kill: {side}, save", "kill", side, side, "save", count)


def test_a_side_is_a_script_that_answers_with_json(tmp_path, monkeypatch):
    answer = "import json, sys; print('hello'); print(json.dumps({'found': json.loads(sys.argv[1])}))"
    (tmp_path / "side_ours.py").write_text(answer)
    (tmp_path / "side_ill.py").write_text("raise LookupError('it is ill')")
    monkeypatch.setattr(running, "WORKERS", tmp_path)
    found = running.found_in(cell_of("ours"), 7, tmp_path)
    assert found == {"found": {"fault": "kill", "way": "save", "count": 3, "seed": 7}}
    with pytest.raises(FileNotFoundError, match="peers install"):
        running.found_in(cell_of("ill"), 0, tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    with pytest.raises(RuntimeError, match=r"(?s)kill: ill, save failed: .*it is ill"):
        running.found_in(cell_of("ill"), 0, tmp_path)
    (tmp_path / "side_ours.py").write_text('print(\'{"not_run": "it has no save"}\')')
    with pytest.raises(NotImplementedError, match="it has no save"):
        running.found_in(cell_of("ours"), 0, tmp_path)


def few(library, count):
    """The first cell that cuts files of a library off, a few times."""
    return replace(next(one for one in CELLS if (one.fault, one.library) == ("truncate", library)), count=count)


@pytest.mark.slow
def test_our_side_answers():
    found = running.found_in(few("pg_agents", 4), 0)
    assert good("truncate", found["found"]) == 4 and found["versions"]["torch"]


@pytest.mark.slow
@pytest.mark.skipif(not (peers.PEERS / "bin" / "python").exists(), reason="the peers are not installed")
@pytest.mark.parametrize("library", ["Stable-Baselines3", "TorchRL", "TRL"])
def test_a_peer_answers(library):
    found = running.found_in(few(library, 2), 0)
    assert sum(found["found"].values()) == 2 and json.dumps(found)
