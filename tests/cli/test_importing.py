"""`--import MODULE`: what a user's module registers is known to a command that names it, and to its processes."""

import json
import os
import sys

import gymnasium as gym
import pytest
from support.forks import in_a_fork

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.cli.importing import as_typed
from pg_agents.cli.parallel import _do

pytestmark = pytest.mark.usefixtures("folder", "forgotten")

MINE = """
import gymnasium as gym
import pg_agents as pg


def made(**given):
    return gym.make("pg/TwoArmedBandit-v0", **given).unwrapped


gym.register("Mine-v0", entry_point=made)


class Mine(pg.Agent[pg.ReinforceConfig]):
    "An agent of one's own."

    name = "mine"
    prepare, loss = pg.Reinforce.prepare, pg.Reinforce.loss


pg.AGENTS["mine"] = Mine
"""
TRAIN = ["--total-steps", "64", "--num-envs", "2", "--quiet"]


def forget():
    for name in ("mine_own", "neighbour_own", "first_own"):
        sys.modules.pop(name, None)
    gym.registry.pop("Mine-v0", None)
    pg.AGENTS.pop("mine", None)


@pytest.fixture
def forgotten(folder):
    """Forget afterwards what the module has registered."""
    (folder / "mine_own.py").write_text(MINE)
    path = list(sys.path)
    yield
    forget()
    sys.path[:] = path


def refused(capsys, *typed):
    assert main([*typed]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("named", ["mine_own", "mine_own.py", "./mine_own.py"])
def test_a_run_of_ones_own_agent_and_environment_is_trained_evaluated_and_resumed(named, folder, capsys):
    assert "there is no agent 'mine'" in refused(capsys, "train", "mine", "Mine-v0", *TRAIN, "--run-dir", "run")
    assert main(["train", "mine", "Mine-v0", *TRAIN, "--run-dir", "run", "--import", named]) == 0
    config = json.loads((folder / "run/config.json").read_text())
    assert (config["agent"], config["env"]) == ("mine", "Mine-v0") and "mine_own" not in json.dumps(config)
    forget()
    error = refused(capsys, "evaluate", "run", "--episodes", "4")
    assert "'mine'" in error and "in the shell: --import its module" in error and "Traceback" not in error
    assert "in the shell: --import its module" in refused(capsys, "resume", "run", "--total-steps", "128")
    assert "mine_own" not in sys.modules  # nothing that was read names it
    assert main(["evaluate", "run", "--episodes", "4", "--json", f"--import={named}"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 4
    forget()
    assert main(["resume", "run", "--total-steps", "128", "--import", named]) == 0
    out = capsys.readouterr().out
    assert "evaluate run --episodes 100 --import " in out and as_typed().split()[-1] in out


def test_a_job_of_another_process_imports_it_first(folder):
    def work():
        return _do(gym.registry.__contains__, 3, "Mine-v0", folder / "stop", parent, ["mine_own.py"])

    parent = os.getpid()
    assert in_a_fork(work, 60) == (3, True, None)


@pytest.mark.slow
def test_processes_import_it_too(folder):
    typed = [*TRAIN, "--seeds", "2", "--jobs", "2", "--run-dir", "run", "--import", "mine_own.py"]
    assert main(["train", "mine", "Mine-v0", *typed]) == 0
    for seed in (0, 1):
        assert json.loads((folder / f"run/seed-{seed}/summary.json").read_text())["total_steps"] >= 64


def test_what_cannot_be_imported_is_said(folder, capsys):
    (folder / "broken.py").write_text("raise ValueError('no such table')")
    (folder / "needs.py").write_text("import surely_not_installed")
    (folder / "json.py").write_text("")
    for named, said in {
        "nothing_there": "--import: 'nothing_there': there is no module 'nothing_there' to import",
        "nothing.py": "--import: 'nothing.py': there is no file of Python there",
        "broken.py": "--import: 'broken.py': importing 'broken' failed: no such table",
        "needs": "--import: 'needs': module 'needs' needs 'surely_not_installed'",
        "json.py": "--import: 'json.py': another module is called 'json'",
    }.items():
        assert said in refused(capsys, "evaluate", "run", "--import", named)
    assert "--import: name the module" in refused(capsys, "train", "ppo", "CartPole-v1", "--import")
    assert main(["compare", "run", "--import", "mine_own"]) == 2  # it has no such option
    assert "mine_own" not in sys.modules


def test_a_file_in_another_folder_finds_its_neighbours(folder, capsys):
    (folder / "apart").mkdir()
    (folder / "apart/neighbour_own.py").write_text(MINE)
    (folder / "apart/first_own.py").write_text("import neighbour_own")
    assert "--env" not in refused(capsys, "evaluate", "nowhere", "--import", "apart/first_own.py")
    assert "Mine-v0" in gym.registry and "neighbour_own" in sys.modules
