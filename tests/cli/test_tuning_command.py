"""`tune`: what it prints and writes; the winner's drop on fresh seeds; a file for --config; Ctrl-C; processes."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents.cli import main, tuning
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.parsing import parse
from pg_agents.cli.tuning import seconds_of
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.training.tuned import Tuned
from pg_agents.tuning import results, study
from pg_agents.tuning.results import best_of, difference, fresh_seeds
from pg_agents.tuning.toml_text import toml_text

pytestmark = pytest.mark.usefixtures("folder")

TUNE = ["tune", "ppo", "CartPole-v1", "--trials", "6", "--total-steps", "2000", "--seeds", "4", "--out", "o"]


@pytest.fixture
def returns(monkeypatch):
    """Replace training by a function of settings and a seed."""

    def replaced(found):
        def returns_of(task, settings, seeds, report):
            values = [found(settings, seed) for seed in seeds]
            report(1, values)
            return values

        for module in (study, tuning):
            monkeypatch.setattr(module, "returns_of", returns_of)

    return replaced


def is_drawn(settings):
    return "clip" in settings.arguments  # neither the defaults nor the tuned settings name it


def rows():
    return [json.loads(line) for line in Path("o/trials.jsonl").read_text().splitlines()]


def test_the_winner_is_run_again_and_becomes_a_file_for_config(returns, capsys):
    returns(lambda settings, seed: 10 * is_drawn(settings) + seed - (50 if seed > 103 else 0))
    assert main(TUNE) == 0
    out = capsys.readouterr().out
    best, found = best_of(rows()), json.loads(Path("o/summary.json").read_text())
    assert [one["trial"] for one in found["fresh"]] == [best["trial"], best_of(rows(), ("defaults", "tuned"))["trial"]]
    assert found["chosen"] == best["trial"] and found["fresh"][0]["seeds"] == list(range(104, 114))
    drop, low, high = found["fresh"][0]["drop"]
    assert low < drop < high and drop == pytest.approx(101.5 - (108.5 - 50))
    assert f"drop {drop:.4g} (95 %: {low:.4g} … {high:.4g})" in out and "next     pg-agents train ppo --config" in out
    options = parse(["train", "ppo", "--config", "o/best.toml"])
    assert (options.run.env, options.run.total_steps) == ("CartPole-v1", 2_000)
    assert options.run.num_envs == best["settings"]["num_envs"]
    typed = {name: list(value) if isinstance(value, tuple) else value for name, value in options.arguments.items()}
    assert json.loads(json.dumps(typed, default=str)) == best["settings"]["arguments"]
    assert Path("o/tuning.png").read_bytes()[1:4] == b"PNG"
    assert [row["origin"] for row in rows()] == ["defaults", "tuned"] + 4 * ["search"]


def test_the_header_has_where_it_comes_from_and_the_entry_to_ship(returns):
    returns(lambda settings, seed: 10 * is_drawn(settings) + seed)
    assert main(TUNE) == 0
    comments = [line for line in Path("o/best.toml").read_text().splitlines() if line.startswith("#")]
    assert comments[0].startswith("# Made by: pg-agents") and "optuna" in comments[1]
    (entry,) = eval(f"[{{{comments[-1].removeprefix('#')}}}]", {"Tuned": Tuned})
    settings = entry["ppo", "CartPole-v1"]
    assert settings.total_steps == 2_000 and isinstance(settings.arguments["hidden"], tuple | None)


def test_the_file_makes_the_environment_in_which_was_tuned(returns):
    returns(lambda settings, seed: 10 * is_drawn(settings) + seed)
    made = ["--env-arg", "render_mode=None", "--env-arg", "sutton_barto_reward=True"]
    made += ["--eval-env-arg", "sutton_barto_reward=False", "--wrapper", "ClipReward:max_reward=0.5"]
    assert main([*TUNE, *made]) == 0
    text = Path("o/best.toml").read_text()
    run = parse(["train", "ppo", "--config", "o/best.toml", "--eval-every", "100"]).run
    assert parse_arguments(run.env_arg) == {"render_mode": None, "sutton_barto_reward": True}
    assert parse_arguments(run.eval_env_arg) == {"sutton_barto_reward": False}
    assert run.wrapper == ("ClipReward:max_reward=0.5",)
    (entry,) = eval(f"[{{{text.partition('tuned.py:')[2].splitlines()[1].removeprefix('#')}}}]", {"Tuned": Tuned})
    settings = entry["ppo", "CartPole-v1"]
    assert settings.env_args == parse_arguments(run.env_arg) and settings.wrappers == run.wrapper


@pytest.mark.parametrize(("seeds", "jobs", "trials"), [(4, 1, 5.0), (10, 1, 2.0), (10, 8, 1.0)])
def test_time_is_kept_for_the_last_runs_of_two_settings(seeds, jobs, trials, returns, monkeypatch):
    budgets = []

    def budget(*given, right=tuning.Budget):
        budgets.append(right(*given))
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "Budget", budget)
    typed = ["tune", "a2c", "CartPole-v1", "--seeds", str(seeds), "--jobs", str(jobs), "--num-envs", "3"]
    assert main(typed) == 130
    assert budgets[0].last_runs == trials and budgets[0].trials is None


def test_what_was_typed_precedes_the_shipped_settings(returns, monkeypatch):
    shipped = Tuned(8, 5_000, {"epochs": 5, "clip": 0.1}, {"sutton_barto_reward": True, "render_mode": None})
    monkeypatch.setitem(tuning.SHIPPED, ("ppo", "CartPole-v1"), shipped)
    returns(lambda settings, seed: float(seed))
    typed = ["--epochs", "7", "--env-arg", "sutton_barto_reward=False", "--trials", "2"]
    assert main([*TUNE, *typed]) == 0
    defaults, known = rows()
    assert defaults["settings"]["arguments"] == {"epochs": 7}
    assert known["settings"]["arguments"] == {"epochs": 7, "clip": 0.1} and known["settings"]["total_steps"] == 2_000
    for row in (defaults, known):
        assert row["settings"]["env_args"] == {"sutton_barto_reward": False, "render_mode": None}


def test_known_settings_that_do_better_on_fresh_seeds_are_the_result(returns):
    lucky = lambda settings, seed: 0 if "epochs" not in settings.arguments else 1 if seed < 104 else -1  # noqa: E731
    returns(lambda settings, seed: lucky(settings, seed) + seed / 1e6)
    assert main([*TUNE, "--num-envs", "3"]) == 0  # with which the tuned settings do not go
    found = json.loads(Path("o/summary.json").read_text())
    assert best_of(rows())["origin"] == "search" and rows()[found["chosen"]]["origin"] == "defaults"
    assert tomllib.loads(Path("o/best.toml").read_text())["num_envs"] == 3


def test_last_runs_that_fail_lose_no_trials(returns, capsys):
    def faulty(settings, seed):
        if seed > 103:
            raise FaultyEnvironmentError("the environment has failed\x1b")
        return float(seed)

    returns(faulty)
    assert main(TUNE) == 0
    assert "the runs have failed (FaultyEnvironmentError: the environment has failed\\x1b)" in capsys.readouterr().out
    assert len(rows()) == 6 and Path("o/best.toml").is_file()
    assert json.loads(Path("o/summary.json").read_text())["fresh"][0]["error"].startswith("FaultyEnvironmentError")


def test_trials_are_kept_whatever_ends_the_last_runs(returns):
    def broken(settings, seed):
        if seed > 103:
            raise KeyError("something else")
        return float(seed)

    returns(broken)
    with pytest.raises(KeyError):
        main(TUNE)
    assert len(rows()) == 6 and Path("o/best.toml").is_file()


def test_where_fresh_seeds_choose_it_is_said(returns, capsys):
    returns(lambda settings, seed: 10 * is_drawn(settings) + seed)
    assert main([*TUNE, "--import", "json"]) == 0
    out = capsys.readouterr().out
    assert ", the better of two on these seeds, which flatters it a little\n" in out
    assert out.rstrip().endswith("train ppo --config o/best.toml --seeds 10 --import json")
    assert "104 to 113: " in (text := Path("o/best.toml").read_text()) and "which flatters it a little" in text


def test_where_fresh_seeds_had_nothing_to_choose_it_is_not_said(returns, capsys):
    returns(lambda settings, seed: float(seed) - is_drawn(settings))
    assert main(TUNE) == 0
    assert "chosen   trial" in (out := capsys.readouterr().out) and "the better of two" not in out


def test_that_no_trial_has_ended_well_is_an_error(returns, capsys):
    def diverges(settings, seed):
        raise FloatingPointError("the gradient is not finite")

    returns(diverges)
    assert main(TUNE) == 2
    assert "none of the trials has ended well; o/trials.jsonl says why" in capsys.readouterr().err
    assert len(rows()) == 6


def test_ctrl_c_keeps_the_trials_and_the_same_command_goes_on(returns, capsys, monkeypatch):
    calls = []

    def interrupted(settings, seed):
        calls.append(seed)
        if len(calls) > 12:
            raise KeyboardInterrupt
        return float(seed)

    returns(interrupted)
    typed = [*TUNE, "--storage", "journal:trials.log"]
    monkeypatch.setattr(sys, "argv", ["pg-agents", *typed])
    assert main(typed) == 130
    err = capsys.readouterr().err
    assert err.startswith("interrupted: the trials so far are in o/trials.jsonl; it goes on: pg-agents tune ppo")
    assert [row["state"] for row in rows()] == ["complete"] * 3 + ["failed"] and Path("o/best.toml").is_file()
    returns(lambda settings, seed: float(seed))
    assert main(typed) == 0
    assert [row["state"] for row in rows()].count("complete") == 6 and len(rows()) == 7


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--budget", "soon"], "--budget must be a time such as 90s, 30m or 2h, got 'soon'"),
        (["--budget", "0m"], "--budget must be a time such as"),
        (["--seeds", "1"], "--seeds must be a whole number, 2 or above, got 1"),
        (["--trials", "0"], "--trials must be a whole number, 1 or above, got 0"),
        (["--jobs", "0"], "--jobs must be a whole number, 1 or above, got 0"),
        (["--out", "full"], "--out: full exists and holds no results of tuning; give a new folder"),
        (["--out", "others"], "--out: others holds results, and without --storage tuning does not go on; give a new"),
        (["--storage", "x"], "--storage: 'x' cannot be opened"),
        (["--discount", "2"], "--discount must be between 0 and 1, got 2"),
        (["--env-arg", "x=1"], "--env-arg: CartPole-v1 cannot be made with x=1"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(typed, message, folder, capsys):
    (folder / "full").mkdir()
    (folder / "full" / "mine").touch()
    (folder / "others").mkdir()
    (folder / "others" / "trials.jsonl").touch()
    assert main([*(TUNE[:-2] if "--out" in typed else TUNE), *typed]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}") and err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["full", "others"]


def test_an_agent_that_does_not_fit_is_one_sentence(capsys):
    assert main(["tune", "average-reward", "Pendulum-v1"]) == 2
    assert capsys.readouterr().err.startswith("error: ENV: average-reward cannot be trained in Pendulum-v1: ")


def test_without_optuna_the_line_that_installs_it_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(TUNE) == 2
    assert capsys.readouterr().err == (
        'error: pg-agents tune needs Optuna, which is not installed: pip install -c constraints.txt -e ".[tune]"\n'
    )


@pytest.mark.slow
def test_a_bandit_is_tuned_in_two_processes_one_seed_after_the_other(capsys):
    typed = ["tune", "trpo", "pg/BernoulliBandit-v0", "--trials", "4", "--total-steps", "128", "--seeds", "2"]
    assert main([*typed, "--jobs", "2", "--out", "o", "--num-envs", "4"]) == 0
    assert "(one after the other: num_learners must be 1" in capsys.readouterr().out
    assert [row["state"] for row in rows()].count("complete") + [row["state"] for row in rows()].count("pruned") >= 4
    assert main(["train", "trpo", "--config", "o/best.toml", "--run-dir", "r", "--quiet"]) == 0


@pytest.mark.slow
def test_cartpole_is_tuned_as_one_batch(capsys):
    typed = ["--trials", "3", "--total-steps", "256", "--seeds", "3", "--num-envs", "4", "--num-steps", "16"]
    assert main(["tune", "a2c", "CartPole-v1", *typed, "--out", "o"]) == 0
    assert "3 seeds, 256 steps each (as one batch)" in capsys.readouterr().out
    assert all(len(row["returns"]) == 3 for row in rows()) and len(rows()) == 3
    assert "num_steps" not in rows()[-1]["parameters"] and rows()[-1]["settings"]["arguments"]["num_steps"] == 16


def test_times_as_they_are_typed():
    assert [seconds_of(text) for text in ("90s", "30m", "1.5h", "2d")] == [90, 1_800, 5_400, 172_800]


def test_fresh_seeds_are_none_of_the_trials_and_none_of_results():
    for count in (2, 8, 30):
        seeds = fresh_seeds(range(100, 100 + count))
        assert len(seeds) == 10 and min(seeds) >= 100 + count


def test_a_difference_of_means_and_its_interval():
    apart, low, high = difference([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert apart == -10 and low < -10 < high < 0
    apart, low, high = difference([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [11.0, 12.0, 13.0])
    assert apart == pytest.approx(-7.5) and high - low > 8  # with two degrees of freedom; with seven, below 6
    assert difference([1.0] * 4, [1.0] * 10) == pytest.approx((0, 0, 0), abs=1e-12)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())
VALUES |= st.lists(VALUES, max_size=3)


@given(st.dictionaries(st.text(), VALUES), VALUES)
def test_toml_is_read_as_it_was_written(table, value):
    def with_words(found):
        if isinstance(found, list):
            return [with_words(one) for one in found]
        return "none" if found is None else found

    read = tomllib.loads(toml_text({"value": value, "table": table}, ["a comment", ""]))
    assert read["value"] == with_words(value)
    assert read.get("table", {}) == {name: with_words(one) for name, one in table.items()}


test_seeded_bugs = seeded(
    Bug("seeds of the trials in the last runs", results.fresh_seeds, lambda seeds: tuple(seeds),
        [test_fresh_seeds_are_none_of_the_trials_and_none_of_results]),
)  # fmt: skip
