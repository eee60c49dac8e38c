"""A run that goes on with something else says what, claims no bits, and config.json holds what is true now and was."""

import json

import pytest

import pg_agents as pg


def run(folder, total=64, *, resume=False, how=(), learning_rate=0.002):
    agent = pg.A2C.for_env("CartPole-v1", num_envs=2, hidden=(4,), num_steps=8, learning_rate=learning_rate)
    with_it = {"num_envs": 2, "run_dir": folder, "log_every": 16, "checkpoint_every": 16, **dict(how)}
    return pg.train(agent, "CartPole-v1", total_steps=total, resume=resume, **with_it)


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def steps_of(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]


def resumed(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("resumed", "changed"))]


@pytest.fixture
def folder(tmp_path, capsys):
    run(tmp_path / "run")
    capsys.readouterr()
    return tmp_path / "run"


def test_more_steps_alone_are_said_and_bits_are_those_of_a_longer_run(folder, capsys):
    steps = steps_of(folder)
    run(folder, 128, resume=True)
    first, second = resumed(capsys)
    assert first.endswith("exactly: its bits are those of a run that was not stopped")
    assert second == "changed  total_steps: 64 then, 128 now"
    config = config_of(folder)
    assert config["total_steps"] == 128 and config["earlier"] == [{"until_step": steps, "total_steps": 64}]


def test_an_option_of_the_agent_changes_the_bits_and_config_json(folder, capsys):
    steps = [steps_of(folder)]
    with pytest.warns(RuntimeWarning, match="learning_rate: 0.002 then, 0.01 now"):
        run(folder, 96, resume=True, learning_rate=0.01, how={"stop_return": 400.0})
    first, second = resumed(capsys)
    assert "exactly: with all that it had learned; what is another now may change its bits" in first
    assert second == "changed  total_steps: 64 then, 96 now; stop_return: None then, 400.0 now"
    config = config_of(folder)
    assert config["arguments"]["learning_rate"] == 0.01 and config["stop_return"] == 400.0
    (earlier,) = config["earlier"]
    assert earlier["arguments"] == {"learning_rate": 0.002}
    steps.append(steps_of(folder))
    with pytest.warns(RuntimeWarning, match="learning_rate: 0.01 then, 0.002 now"):
        run(folder, 128, resume=True, learning_rate=0.002, how={"keep_checkpoints": 2})
    assert [one["until_step"] for one in config_of(folder)["earlier"]] == steps
    assert config_of(folder)["keep_checkpoints"] == 2


def test_schedules_follow_more_steps_so_that_bits_are_others(tmp_path, capsys):
    run(tmp_path / "run", learning_rate="1e-3:0")
    with pytest.warns(RuntimeWarning, match="total_steps: 64 then, 128 now, which schedules follow"):
        run(tmp_path / "run", 128, resume=True, learning_rate="1e-3:0")
    assert all("bits are those" not in line for line in resumed(capsys))


def test_a_run_that_goes_on_as_it_was_has_no_history(folder, capsys):
    before = (folder / "config.json").read_bytes()
    (folder / "summary.json").unlink()
    run(folder, resume=True)
    assert (folder / "config.json").read_bytes() == before
    assert [line[:7] for line in resumed(capsys)] == ["resumed"]
