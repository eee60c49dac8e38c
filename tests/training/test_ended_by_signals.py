"""A signal in a script that calls `train`: one line says where the run was saved, and how it goes on."""

import io
import os
import signal

import pytest
from support.misbehaving import Misbehaves

import pg_agents as pg
from pg_agents.at_once import leaving


def ended(progress, number=signal.SIGINT, **how):
    """Train until a probe sends this process a signal."""
    agent = pg.A2C.for_env(Misbehaves(), hidden=(4,))

    def send(run):
        os.kill(os.getpid(), number)

    how |= {"total_steps": 10_000, "log_every": 100, "probes": [send], "progress": progress}
    with pytest.raises((KeyboardInterrupt, pg.Terminated)):
        pg.train(agent, Misbehaves(), **how)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_line_says_where_it_is_saved_and_how_it_goes_on(tmp_path, number):
    shown, folder = io.StringIO(), tmp_path / "run"
    before = signal.getsignal(number)
    ended(shown, number, run_dir=folder)
    (line,) = [line for line in shown.getvalue().splitlines() if line.startswith("stopped ")]
    assert line.startswith(f"stopped  by {signal.Signals(number).name} at step ")
    assert f"the agent is saved in {folder / 'agent'}" in line and "the newest checkpoint is of step" in line
    assert line.endswith(f"train(…, run_dir={str(folder)!r}, resume=True) goes on")
    assert signal.getsignal(number) is before


def test_without_a_folder_it_says_so():
    shown = io.StringIO()
    ended(shown)
    assert shown.getvalue().splitlines()[-1].endswith("; nothing is saved, as there is no run_dir")


def test_without_progress_nothing_is_said(capsys):
    ended(False)
    assert capsys.readouterr().out == ""


def test_the_command_line_says_it_itself(tmp_path):
    shown = io.StringIO()
    with leaving():
        ended(shown, run_dir=tmp_path / "run")
    assert "stopped" not in shown.getvalue()
