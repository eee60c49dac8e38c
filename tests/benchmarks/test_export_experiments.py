"""The experiments on exported policies: what their tables say of what was measured."""

from types import SimpleNamespace

import numpy as np
from gymnasium.spaces import Box, Discrete

import pg_agents as pg
from benchmarks.correctness import export
from benchmarks.correctness._export.beside import difference, far_from_uniform, graph_runner
from benchmarks.speed import one_action
from pg_agents.export.graph import Graph


def record(name, result):
    return SimpleNamespace(cell={"name": name}, seed=0, result=result, error=None, seconds=1.0)


def test_differences_are_counted():
    """A runner whose logits are 1 off, and whose first row takes another action, is found to be."""
    agent = far_from_uniform(pg.PPO.for_spaces(Box(-1, 1, (3,)), Discrete(3)))
    graph = Graph(agent.policy, *agent.spaces)

    def wrong(arrays):
        found = dict(graph_runner(graph)(arrays))
        found["action"][0] = (found["action"][0] + 1) % 3
        return found | {"logits": found["logits"] + np.float32(1)}

    found = difference(agent, graph, wrong, rows=10, steps=3)
    assert (found.observations, found.equal) == (30, 27) and 0.999 < found.parameters < 1.001


def test_tables_have_a_row_for_each_cell():
    side = {"observations": 10_000, "equal": 10_000, "parameters": 3e-7, "memory": 0.0}
    measured = [record("table", {"greedy": side, "sampled": side | {"equal": 9_999, "memory": 2e-6}})]
    first, *others = export.table(measured).splitlines()[2:]
    assert first == "| table | 3e−7 | 2e−6 | 10,000 of 10,000 | 9,999 of 10,000 |"
    assert len(others) == len(export.CELLS) - 1 and all("missing" in line for line in others)
    assert export.numbers(measured) == {"largest": "2e−6"} and export.numbers([]) == {}


def test_calls_are_timed_in_turns():
    called = []
    sides = {name: lambda name=name: called.append(name) for name in ("act", "onnxruntime")}
    found = one_action.measured(sides, one_action.Cell("batch/1", 1, calls=2, rounds=3))
    assert called == [*["onnxruntime"] * 2, *["act"] * 4, *["onnxruntime"] * 4, *["act"] * 4, *["onnxruntime"] * 2][:16]
    assert set(found) == {"wall", "clock"} and all(value >= 0 for side in found.values() for value in side.values())
    text = one_action.table([record("batch/1", found | {"load": 1.5})])
    assert "| batch/1 | `act` |" in text and "batch/64 | missing" in text
    assert set(one_action.numbers([record("batch/1", found)])) == {"act", "onnxruntime"}
