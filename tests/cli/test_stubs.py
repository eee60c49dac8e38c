"""Signatures for editors and type checkers are those of the configurations."""

import subprocess
import sys

import pytest

from pg_agents.cli import stubs


def test_the_file_is_as_the_command_writes_it(capsys, tmp_path, monkeypatch):
    assert stubs.main(["--check"]) == 0
    stale = tmp_path / "__init__.pyi"
    stale.write_text(stubs.stub().replace("clip:", "clipp:"))
    monkeypatch.setattr(stubs, "FILE", stale)
    assert stubs.main(["--check"]) == 1 and "is stale" in capsys.readouterr().err
    assert stubs.main([]) == 0 and stubs.main(["--check"]) == 0


@pytest.mark.slow
def test_mypy_knows_the_options(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "user.py"
    script.write_text(
        "import pg_agents as pg\n"
        "agent = pg.PPO.for_env('CartPole-v1', clip=0.1, hidden=(4,), learning_rate='1e-3:0')\n"
        "reveal_type(agent.config.clip)\n"
        "pg.PPO.for_env('CartPole-v1', config=pg.PPOConfig(clip=0.1))\n"
        "pg.PPO.for_env('CartPole-v1', clipp=3)\n"
        "pg.PPO.for_env('CartPole-v1', clip={3})\n"
        "pg.PPOConfig(clipp=3)\n"
    )
    out = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", str(script)], capture_output=True, text=True, cwd=tmp_path
    ).stdout
    assert 'user.py:5: error: Unexpected keyword argument "clipp" for "for_env" of "PPO"' in out, out
    assert 'user.py:6: error: Argument "clip" to "for_env" of "PPO" has incompatible type' in out
    assert 'user.py:7: error: Unexpected keyword argument "clipp" for "PPOConfig"' in out
    assert "user.py:2: error" not in out and "user.py:4: error" not in out
    assert 'user.py:3: note: Revealed type is "float | pg_agents.schedules.LinearSchedule | ' in out
