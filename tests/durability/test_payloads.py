"""Files that would run code for a careless reader are refused by ours, which runs none of it.

Each control arm reads the same payload with the function that it was made for, and leaves its mark.
"""

import json
import os
import pickle
import shutil
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from support.small_runs import CONTROL, go

import pg_agents as pg
from pg_agents.checkpoints.store import newest_good, read_checkpoint
from pg_agents.cli import main
from pg_agents.manifest import seal

MARK = "ran"
EXPRESSION = f"__import__('pathlib').Path('{MARK}').touch()"
SPEC = {"id": "X-v0", "entry_point": "os:system", "kwargs": {"command": f"touch {MARK}"}}


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {MARK}",)


def whole_spec():
    return json.dumps(json.loads(gym.spec("CartPole-v1").to_json()) | SPEC | {"additional_wrappers": []})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    go(CONTROL, folder)
    return folder


@pytest.fixture
def run(folder, whole):
    """A copy of a run, in the folder in which we stand."""
    return Path(shutil.copytree(whole, folder / "r"))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def checkpoint_of(run):
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def pickled(run):
    (run / "agent" / "agent.safetensors").write_bytes(pickle.dumps(Bomb()))


def zipped(run):
    torch.save(Bomb(), run / "agent" / "agent.safetensors")


def pickled_optimizer(run):
    (checkpoint_of(run) / "optimizer.safetensors").write_bytes(pickle.dumps(Bomb()))


def pickled_state(run):
    (checkpoint_of(run) / "state.json").write_bytes(pickle.dumps(Bomb()))


def evaluated(run):
    edit(run / "agent" / "agent.json", arguments={"learning_rate": EXPRESSION})


def evaluated_arguments(run):
    edit(run / "config.json", env_args={"render_mode": EXPRESSION})


def specified(run):
    edit(run / "config.json", env=whole_spec())


def specified_arguments(run):
    edit(run / "config.json", env="CartPole-v1", env_args=SPEC)


def elsewhere(run):
    shutil.move(run / "agent" / "agent.safetensors", run / "stolen")
    edit(run / "agent" / "agent.json", files=["agent.json", "../stolen", "manifest.json"])


def linked(run):
    shutil.move(run / "agent" / "agent.safetensors", run / "stolen")
    (run / "agent" / "agent.safetensors").symlink_to(run / "pipe")
    os.mkfifo(run / "pipe")


PAYLOADS = (
    pickled, zipped, pickled_optimizer, pickled_state, evaluated, evaluated_arguments, specified, specified_arguments,
    elsewhere, linked,
)  # fmt: skip


@pytest.mark.parametrize("sealed", [False, True], ids=["", "with a manifest of its own"])
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.filterwarnings("ignore")
def test_no_payload_runs(run, payload, sealed, capsys, record_property):
    payload(run)
    if sealed and payload is not linked:  # to seal it would wait for the pipe
        seal(run / "agent")
        seal(checkpoint_of(run))
    damaged = payload in (pickled_optimizer, pickled_state)
    if damaged:
        with pytest.raises(pg.SavedFilesError, match="is damaged"):
            read_checkpoint(checkpoint_of(run))
        assert newest_good(run / "checkpoints")[1]
    else:
        code, said = main(["evaluate", "r", "--episodes", "1"]), capsys.readouterr().err
        assert code == (0 if payload is evaluated_arguments else 2)  # a text that no environment looks at is a text
        assert "Traceback" not in said and said.count("\n") < 30 and ("error: " in said) == (code == 2)
    assert main(["resume", "r", "--total-steps", "400", "--quiet"]) in (0, 2)
    assert not Path(MARK).exists()
    record_property("payloads", 1)


READERS = {
    "pickle": lambda folder: pickle.loads(pickle.dumps(Bomb())),
    "torch.load": lambda folder: (torch.save(Bomb(), folder / "x"), torch.load(folder / "x", weights_only=False)),
    "eval": lambda folder: eval(EXPRESSION),
    "EnvSpec": lambda folder: gym.make(EnvSpec.from_json(whole_spec())),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.filterwarnings("ignore")
def test_control_payloads_run_where_they_are_believed(folder, reader, record_property):
    try:
        reader(folder)
    except Exception:
        assert Path(MARK).exists()
    assert Path(MARK).exists()
    record_property("payloads that ran", 1)
