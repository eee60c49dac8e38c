"""Going on with a run: from which checkpoint, in which way, and what is refused with one sentence."""

import json
import multiprocessing
import shutil
import warnings
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from support.resumed import differences, files, rows, state_of, stopped_after

import pg_agents as pg
from pg_agents.checkpoints.store import checkpoints_in, keep_newest
from pg_agents.collection.collector import Collector
from pg_agents.data.shares import ALONE
from pg_agents.training import checkpointing, going_on, resuming
from pg_agents.training.checkpointing import Checkpoints, Interval, interval
from pg_agents.training.plan import Plan
from pg_agents.training.unwritten import Unwritten

HOW = {"num_envs": 4, "seed": 5, "progress": False, "checkpoint_every": 1, "keep_checkpoints": 100}


class Mine(CartPoleEnv):
    """An environment whose class is not Gymnasium's: nobody knows where its state is."""


def agent_for(env="CartPole-v1", **options):
    small = {"hidden": (4,), "num_steps": 8, "epochs": 1, "minibatch_size": None}
    return pg.PPO.for_env(env, num_envs=4, seed=3, **small | options)


def go(run_dir, total_steps=160, env="CartPole-v1", options=(), **more):
    agent = agent_for(env if isinstance(env, str) else "CartPole-v1", **dict(options))
    made = env if isinstance(env, str) else gym.vector.SyncVectorEnv([Mine] * 4)
    how = HOW | {"num_envs": 4 if isinstance(env, str) else None} | more
    return agent, pg.train(agent, made, total_steps=total_steps, run_dir=run_dir, **how)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not stopped, and all about it."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    agent, _ = go(run_dir)
    return run_dir, state_of(agent) | files(run_dir)


def again(run_dir, **more):
    agent, summary = go(run_dir, resume=True, **more)
    return state_of(agent) | files(run_dir), summary


# -- from which checkpoint ---------------------------------------------------------------------------------------------
def damaged(path, name="networks.safetensors"):
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)


@pytest.mark.parametrize("name", ["networks.safetensors", "optimizer.safetensors", "state.safetensors", "state.json"])
def test_the_checkpoint_before_a_damaged_one_is_used_and_said(whole, tmp_path, name):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    paths = list(checkpoints_in(place / "checkpoints"))
    damaged(paths[-1], name)
    with pytest.warns(
        RuntimeWarning, match=rf"{paths[-1].name} is damaged \('{name}' is not .* the one before is used"
    ):
        found, summary = again(place)
    assert summary.resumed_from == {int(paths[-2].name[5:]): "exactly"} and differences(whole[1], found) == []


def test_if_all_are_damaged_that_is_one_sentence_and_nothing_is_changed(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 1)
    for path in checkpoints_in(place / "checkpoints"):
        damaged(path)
    before = rows(place)
    with pytest.raises(
        pg.SavedFilesError, match=r"path: the checkpoint .* is damaged .*; begin the run again in another"
    ):
        again(place)
    assert rows(place) == before


def test_a_run_of_a_later_version_is_refused(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 0)
    (path,) = checkpoints_in(place / "checkpoints")
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps(state | {"format": 2}))
    from pg_agents.manifest import seal

    seal(path)
    with pytest.raises(pg.SavedFilesError, match="it is of format 2, this version reads 1; update pg-agents"):
        again(place)


def test_what_killed_writers_left_is_swept(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 2)
    lefts = [folder / ".pg_agents-0123456789abcdef.tmp" for folder in (place, place / "checkpoints")]
    for left in lefts:
        (left / "new").mkdir(parents=True)
        (left / "written-by-pg_agents").write_text("")
    (place / "checkpoints" / "mine.txt").write_text("keep")
    assert differences(whole[1], again(place)[0]) == []
    assert not any(left.exists() for left in lefts) and (place / "checkpoints" / "mine.txt").read_text() == "keep"


def test_a_run_that_was_killed_before_it_began_begins(whole, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "metrics.jsonl").write_text("")
    (tmp_path / "r" / "events.out.tfevents.1.x").write_bytes(b"half")
    found, summary = again(tmp_path / "r")
    assert differences(whole[1], found) == [] and summary.resumed_from == {}
    assert not (tmp_path / "r" / "events.out.tfevents.1.x").exists()


def test_a_new_folder_is_a_new_run(whole, tmp_path):
    assert differences(whole[1], again(tmp_path / "new")[0]) == []


# -- in which way ------------------------------------------------------------------------------------------------------
def test_episodes_begin_anew_where_an_environment_has_no_state_and_twice_alike(tmp_path, capsys, monkeypatch):
    run_dir, seeds, restart = tmp_path / "whole", [], Collector.restart
    monkeypatch.setattr(Collector, "restart", lambda self, seed: seeds.append(seed) or restart(self, seed))
    go(run_dir, env=Mine())
    found = [again(stopped_after(run_dir, tmp_path / name, 3), env=Mine(), progress=True) for name in "ab"]
    assert differences(found[0][0], found[1][0]) == []
    steps = int(list(checkpoints_in(run_dir / "checkpoints"))[3].name[5:])
    assert found[0][1].resumed_from == {steps: "with new episodes"}
    line = f"resumed  from step {steps} with new episodes: the running ones are given up, as "
    assert line in (out := capsys.readouterr().out) and "Mine has no get_state" in out
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["resumed_from"] == {
        str(steps): "with new episodes"
    }
    assert rows(tmp_path / "a") != rows(run_dir)
    other = again(stopped_after(run_dir, tmp_path / "c", 2), env=Mine())[0]
    assert differences(found[0][0], other) != [] and seeds[0] == seeds[1] != seeds[2]


def test_from_the_beginning_every_environment_goes_on_with_the_same_bits(tmp_path):
    agent, _ = go(tmp_path / "whole", env=Mine())
    expected = state_of(agent) | files(tmp_path / "whole")
    found, summary = again(stopped_after(tmp_path / "whole", tmp_path / "r", 0), env=Mine())
    assert differences(expected, found) == [] and summary.resumed_from == {0: "exactly"}


def test_what_differs_is_said(whole, tmp_path, monkeypatch):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    monkeypatch.setattr(going_on, "differences", lambda then: ["torch: 2.12 then, 2.13 now"])
    with pytest.warns(
        RuntimeWarning, match=r"bits may differ: torch: 2\.12 then, 2\.13 now; clip: 0\.2 then, 0\.1 now"
    ):
        again(place, options={"clip": 0.1})


def test_nothing_is_said_where_nothing_differs(whole, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again(stopped_after(whole[0], tmp_path / "r", 3))


def freeze(run):
    for parameter in run.agent.critic.parameters():
        parameter.requires_grad_(False)


def test_what_was_frozen_during_the_run_comes_back_from_the_checkpoints_of_a_resumed_run_too(tmp_path):
    how = {"probes": [freeze], "log_every": 32}
    agent, _ = go(tmp_path / "whole", **how)
    first = stopped_after(tmp_path / "whole", tmp_path / "once", 2)
    go(first, resume=True, **how)
    start = "checkpoints/start/manifest.json"
    assert (first / start).read_bytes() == (tmp_path / "whole" / start).read_bytes()
    second = stopped_after(first, tmp_path / "twice", 3)
    twice, summary = go(second, resume=True, **how)
    assert differences(state_of(agent), state_of(twice)) == []
    places = [int(path.name[5:]) for path in list(checkpoints_in(second / "checkpoints"))[2:4]]
    assert summary.resumed_from == dict.fromkeys(places, "exactly")


# -- runs that have ended ----------------------------------------------------------------------------------------------
def test_a_run_that_has_ended_in_order_is_complete(whole, tmp_path, capsys):
    place = stopped_after(whole[0], tmp_path / "r", 1000)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    found, summary = again(place, progress=True)
    assert "complete at step " in capsys.readouterr().out and summary.resumed_from == {}
    assert differences(whole[1], found) == []
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_run_that_was_killed_while_it_ended_ends(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 1000)
    (place / "summary.json").unlink()
    shutil.rmtree(place / "agent")
    assert differences(whole[1], again(place)[0]) == [] and (place / "agent").is_dir()


def test_more_steps_continue_a_run_that_has_ended(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 1000)
    agent, summary = go(place, 320, resume=True)
    longer, _ = go(tmp_path / "longer", 320)
    assert differences(state_of(agent), state_of(longer)) == []
    assert json.loads((place / "config.json").read_text())["total_steps"] == 320
    assert summary.total_steps >= 320 and len(summary.resumed_from) == 1
    _, done = go(place, 320, resume=True)
    assert done == replace(summary, wall_seconds=done.wall_seconds, steps_per_second=done.steps_per_second)


def test_schedules_follow_the_new_total(tmp_path):
    options = {"learning_rate": "1:0"}
    go(tmp_path / "r", options=options)
    lines = rows(tmp_path / "r")
    assert lines[-1]["train/learning_rate"] == pytest.approx(1 - lines[-2]["step"] / 160)
    go(tmp_path / "r", 320, options=options, resume=True)
    assert rows(tmp_path / "r")[len(lines)]["train/learning_rate"] == pytest.approx(1 - lines[-1]["step"] / 320)


def test_seconds_add_up(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 1000)
    before = json.loads((place / "summary.json").read_text())["wall_seconds"]
    (place / "summary.json").unlink()
    assert again(place)[1].wall_seconds == before
    times = [json.loads(line)["time"] for line in (place / "metrics.jsonl").read_text().splitlines()]
    assert times == sorted(times)


def stop(run):
    if run.steps >= 64:
        run.stop("enough")


def test_a_run_that_was_stopped_stays_so_unless_more_steps_are_asked_for(tmp_path):
    _, first = go(tmp_path / "r", probes=[stop], log_every=32)
    assert 64 <= first.total_steps < 160
    (tmp_path / "r" / "summary.json").unlink()
    assert go(tmp_path / "r", resume=True)[1].total_steps == first.total_steps
    assert go(tmp_path / "r", 320, resume=True)[1].total_steps >= 320


def test_what_has_been_audited_and_the_intervals_are_those_of_the_run(whole, tmp_path, monkeypatch):
    place, seen = stopped_after(whole[0], tmp_path / "r", 2), []
    read = resuming.newest_good

    def newest_good(folder):
        found, wrong = read(folder)
        return replace(found, run=found.run | {"audited": 10**6, "plan": found.run["plan"] | {"log_every": 11}}), wrong

    monkeypatch.setattr(resuming, "newest_good", newest_good)
    go(place, resume=True, probes=[lambda run: seen.append((run.audits.longest, run.plan.log_every))])
    assert set(seen) == {(10**6, 11)} and read(place / "checkpoints")[0].run["audited"] == 10**6
    with resuming.run_folder(place, True) as folder:
        plan = Plan(160, 5, 1, None)
        folder.checkpoint.run["evaluations"]["every"] = 13
        assert resuming.as_before(folder, plan, None, None) == (replace(plan, log_every=11), 13)
        assert resuming.as_before(folder, plan, 1, 17) == (plan, 17)


# -- what is refused ---------------------------------------------------------------------------------------------------
MISTAKES = {
    "seed: the run to resume has 5, got 6; give it the same": {"seed": 6},
    "num_envs: the run to resume has 4, got 8": {"num_envs": 8},
    "env: the run to resume has 'CartPole-v1', got 'MountainCar-v0'": {"env": "MountainCar-v0"},
    "run_dir: .* does not fit|path: the checkpoint .* does not fit this run|other networks": {
        "options": {"hidden": (5,)}
    },
}


@pytest.mark.parametrize(("said", "change"), MISTAKES.items())
def test_another_run_is_refused_and_nothing_is_changed(whole, tmp_path, said, change):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=said):
        again(place, **change)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    with resuming.run_folder(place, True):  # it is not held by the attempt
        pass


def test_another_agent_is_refused(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    agent = pg.A2C.for_env("CartPole-v1", hidden=(4,))
    with pytest.raises(ValueError, match="agent: the run to resume has 'ppo', got 'a2c'"):
        pg.train(agent, "CartPole-v1", total_steps=160, run_dir=place, resume=True, **HOW)


def test_folders_without_a_run_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("keep")
    with pytest.raises(ValueError, match=r"run_dir: .* is not empty, and holds no run \(metrics.jsonl is missing\)"):
        again(tmp_path / "other")
    go(tmp_path / "without", keep_checkpoints=0)
    assert not (tmp_path / "without" / "checkpoints").exists()
    with pytest.raises(ValueError, match=r"run_dir: .* holds a run without checkpoints; give another folder"):
        again(tmp_path / "without")
    with pytest.raises(ValueError, match="resume needs the run's folder: give run_dir="):
        again(None)


def test_a_second_writer_is_refused_until_the_first_has_ended_or_was_killed(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    context = multiprocessing.get_context("fork")
    holds, ends = context.Event(), context.Event()

    def hold():
        with resuming.run_folder(place, True):
            holds.set()
            ends.wait(60)

    process = context.Process(target=hold)
    process.start()
    assert holds.wait(60)
    with pytest.raises(ValueError, match=r"run_dir: .* is being written by another process; give another folder"):
        again(place)
    process.kill()
    process.join(60)
    assert differences(whole[1], again(place)[0]) == []


def test_of_two_that_begin_in_one_folder_one_is_refused(tmp_path):
    with (
        resuming.run_folder(tmp_path / "r", False),
        pytest.raises(ValueError, match="exists and is not an empty folder"),
    ):
        go(tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_folder_that_was_there_stays_if_a_run_does_not_begin_in_it(tmp_path):
    with resuming.run_folder(tmp_path, False):
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


# -- how often ---------------------------------------------------------------------------------------------------------
def test_intervals_as_they_are_written():
    assert interval(2000) == interval("2000") == Interval(steps=2000)
    assert interval("60s") == Interval(seconds=60.0) and interval("0.5s") == Interval(seconds=0.5)
    assert interval(None) == Interval()
    for given in (None, 2000, "60s"):
        assert interval(interval(given).text) == interval(given)


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "", "s", "0s", "-1s", "nans", "infs", "60 minutes", "0"])
def test_other_intervals_are_refused(given):
    with pytest.raises(ValueError, match=r"checkpoint_every must be "):
        interval(given)


def test_the_newest_are_kept_and_those_with_other_files_left_alone(tmp_path):
    go(tmp_path / "r", keep_checkpoints=2)
    paths = list(checkpoints_in(tmp_path / "r" / "checkpoints"))
    assert len(paths) == 2
    (paths[0] / "mine").write_text("keep")
    go(tmp_path / "r", 320, keep_checkpoints=2, resume=True)
    assert (paths[0] / "mine").read_text() == "keep" and not paths[1].exists()


def test_a_damaged_one_of_a_later_step_does_not_count_as_the_newest(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "r", 3)
    *_, before, newest = checkpoints_in(place / "checkpoints")
    damaged(newest)
    keep_newest(before, 1)
    assert list(checkpoints_in(place / "checkpoints")) == [before, newest]


def test_steps_between_checkpoints(tmp_path):
    go(tmp_path / "r", checkpoint_every=70)
    steps = [int(path.name[5:]) for path in checkpoints_in(tmp_path / "r" / "checkpoints")]
    assert len(steps) >= 3 and steps[0] == 0 and steps[-1] >= 160
    assert all(later // 70 > earlier // 70 for earlier, later in zip(steps, steps[1:-1], strict=False))


def test_the_newest_of_a_run_that_goes_on_is_the_one_from_which_it_does():
    checkpoints = Checkpoints(None, Interval(steps=70), 3, "start")
    checkpoints.begin(SimpleNamespace(agent=agent_for(), steps=64))
    assert checkpoints.good == checkpoints.steps == 64


def test_by_default_they_cost_less_than_two_percent_of_the_time(monkeypatch):
    class Steps:
        over, steps = False, 7

    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for cost, wait in ((0.01, 60), (2.0, 100), (30.0, 1500)):
        checkpoints = Checkpoints(None, Interval(), 3, written=1000.0, cost=cost)
        for after, due in ((wait - 1, False), (wait + 1, True)):
            now[0] = 1000.0 + after
            assert checkpoints._is_due(Steps) is due
    given = Checkpoints(None, Interval(seconds=5.0), 3, written=now[0] - 6, cost=9.0)
    assert given._is_due(Steps)


@pytest.mark.parametrize("fails", [False, True])
def test_a_checkpoint_is_tried_once_a_step_and_its_time_is_measured(tmp_path, monkeypatch, fails):
    class Steps:
        over, steps, agent, ranks = False, 7, None, ALONE
        collector = SimpleNamespace(get_state=lambda: None)

    now, tried = [1000.0], []

    def write(folder, steps, *_):
        tried.append(steps)
        now[0] += 2.0
        if fails:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(checkpointing, "write_checkpoint", write)
    for name in ("agent_state", "run_state", "keep_newest"):
        monkeypatch.setattr(checkpointing, name, lambda *_: None)
    monkeypatch.setattr(Checkpoints, "frozen", None, raising=False)
    unwritten = Unwritten(tmp_path, {} if fails else {"checkpoints": "the disk was full"})
    writer = SimpleNamespace(run_dir=tmp_path, unwritten=unwritten, position=lambda: None)
    checkpoints = Checkpoints(writer, Interval(steps=7), 3, "start")
    with pytest.warns(RuntimeWarning, match="checkpoints cannot be written") if fails else nullcontext():
        checkpoints.after_update(Steps)
    checkpoints.after_update(Steps)
    assert tried == [7] and checkpoints.cost == 2.0 and checkpoints.written == 1002.0
    assert checkpoints.good == (-1 if fails else 7) and ("checkpoints" in unwritten.reasons) is fails
    if not fails:
        checkpoints.try_to_save(Steps)
        assert tried == [7]
