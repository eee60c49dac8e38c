"""A run that is killed and resumed, again and again or by another process, is the run that was not killed."""

import random
import signal
import time
from contextlib import suppress

import pytest
from support.forks import at_line, begun, ended, in_a_fork, lines_of, wait_until
from support.resumed import differences, files, newest
from support.small_runs import CONTROL, go, go_together, of_learners

from pg_agents import folders
from pg_agents.checkpoints import store
from pg_agents.checkpoints.store import checkpoints_in
from pg_agents.cli import main
from pg_agents.training import appended, checkpointing, learners_reports, run_files, writers

UPDATE = 32  # steps


def last_step(run_dir):
    """Return the steps of a run's newest checkpoint, whole or not; -1: there is none."""
    with suppress(FileNotFoundError):
        return max((int(path.name[5:]) for path in checkpoints_in(run_dir / "checkpoints")), default=-1)
    return -1


def alone(run_dir, total):
    return go(CONTROL, run_dir, total_steps=total, resume=True)


def killed_again_and_again(run_dir, kills, total, go_on=alone):
    """Resume a run in new processes and kill each at random, after at most two more updates; then let one end."""
    chance, codes = random.Random(0), []
    for _ in range(kills):
        process, before = begun(lambda: go_on(run_dir, total) and 0), last_step(run_dir)
        enough = before + UPDATE * chance.randrange(3)
        wait_until(lambda enough=enough: last_step(run_dir) >= enough)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        codes.append(ended(process))
    return codes, ended(begun(lambda: go_on(run_dir, total) and 0))


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_is_the_run_that_was_not(tmp_path, kills, record_property):
    total = 4 * kills * UPDATE  # more than it gets to between the kills
    whole = go(CONTROL, tmp_path / "whole", total_steps=total)
    codes, code = killed_again_and_again(tmp_path / "killed", kills, total)
    assert code == 0 and codes == [-signal.SIGKILL] * kills
    assert differences(newest(tmp_path / "whole"), newest(tmp_path / "killed")) == []
    assert differences({name: whole[name] for name in ("rows", "points", "summary")}, files(tmp_path / "killed")) == []
    record_property("cell", "ppo-CartPole-v1-sync")
    record_property("kills of one run with equal bits in the end", kills)


def together(run_dir, total):
    return go_together(run_dir, total, resume=True)


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_learners_that_are_killed_again_and_again_are_those_that_were_not(tmp_path, kills):
    """Their folders, too."""
    total = 4 * kills * 2 * UPDATE
    together(tmp_path / "whole", total)
    codes, code = killed_again_and_again(tmp_path / "killed", kills, total, together)
    assert code == 0 and codes == [-signal.SIGKILL] * kills
    assert differences(newest(tmp_path / "whole"), newest(tmp_path / "killed")) == []
    assert differences(of_learners(tmp_path / "whole"), of_learners(tmp_path / "killed")) == []


@pytest.mark.parametrize("where", [0.2, 0.6, *(pytest.param(x / 20, marks=pytest.mark.slow) for x in range(20))])
def test_learners_that_are_killed_in_a_line_that_writes_are_those_that_were_not(tmp_path, where):
    """While a checkpoint, the best agents, rows of metrics, or at the end agents and summaries are written."""
    files = lines_of(learners_reports, checkpointing, writers, run_files, appended, store, folders)
    whole = go_together(tmp_path / "whole", 300)
    count = in_a_fork(lambda: at_line(-1, files, lambda: go_together(tmp_path / "counted", 300)))
    killed = begun(lambda: at_line(int(where * count), files, lambda: go_together(tmp_path / "killed", 300)) and 0)
    assert ended(killed) == -signal.SIGKILL
    assert differences(whole, go_together(tmp_path / "killed", 300, resume=True)) == []


def test_control_a_run_that_begins_anew_after_a_kill_loses_its_steps(tmp_path, record_property):
    process = begun(lambda: go(CONTROL, tmp_path / "killed", total_steps=10**6, keep_checkpoints=0) and 0)
    wait_until(lambda: (tmp_path / "killed" / "metrics.jsonl").exists())
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert last_step(tmp_path / "killed") == -1 and not (tmp_path / "killed" / "agent").exists()
    record_property("runs killed and lost without checkpoints", 1)


LINES = {
    "episodes in between": "ppo CartPole-v1 --num-steps 16 --minibatch-size 32 --hidden 8 --total-steps 2500",
    "memory": "ppo pg/Recall-v0 --num-steps 16 --minibatch-size 32 --recurrent 4 --total-steps 3000",
    "texts": "rloo pg/Addition-v0 --kl-weight 0.1 --total-steps 1500",
    "wrappers": "a2c CartPole-v1 --wrapper FrameStackObservation:stack_size=2 --hidden 8 --total-steps 3000",
}


def another_goes_on(line, folder, kill):
    """Kill a run that was typed once it has a few checkpoints, and resume it by the command line."""
    typed = ["train", *line.split(), "--num-envs", "4", "--checkpoint-every", "200", "--eval-every", "500", "--quiet"]
    assert main([*typed, "--run-dir", str(folder / "whole")]) == 0
    kill([*typed, "--run-dir", str(folder / "killed")], lambda: last_step(folder / "killed") > 500)
    assert not (folder / "killed" / "summary.json").exists()
    assert main(["resume", str(folder / "killed"), "--quiet"]) == 0
    assert differences(newest(folder / "whole"), newest(folder / "killed")) == []
    assert differences(files(folder / "whole"), files(folder / "killed")) == []


def test_another_process_goes_on_with_the_same_bits(tmp_path):
    def kill(typed, far_enough):
        process = begun(lambda: main(typed))
        wait_until(far_enough)
        process.kill()
        assert ended(process) == -signal.SIGKILL

    another_goes_on(LINES["episodes in between"], tmp_path, kill)


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_another_command_goes_on_with_the_same_bits(line, tmp_path, start, record_property):
    def kill(typed, far_enough):
        process = start(*typed)
        wait_until(lambda: far_enough() or process.poll() is not None)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL

    another_goes_on(line, tmp_path, kill)
    agent, env, *options = line.split()
    record_property("cell", "-".join([agent, env, *(o[2:] for o in options if o in ("--recurrent", "--kl-weight"))]))
    record_property("command lines killed with equal bits in the end", 1)
