"""What a result says of its command."""

import json

import pytest

from benchmarks.records import RESULTS, typed


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


def test_every_result_says_its_command_and_its_commit():
    for file in sorted(RESULTS.glob("*.json")):
        content = json.loads(file.read_text())
        assert content["command"].startswith("python -m benchmarks"), file
        assert len(content["commit"].removesuffix("+changes")) >= 7, file
