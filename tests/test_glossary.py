"""Every identifier in the glossary exists in the code."""

import re

import pytest
from support.names import ROOT, defined_names, members

TEXT = (ROOT / "docs" / "glossary.md").read_text()
ROWS = [
    [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith(("| term", "|---"))
]
NAMES = [(row[0], name) for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])]
GYMNASIUM = {"VectorEnv"}


def exists(name):
    """Return whether a class has such a member, or the code defines such a name."""
    owner, _, member = name.rpartition(".")
    return member in members().get(owner, ()) if owner else name in defined_names() | GYMNASIUM


@pytest.mark.parametrize(("term", "name"), NAMES, ids=lambda value: value)
def test_identifiers_exist(term, name):
    assert exists(name), f"{term}: there is no {name}"


@pytest.mark.parametrize("name", ["Rollout.live", "Stream", "no_such_name"])
def test_a_name_that_does_not_exist_is_noticed(name):
    assert not exists(name)


def test_rows_are_whole():
    assert len(ROWS) >= 60
    for row in ROWS:
        assert len(row) == 5 and row[0] and row[2] and row[4].endswith("."), row
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_readers_are_led_to_it():
    assert "docs/glossary.md" in (ROOT / "README.md").read_text()
    assert "docs/glossary.md" in (ROOT / "CONTRIBUTING.md").read_text()
