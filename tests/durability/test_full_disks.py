"""Where an agent cannot be saved, the former one stays, one sentence says why, and no temporary file is left."""

import os
import resource
import shutil

import gymnasium as gym
import pytest
import torch
from support.forks import in_a_fork, mount_small

import pg_agents as pg


@pytest.fixture(scope="module")
def agents():
    return [pg.A2C.for_env(gym.make("CartPole-v1"), seed=seed, hidden=(24,)) for seed in (0, 1)]


def same(agent, path):
    loaded = pg.load(path).state_dict()
    return all(torch.equal(value, loaded[name]) for name, value in agent.state_dict().items())


def refused(agent, path):
    """Return the sentence with which saving ends; None: the agent was saved."""
    try:
        agent.save(path)
    except OSError as error:
        return str(error)
    return None


@pytest.mark.parametrize("limit", [0, 1, 8, 60, 100, 300, 500, 1000, 1500, 1900])
def test_files_that_cannot_grow_leave_the_former_agent(tmp_path, agents, limit, record_property):
    path = tmp_path / "agent"
    agents[0].save(path)
    assert limit < max(file.stat().st_size for file in path.iterdir())

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return refused(agents[1], path)

    assert in_a_fork(work).startswith(f"path: {path} cannot be written (")
    assert same(agents[0], path) and os.listdir(tmp_path) == ["agent"]
    agents[1].save(path)
    assert same(agents[1], path)
    record_property("points at which files cannot grow", 1)


def test_control_a_writer_that_overwrites_in_place_loses_the_agent(tmp_path, agents, record_property):
    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        (path / "agent.safetensors").write_bytes(parameters)

    path = tmp_path / "agent"
    agents[0].save(path)
    parameters = (path / "agent.safetensors").read_bytes()
    assert isinstance(in_a_fork(work), OSError)
    with pytest.raises(pg.SavedAgentError, match="is damaged"):
        pg.load(path)
    record_property("agents lost", 1)


def test_a_full_disk_leaves_the_former_agent(tmp_path, agents, record_property):
    def work():
        if not mount_small(tmp_path):
            return None
        path, found = tmp_path / "agent", []
        agents[0].save(path)
        for free in range(0, 32, 4):  # KiB
            (tmp_path / "filler").write_bytes(b"")
            left = os.statvfs(tmp_path).f_bavail * 4096 - free * 1024
            (tmp_path / "filler").write_bytes(b"x" * left)
            found.append((refused(agents[1], path), same(agents[0], path), sorted(os.listdir(tmp_path))))
        (tmp_path / "filler").unlink()
        return found, refused(agents[1], path), same(agents[1], path)

    answer = in_a_fork(work)
    if answer is None:
        pytest.skip("mounting a small disk is not allowed here")
    found, then, saved = answer
    said = f"path: {tmp_path / 'agent'} cannot be written (No space left on device); what was saved there before is as "
    for error, stays, left in found:
        assert (error or said).startswith(said[:60]) and "pace left on device" in (error or said)
        assert stays == (error is not None) and left == ["agent", "filler"]
    assert found[0][0].startswith(said) and then is None and saved
    record_property("saves on a full disk", len(found))


def test_a_disk_that_cannot_be_written_leaves_the_former_agent(tmp_path, agents):
    def work():
        if not mount_small(tmp_path, "1m"):
            return None
        agents[0].save(tmp_path / "agent")
        os.system(f"mount -o remount,ro {tmp_path}")
        return refused(agents[1], tmp_path / "agent"), same(agents[0], tmp_path / "agent"), os.listdir(tmp_path)

    answer = in_a_fork(work)
    if answer is None:
        pytest.skip("mounting a small disk is not allowed here")
    assert "agent cannot be written (Read-only file system)" in answer[0] and answer[1:] == (True, ["agent"])


def test_a_path_below_a_file_is_refused_in_one_sentence(tmp_path, agents):
    (tmp_path / "file").write_text("mine")
    for name in ("file/agent", "file/deep/agent"):
        error = refused(agents[0], tmp_path / name)
        assert error.startswith(f"path: {tmp_path / name} cannot be written (") and "\n" not in error
    assert (tmp_path / "file").read_text() == "mine" and os.listdir(tmp_path) == ["file"]


def test_a_folder_that_vanishes_while_it_is_written_is_one_sentence(tmp_path, agents, monkeypatch):
    for gone in (tmp_path / "run", tmp_path / "run" / "agent"):
        agents[0].save(tmp_path / "run" / "agent")
        monkeypatch.setattr(
            agents[1].policy, "write_files", lambda folder, gone=gone: shutil.rmtree(gone), raising=False
        )
        error = refused(agents[1], tmp_path / "run" / "agent")
        if gone.name == "run":
            assert error.startswith(f"path: {tmp_path / 'run' / 'agent'} cannot be written (No such file or directory")
            assert os.listdir(tmp_path) == []
        else:
            assert error is None and same(agents[1], tmp_path / "run" / "agent")
