"""What a record says of its command."""

import pytest

from benchmarks.suite import provenance
from benchmarks.suite.provenance import typed
from benchmarks.suite.records import read
from benchmarks.suite.runner import RESULTS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "python -m benchmarks peers"),
        (
            ["run", "pictures", "--peers", "/one/place", "--rounds", "3"],
            "python -m benchmarks peers run pictures --rounds 3",
        ),
        (["run", "--out=/a/place", "--peers=x"], "python -m benchmarks peers run"),
        (["run", "--only", "terminate: ours"], "python -m benchmarks peers run --only 'terminate: ours'"),
    ],
)
def test_a_command_is_as_it_was_typed_but_for_places_of_one_machine(arguments, said):
    assert typed("peers", arguments) == said


def test_every_published_record_says_its_command_and_its_commit():
    for path in sorted(RESULTS.glob("*.jsonl")):
        for record in read(path):
            assert record.experiment == path.stem
            assert record.command.startswith("python -m benchmarks"), path
            assert len(record.commit.removesuffix("+changes")) >= 7, path


def test_a_simulator_that_was_imported_is_named_with_its_version(monkeypatch):
    monkeypatch.setattr(provenance, "SIMULATORS", {"json": "pytest", "no_simulator": "hypothesis"})
    assert provenance.versions()["pytest"] == pytest.__version__ and "hypothesis" not in provenance.versions()


def test_every_published_run_has_learned_from_all_its_steps():
    short = []
    for path in sorted(RESULTS.glob("*.jsonl")):
        for one in read(path):
            asked, took = one.cell.get("total_steps"), (one.result or {}).get("steps")
            if asked and "library" in one.cell and took is not None and took < asked:
                short.append((path.stem, one.cell["name"], one.seed, took))
    assert short == []
