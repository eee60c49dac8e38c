"""A process that saves is killed, at every step and at any time: the former agent loads, or the new one, whole.

Each test has a control arm: a writer that is not ours, killed in the same way, loses the agent.
"""

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from safetensors.torch import save_file
from support.forks import CONTEXT, at_line, in_a_fork, lines_of

import pg_agents as pg
from pg_agents import folders, locks, manifest, tensor_files
from pg_agents.agents.common import files

OURS = lines_of(folders, locks, manifest, tensor_files, files)
FULL = pytest.mark.slow
WAYS = ["exchange", "two renames"]


@pytest.fixture(scope="module")
def agents():
    return [pg.A2C.for_env(gym.make("CartPole-v1"), seed=seed, hidden=(8,)) for seed in (0, 1)]


@pytest.fixture(scope="module")
def large():
    """Two agents of 4 MiB."""
    return [pg.A2C.for_env(gym.make("CartPole-v1"), seed=seed, hidden=(750, 750)) for seed in (0, 1)]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)


def which(path, agents):
    """Return the number of the agent that loads from `path`, bit for bit; None: no whole one does."""
    try:
        found = pg.load(path)
    except pg.SavedAgentError:
        return None
    for number, agent in enumerate(agents):
        mine, theirs = agent.state_dict(), found.state_dict()
        if all(torch.equal(mine[name], theirs[name]) for name in mine) and mine.keys() == theirs.keys():
            return number
    return None


def write_in_place(agent, path):
    """A control arm: the files are overwritten where they are."""
    path.mkdir(exist_ok=True)
    (path / "agent.json").write_text((path.parent / "description").read_text())
    with (path / "agent.safetensors").open("wb") as file:
        for part in (path.parent / "parameters").read_bytes().partition(b"}}"):
            file.write(part)
            file.flush()


def write_with_two_renames(agent, path):
    """A control arm: what `save` did before it exchanged folders."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        fresh, old = Path(folder) / "new", Path(folder) / "old"
        fresh.mkdir()
        save_file(agent.state_dict(), fresh / "agent.safetensors")
        (fresh / "agent.json").write_text((path.parent / "description").read_text())
        if path.exists():
            os.replace(path, old)
        os.replace(fresh, path)


def without_manifest(path):
    """Turn a saved agent into one of an earlier version."""
    (path / "manifest.json").unlink()
    text = (path / "agent.json").read_text()
    (path / "agent.json").write_text(text.replace(',\n    "manifest.json"', ""))
    shutil.copy(path / "agent.json", path.parent / "description")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("stride", [19, pytest.param(1, marks=FULL)])
def test_a_writer_that_is_killed_at_any_step_leaves_one_of_the_two_agents(tmp_path, agents, stride, record_property):
    path = tmp_path / "agent"
    agents[0].save(path)
    steps = in_a_fork(lambda: at_line(-1, OURS, lambda: agents[1].save(path)))
    assert steps > 100 and which(path, agents) == 1
    agents[0].save(path)
    found = []
    for step in range(0, steps, stride):
        assert in_a_fork(lambda step=step: at_line(step, OURS, lambda: agents[1].save(path))) is None  # it was killed
        found.append(which(path, agents))
        agents[0].save(path)
        assert which(path, agents) == 0 and os.listdir(tmp_path) == ["agent"]
    assert None not in found and found == sorted(found) and {*found} == {0, 1}
    record_property("kills at a line of the writer", len(found))


@pytest.mark.parametrize("stride", [19, pytest.param(1, marks=FULL)])
def test_a_first_save_that_is_killed_leaves_the_agent_or_nothing(tmp_path, agents, stride):
    path = tmp_path / "agent"
    steps = in_a_fork(lambda: at_line(-1, OURS, lambda: agents[1].save(path)))
    for step in range(0, steps, stride):
        shutil.rmtree(path, ignore_errors=True)
        in_a_fork(lambda step=step: at_line(step, OURS, lambda: agents[1].save(path)))
        assert which(path, agents) == 1 if path.exists() else True
        folders.sweep(tmp_path)
        assert os.listdir(tmp_path) in ([], ["agent"])


def test_control_the_writer_with_two_renames_loses_both_agents_and_leaves_its_folder(tmp_path, agents):
    path = tmp_path / "agent"
    agents[0].save(path)
    without_manifest(path)
    shutil.copytree(path, tmp_path / "kept")
    here = {__file__}
    steps = in_a_fork(lambda: at_line(-1, here, lambda: write_with_two_renames(agents[1], path)))
    found = []
    for step in range(steps):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "kept", path)
        in_a_fork(lambda step=step: at_line(step, here, lambda: write_with_two_renames(agents[1], path)))
        found.append(which(path, agents))
    assert found.count(None) == 1 and {*found} == {0, 1, None}  # between the renames
    assert any(name.startswith(".agent-") for name in os.listdir(tmp_path))


def killed_at_random(save, path, agents, enough):
    """Kill processes that do nothing but `save` at random, until `enough(found, inside)`.

    Returns:
        What loads each time (`found`), and how many of the kills left a temporary folder (`inside`).
    """
    random_numbers, found, inside = random.Random(0), [], 0
    start = time.perf_counter()
    in_a_fork(save)
    duration = time.perf_counter() - start
    while not enough(found, inside):
        began = CONTEXT.Event()

        def forever(began=began):
            torch.set_num_threads(1)
            began.set()
            while True:
                save()

        process = CONTEXT.Process(target=forever)
        process.start()
        assert began.wait(60)  # a busy machine begins late, and a kill before the first save shows nothing
        time.sleep(random_numbers.uniform(0, 3 * duration))
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        inside += any(name.startswith(".pg_agents-") for name in os.listdir(path.parent))
        found.append(which(path, agents))
    return found, inside


def record(record_property, found):
    record_property("kills at random", len(found))
    record_property("agents lost", found.count(None))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=FULL)])
def test_a_writer_that_is_killed_at_any_time_leaves_one_of_the_two_agents(tmp_path, large, kills, record_property):
    path = tmp_path / "agent"
    large[0].save(path)
    assert sum(file.stat().st_size for file in path.iterdir()) >= 4 << 20

    def save():
        for agent in large:
            agent.save(path)

    found, inside = killed_at_random(
        save, path, large, lambda found, inside: inside >= kills or len(found) >= 10 * kills
    )
    record(record_property, found)
    record_property("of them inside a save", inside)
    assert None not in found and inside >= kills
    large[0].save(path)
    assert which(path, large) == 0 and os.listdir(tmp_path) == ["agent"]


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=FULL)])
def test_control_a_writer_that_overwrites_in_place_loses_the_agent(tmp_path, large, kills, record_property):
    path = tmp_path / "agent"
    large[0].save(path)
    without_manifest(path)
    shutil.copy(path / "agent.safetensors", tmp_path / "parameters")
    found, _ = killed_at_random(
        lambda: write_in_place(large[0], path), path, large, lambda found, _: len(found) >= kills
    )
    record(record_property, found)
    assert found.count(None) >= 1
