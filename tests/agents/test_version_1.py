"""Agents that version 1 saved load still and answer as they did; how their folders were made: see version_1.py.

No folder gives other numbers by design. What changed since then and could have changed them: pictures of rank 2 became
pictures (what was saved before has its networks made as before), and Box actions are sampled in units of half the box's
width and placed in it in 64 bits (the actions that come out are the same).
"""

import json

import numpy as np
import pytest
from version_1 import CASES, FIXTURES, answers, complete, read

import pg_agents as pg


def expected(name):
    return json.loads((FIXTURES / name / "expected.json").read_text())


def assert_answers(agent, name):
    """Compare what `agent` answers with what version 1 did."""
    said = expected(name)
    found = answers(agent, [read(one) for one in said["observations"]])
    for what, numbers in said["answers"].items():
        np.testing.assert_allclose(found[what], numbers, rtol=1e-6, atol=1e-6, err_msg=f"{name}: {what}")


@pytest.mark.parametrize("name", CASES)
def test_an_agent_of_version_1_answers_as_it_did_and_is_saved_as_it_was(name, tmp_path):
    folder = complete(FIXTURES / name, tmp_path / "complete")
    agent = pg.load(folder)
    assert_answers(agent, name)
    agent.save(tmp_path / "again")
    before, after = (json.loads((one / "agent.json").read_text()) for one in (folder, tmp_path / "again"))
    assert after["agent"] == before["agent"] and after["arguments"].items() >= before["arguments"].items()
    assert_answers(pg.load(tmp_path / "again"), name)


def test_there_is_a_folder_for_each_case_and_every_agent_and_its_answers_depend_on_what_is_seen():
    assert {folder.name for folder in FIXTURES.iterdir()} == set(CASES)
    assert {agent for agent, _, _ in CASES.values()} >= set(pg.AGENTS)
    for name in CASES:
        said = expected(name)["answers"]
        numbers = np.array(said["log_probs"])[:, 0] if said["log_probs"] else np.array(said["greedy"])
        assert len(np.unique(numbers.round(5))) > 1, f"{name}: any observation is answered by {numbers}"
