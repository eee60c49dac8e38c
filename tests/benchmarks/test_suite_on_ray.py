"""On a cluster of two machines, which this test starts, tasks measure what they measure here."""

import socket
from dataclasses import replace

import pytest

from benchmarks.suite.finding import load
from benchmarks.suite.tasks import due, measure
from pg_agents.errors import UserError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MINE = """'''What does a policy's first action look like?'''
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch

from beside import FACTOR


@dataclass(frozen=True)
class Cell:
    name: str
    folder: str
    deaths: int = 0
    fails: bool = False


CELLS = [Cell("lives", HERE), Cell("dies once", HERE, 1), Cell("fails", HERE, 0, True)]
SEEDS = range(3)


def run(cell, seed):
    tries = Path(cell.folder, f"{cell.name}-{seed}")
    with tries.open("a") as file:
        file.write("tried\\n")
    if len(tries.read_text().splitlines()) <= cell.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.fails:
        raise ValueError(f"no luck with {seed}")
    return {"value": FACTOR * torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()[0]}
"""


@pytest.fixture(scope="module")
def address():
    """Start two machines with a processor each."""
    from ray.cluster_utils import Cluster

    how = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    machines = Cluster(initialize_head=True, head_node_args=how)
    machines.add_node(**{name: value for name, value in how.items() if name != "include_dashboard"})
    yield machines.address
    ray.shutdown()
    machines.shutdown()


def tasks_of(folder):
    (folder / "beside.py").write_text("FACTOR = 3\n")
    (folder / "mine.py").write_text(MINE.replace("HERE", repr(str(folder))))
    experiment = load(str(folder / "mine.py"))
    return due(experiment, experiment.cells, experiment.seeds, (), ("typed", "commit"))


def carried_out(address, tasks):
    """Return the records, by cell and seed, and the tracebacks."""
    from benchmarks.suite.on_ray import cluster

    done = []
    cluster(address)(tasks, None, done.append)
    assert sorted(map(repr, (one.task for one in done))) == sorted(map(repr, tasks))
    return {(r.cell["name"], r.seed): r for one in done for r in one.records}, "".join(
        t for d in done for t in d.traces
    )


def comparable(record):
    return replace(record, seconds=None, peak_memory_mib=None, started=None)


def test_records_are_those_of_one_process_and_what_a_lost_one_did_is_done_again(address, tmp_path):
    tasks = [task for task in tasks_of(tmp_path) if task.cell["name"] == "lives" or task.seeds == (2,)]
    there, traces = carried_out(address, tasks)
    here = {(r.cell["name"], r.seed): r for task in tasks for r in measure(task).records}
    assert {place: comparable(record) for place, record in there.items()} == {
        place: comparable(record) for place, record in here.items()
    }
    assert [r.error for r in there.values() if r.error] == ["ValueError: no luck with 2"]
    assert "ValueError: no luck with 2" in traces
    assert (tmp_path / "dies once-2").read_text().count("tried") == 3  # there twice and here once


def test_what_kills_every_process_is_a_failure(tmp_path, monkeypatch):
    from benchmarks.suite.on_ray import _done

    def crashed(reference):
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr("ray.get", crashed)
    task = tasks_of(tmp_path)[0]
    done = _done(None, task)
    assert done.task == task and [r.error.split(":")[0] for r in done.records] == ["ProcessDied"] * len(task.seeds)


def test_no_cluster_is_said(tmp_path):
    from benchmarks.suite.on_ray import cluster

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UserError, match=f"ray-address: no cluster answers at '{address}'"):
            cluster(address)(tasks_of(tmp_path), None, list)
