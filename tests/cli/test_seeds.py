"""`train --seeds`: each seed's folder is that of its run alone, in one batch and in processes, also after Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from support.bugs import Bug, seeded
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pg_agents.cli import main, seed_process, seeds, seeds_results
from pg_agents.cli.seeds import of_all
from pg_agents.cli.seeds_results import summarize
from pg_agents.statistics import interquartile_mean, interval
from pg_agents.training import over_seeds
from pg_agents.training.hparams import session_start

pytestmark = pytest.mark.usefixtures("folder")

SMALL = ["a2c", "CartPole-v1", "--num-envs", "2", "--num-steps", "8", "--hidden", "8"]
RUN = ["train", *SMALL, "--total-steps", "160", "--log-every", "32"]
EVALUATED = ["--eval-every", "80", "--eval-episodes", "2"]
SEEDS = (3, 5, 9)
ONE_BY_ONE = ["--seeds", "3,5,9", "--jobs", "1"]


def read(path):
    return json.loads(path.read_text())


def rows(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if "time" not in key} for line in lines]


def timeless(run_dir):
    return {key: value for key, value in read(run_dir / "summary.json").items() if "second" not in key}


def test_each_seed_is_the_same_run_alone_in_one_batch_and_in_processes(folder, capsys):
    assert main([*RUN, *EVALUATED, "--seeds", "3,5,9", "--run-dir", "batch"]) == 0
    assert "seeds    3 seeds stacked in one batch\n" in capsys.readouterr().out
    assert main([*RUN, *EVALUATED, *ONE_BY_ONE, "--run-dir", "apart"]) == 0
    assert "seeds    3 seeds in 1 process: --jobs is given\n" in capsys.readouterr().out
    for seed in SEEDS:
        run = ["train", "a2c", "pg/CartPole-v1", *RUN[3:], *EVALUATED, "--seed", str(seed), "--quiet"]
        assert main([*run, "--run-dir", f"alone-{seed}"]) == 0
        alone, *others = folder / f"alone-{seed}", folder / "batch" / f"seed-{seed}", folder / "apart" / f"seed-{seed}"
        assert rows(others[1]) == rows(alone) and timeless(others[1]) == timeless(alone)  # the same bits
        for other in others:
            assert read(other / "config.json") == read(alone / "config.json")
            assert rows(other) == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in rows(alone)]
            assert timeless(other) == timeless(alone)
            assert (other / "agent" / "agent.json").is_file() and (other / "best").is_dir()
    assert (folder / "batch" / "checkpoints").is_dir() and (folder / "apart" / "seed-3" / "checkpoints").is_dir()
    whole, apart = (read(folder / name / "summary.json") for name in ("batch", "apart"))
    assert (whole["way"], apart["way"]) == ("stacked", "processes") and apart["cut_off"] is None
    assert whole["seeds"] == apart["seeds"] == [3, 5, 9] and whole["over_seeds"] == apart["over_seeds"]
    assert set(whole["over_seeds"]) == {"mean_return_last_100", "last_evaluation"} and len(whole["learners"]) == 3


def test_a_seed_in_a_batch_is_counted_alone(folder):
    assert main([*RUN, "--seeds", "2", "--seed", "7", "--run-dir", "r", "--checkpoint-every", "40", "--quiet"]) == 0
    assert read(folder / "r" / "summary.json")["seeds"] == [7, 8]
    config = read(folder / "r" / "config.json")
    assert (config["num_envs"], config["total_steps"], config["checkpoint_every"]) == (4, 320, 80)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["ppo", "CartPole-v1"], "3 seeds stacked in one batch"),
        (
            ["trpo", "CartPole-v1"],
            "in 2 processes: trpo cannot be stacked (num_learners must be 1, got 3: a natural gradient",
        ),
        (["ppo", "pg/Reverse-v0"], "in 2 processes: ppo cannot be stacked (num_learners: the networks of 3 learners"),
        (
            ["a2c", "CartPole-v1", "--env-arg", "sutton_barto_reward=True"],
            "in 2 processes: CartPole-v1 has one seed for all rows",
        ),
        (["a2c", "CartPole-v1", "--num-envs", "1", "--async"], "in 2 processes: the environments of each have"),
    ],
)
def test_the_way_is_said_with_its_reason(typed, said, folder, capsys, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    for name in ("in_own_processes", "carry_out"):
        monkeypatch.setattr(seeds, name, lambda *_, **__: (folder / "r" / "done").touch())
    assert main(["train", *typed, "--num-envs", "2", "--seeds", "3", "--run-dir", "r"]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--seeds", "0"], "--seeds must be a number of seeds above 0, or different ones like 3,5,9, got '0'"),
        (["--seeds", "a"], "--seeds must be a number of seeds above 0, or different ones like 3,5,9, got 'a'"),
        (["--seeds", "3,-1"], "--seeds must be a number of seeds above 0, or different ones like 3,5,9, got '3,-1'"),
        (["--seeds", "3,5,3"], "--seeds: 3 is given twice; give different ones"),
        (["--seeds", "3,5", "--seed", "1"], "--seed: 1 has no effect, as --seeds 3,5 names all seeds"),
        (["--seeds", "2", "--jobs", "0"], "--jobs must be a whole number, 1 or above, got 0"),
        (["--jobs", "2"], "--jobs: 2 has no effect with one seed; give --seeds too"),
        (["--seeds", "2", "--run-dir", "full"], "--run-dir: full exists and is not an empty folder; give a new one"),
        (["--seeds", "2", "--discount", "2"], "--discount must be"),
        (["--seeds", "2", "--jobs", "2", "--discount", "2"], "--discount must be"),
    ],
)
def test_bad_input_is_one_sentence(typed, message, folder, capsys):
    (folder / "full").mkdir()
    (folder / "full" / "mine").touch()
    run_dir = [] if "--run-dir" in typed else ["--run-dir", "r"]
    assert main([*RUN, *run_dir, *typed]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {message}") and err.count("\n") == 1 and "last 100" not in out
    assert sorted(path.name for path in folder.iterdir()) == ["full"]


# -- results -----------------------------------------------------------------------------------------------------------
def made(folder, returns, evaluations=None, **config):
    for seed, value in enumerate(returns):
        (folder / f"seed-{seed}").mkdir(parents=True)
        last = {} if evaluations is None else {"0": -1.0, "90": -2.0, "1000": evaluations[seed]}
        summary = {"mean_return_last_100": value, "evaluations": last, "cut_off": None}
        (folder / f"seed-{seed}" / "summary.json").write_text(json.dumps(summary))
    (folder / "config.json").write_text(json.dumps(config))
    return range(len(returns))


def test_what_seeds_returned_stands_beside_what_is_there(folder):
    returns, evaluations = [4.0, 1.0, 3.0, 2.0, 100.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    numbers = made(folder / "r", returns, evaluations)
    (folder / "r" / "summary.json").write_text('{"agent": "ppo"}')
    found = summarize(folder / "r", numbers, "processes")
    assert read(folder / "r" / "summary.json") == {"agent": "ppo"} | found
    last = found["over_seeds"]["mean_return_last_100"]
    assert last["each"] == returns and last["interquartile_mean"] == interquartile_mean(returns) == 3
    assert (last["low"], last["high"]) == interval(returns, 0.95) and "bootstrap" in last["method"]
    assert found["over_seeds"]["last_evaluation"]["each"] == evaluations  # the last one, not the first


def test_a_seed_without_a_return_is_not_left_out(folder):
    numbers = made(folder / "r", [1.0, None, 3.0])
    last = summarize(folder / "r", numbers, "processes")["over_seeds"]["mean_return_last_100"]
    assert (last["each"], last["interquartile_mean"], last["low"]) == ([1.0, None, 3.0], None, None)
    found = summarize(folder / "r", [*numbers, 7], "processes")
    assert found["cut_off"] == "seed 7: it has no summary" and "last_evaluation" not in found["over_seeds"]


def test_tensorboard_shows_what_seeds_in_processes_returned_once(folder):
    numbers = made(folder / "r", [1.0, 2.0, 6.0], total_steps=32, seeds=[0, 1, 2], arguments={"clip": 0.1})
    for _ in range(2):  # as after `resume`
        over = summarize(folder / "r", numbers, "processes")["over_seeds"]["mean_return_last_100"]
    (path,) = (folder / "r").glob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    found = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    ends = {"iqm": "interquartile_mean", "low": "low", "high": "high"}
    assert found == {f"summary/ep_rew_{short}": [(32, pytest.approx(over[name]))] for short, name in ends.items()}
    start = session_start(folder / "r", read(folder / "r" / "config.json")).metadata.plugin_data.content
    assert start in path.read_bytes() and b"r in " in start and b"clip" in start


def test_seeds_of_a_batch_take_as_many_steps_as_in_processes(folder):
    """Learners from whole episodes: who does better takes longer ones, and leaves the batch before others."""
    run = ["train", "reinforce", "pg/CartPole-v1", "--total-steps", "1000", "--num-envs", "2", "--seeds", "0,1,2"]
    assert main([*run, "--run-dir", "batch"]) == main([*run, "--jobs", "1", "--run-dir", "apart"]) == 0
    batch, apart = (read(folder / name / "summary.json") for name in ("batch", "apart"))
    assert batch["steps"] == apart["steps"] and min(batch["steps"]) >= 1000 and len({*batch["steps"]}) > 1


def test_the_table_says_how_few_seeds_there_are(folder, capsys):
    assert main([*RUN, "--seeds", "2", "--run-dir", "r"]) == 0
    out = capsys.readouterr().out
    (first, second) = read(folder / "r" / "summary.json")["over_seeds"]["mean_return_last_100"]["each"]
    for name, value in (("0", first), ("1", second), ("IQM", (first + second) / 2), ("optimal", 500)):
        assert re.search(rf"^{name} +{re.escape(f'{value:.4g}')}$", out, re.MULTILINE)
    assert re.search(r"^95 % +[\d.]+ … [\d.]+$", out, re.MULTILINE)
    assert "only 2 seeds: an interval needs 5 or more to be what it says" in out
    assert "pg-agents evaluate r/seed-0 --episodes 100" in out
    assert main(["evaluate", "r/seed-1", "--episodes", "2"]) == 0


@pytest.mark.parametrize("found", ["[]", "{", '{"a": 1}', '{"mean_return_last_100": "x", "evaluations": {"y": 2}}'])
def test_summaries_of_somebody_else_are_no_results(found, folder):
    made(folder / "r", [1.0, 2.0])
    (folder / "r" / "seed-1" / "summary.json").write_text(found)
    over = summarize(folder / "r", range(2), "processes")["over_seeds"]
    assert over["mean_return_last_100"]["each"] == [1.0, None] and "last_evaluation" not in over


def test_a_summary_that_cannot_be_written_is_a_warning(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    made(folder / "r", [1.0, 2.0])
    monkeypatch.setattr(seeds_results, "write_file", full)
    with pytest.warns(RuntimeWarning, match="summary.json could not be written .No space left on device"):
        assert summarize(folder / "r", range(2), "processes")["seeds"] == [0, 1]


# -- errors, ends, going on --------------------------------------------------------------------------------------------
def test_an_error_in_one_seed_names_it_and_the_others_are_carried_out(folder, capsys, monkeypatch):
    learn = seed_process.learn

    def failing(made, *rest, **how):
        if made.config.seed == 5:
            raise FloatingPointError("the gradient is not finite")
        return learn(made, *rest, **how)

    monkeypatch.setattr(seed_process, "learn", failing)
    assert main([*RUN, *ONE_BY_ONE, "--run-dir", "r"]) == 2
    out, err = capsys.readouterr()
    assert err == "error: the run of seed 5 has failed: the gradient is not finite\n" and re.search(
        "^IQM +–$", out, re.M
    )
    assert read(folder / "r" / "summary.json")["cut_off"] == "seed 5: it has no summary"
    monkeypatch.setattr(seed_process, "learn", learn)
    kept = {seed: (folder / "r" / f"seed-{seed}" / "summary.json").stat().st_mtime_ns for seed in (3, 9)}
    assert main(["resume", "r", "--quiet"]) == 0  # the seed that never began begins, the others are left alone
    assert read(folder / "r" / "summary.json")["cut_off"] is None
    assert kept == {seed: (folder / "r" / f"seed-{seed}" / "summary.json").stat().st_mtime_ns for seed in (3, 9)}
    assert main([*RUN, *ONE_BY_ONE, "--run-dir", "whole", "--quiet"]) == 0
    assert rows(folder / "r" / "seed-5") == rows(folder / "whole" / "seed-5")


def test_a_mistake_in_one_seed_keeps_its_traceback(folder, capsys, monkeypatch):
    monkeypatch.setattr(seed_process, "learn", lambda *_, **__: [][1])
    assert main([*RUN, "--seeds", "2", "--jobs", "1", "--run-dir", "r"]) == 2
    err = capsys.readouterr().err
    assert err.count("Traceback") == 2 and err.endswith(
        "error: the run of seed 0 has failed; so have those of 1: IndexError: list index out of range\n"
    )


@pytest.mark.parametrize("way", [["--seeds", "3,5,9"], ONE_BY_ONE])
def test_more_steps_are_those_of_each_seed(way, folder):
    assert main([*RUN, *way, "--run-dir", "r", "--quiet"]) == 0
    assert main(["resume", "r", "--total-steps", "320", "--quiet"]) == 0
    assert [read(folder / "r" / f"seed-{seed}" / "summary.json")["total_steps"] for seed in SEEDS] == [320] * 3
    assert read(folder / "r" / "summary.json")["seeds"] == [3, 5, 9]


@pytest.mark.parametrize(
    "change",
    [{"seeds": ["a"]}, {"agent": 3}, {"jobs": "2"}, {"arguments": 3}, {"arguments": {"seed": 1}}, {"seeds": []}],
)
def test_a_damaged_folder_of_seeds_is_one_sentence(change, folder, capsys):
    assert main([*RUN, *ONE_BY_ONE, "--run-dir", "r", "--quiet"]) == 0
    (folder / "r" / "config.json").write_text(json.dumps(read(folder / "r" / "config.json") | change))
    capsys.readouterr()
    assert main(["resume", "r"]) == 2
    assert "config.json is damaged or not of this program" in capsys.readouterr().err


def test_an_agent_of_ones_own_is_to_be_imported(folder, capsys):
    (folder / "r").mkdir()
    given = {"env": "CartPole-v1", "num_envs": 2, "way": "processes", "seeds": [0], "agent": "mine", "arguments": {}}
    (folder / "r" / "config.json").write_text(json.dumps(given))
    assert main(["resume", "r"]) == 2
    assert "r holds runs of an agent 'mine'; one of your own: --import its module" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_in_order_and_the_line_resumes(number, code, folder, start, capsys):
    long = ["train", *SMALL, "--log-every", "160", "--seeds", "3,5,9", "--total-steps"]
    process = start(*long, "400000", "--run-dir", "r", "--jobs", "2", stdout=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 90
    while len(list((folder / "r").glob("*/metrics.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, number)  # as a terminal does with Ctrl-C
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in err
    assert err.splitlines()[-2:] == [
        f"{'interrupted' if code == 130 else 'terminated'}: 0 of 3 seeds have finished",
        "next     pg-agents resume r",
    ]
    summaries = {seed: read(folder / "r" / f"seed-{seed}" / "summary.json") for seed in (3, 5)}
    assert {one["cut_off"] for one in summaries.values()} == {"SIGINT"} and not (folder / "r" / "seed-9").exists()
    steps = 16 * (max(one["total_steps"] for one in summaries.values()) // 16 + 2)
    assert main(["resume", "r", "--total-steps", str(steps), "--quiet"]) == 0
    assert main([*long, str(steps), "--run-dir", "whole", "--jobs", "1", "--quiet"]) == 0
    for seed in SEEDS:
        assert rows(folder / "r" / f"seed-{seed}")[:-1] == rows(folder / "whole" / f"seed-{seed}")[:-1]


@pytest.mark.slow
def test_processes_train_what_cannot_be_stacked(folder, capsys):
    assert main(["train", "npg", "CartPole-v1", "--seeds", "3", "--total-steps", "2000", "--run-dir", "r"]) == 0
    assert "npg cannot be stacked" in capsys.readouterr().out
    assert main(["train", "npg", "pg/CartPole-v1", "--seed", "2", "--total-steps", "2000", "--run-dir", "alone"]) == 0
    assert rows(folder / "r" / "seed-2") == rows(folder / "alone")


test_seeded_bugs = seeded(
    Bug(
        "all share the steps that were typed for each",
        of_all,
        lambda config, count: __import__("dataclasses").replace(config, num_envs=count * config.num_envs),
        [test_each_seed_is_the_same_run_alone_in_one_batch_and_in_processes, test_a_seed_in_a_batch_is_counted_alone],
    ),
    Bug(
        "the first evaluation counts",
        over_seeds._last,
        lambda evaluations: next(iter(evaluations.values()), None),
        [test_what_seeds_returned_stands_beside_what_is_there],
    ),
    Bug(
        "seeds without returns are dropped",
        over_seeds._middle,
        lambda each: {"each": each, "interquartile_mean": interquartile_mean([v for v in each if v]), "low": None},
        [test_a_seed_without_a_return_is_not_left_out],
    ),
)
