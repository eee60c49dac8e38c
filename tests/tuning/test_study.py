"""Trials: scored by the lower end of an interval, given up below others, worst where they fail; studies go on."""

import math
import time

import optuna
import pytest
from support.bugs import Bug, seeded

from pg_agents.errors import UserError
from pg_agents.statistics import interval
from pg_agents.training.tuned import Tuned
from pg_agents.tuning import results, study
from pg_agents.tuning.results import best_of, rows_of
from pg_agents.tuning.space import Dimension, Space
from pg_agents.tuning.study import Budget, as_json, begin, open_study, run_trials, settings_of
from pg_agents.tuning.task import Task

TASK = Task("ppo", "X-v0", (100, 101, 102, 103), 1_000, {}, None, {}, {}, ())
RATE = Dimension("learning_rate", 1e-4, 1.0)


@pytest.fixture
def space():
    known = {"defaults": TASK.settings(8, {"learning_rate": 0.01}), "tuned": TASK.settings(16, {"learning_rate": 0.02})}
    return Space(TASK, (RATE,), known, {"defaults": {"learning_rate": 0.01}, "tuned": {"learning_rate": 0.02}})


@pytest.fixture
def returns(monkeypatch):
    """Replace training by a function of the learning rate and the evaluation."""

    def replaced(found):
        def returns_of(task, settings, seeds, report):
            for point in (1, 2, 3):
                values = [found(settings.arguments["learning_rate"], point) + i for i in range(len(seeds))]
                report(point, values)
            return values

        monkeypatch.setattr(study, "returns_of", returns_of)

    return replaced


def tried(space, trials, storage=None, seed=0):
    opened = open_study(storage, "a study", seed)
    begin(opened, space)
    run_trials(opened, space, Budget(None, trials, 0.0))
    return rows_of(opened)


def test_known_settings_are_first_and_scores_are_lower_ends(space, returns):
    returns(lambda rate, point: -abs(math.log(rate / 0.1)))
    rows = tried(space, 30)
    assert [row["origin"] for row in rows] == ["defaults", "tuned"] + 28 * ["search"]
    assert [row["settings"] for row in rows[:2]] == [as_json(one) for one in space.known.values()]
    for row in rows:
        assert row["returns"] and row["lower_ends"][-1] == pytest.approx(interval(row["returns"], 0.95)[0])
    best = best_of(rows)
    assert abs(math.log10(best["parameters"]["learning_rate"]) + 1) < 0.3 and best["score"] > rows[0]["score"]


def test_a_trial_is_given_up_below_others_but_known_settings_never(space, returns):
    returns(lambda rate, point: -100.0 if rate in (0.01, 0.02) else -abs(math.log(rate / 0.1)))
    rows = tried(space, 30)
    given_up = [row for row in rows if row["state"] == "pruned"]
    assert given_up and all(len(row["lower_ends"]) < 3 and row["score"] is None for row in given_up)
    assert [row["state"] for row in rows[:2]] == ["complete", "complete"]
    assert max(row["lower_ends"][-1] for row in given_up) < best_of(rows)["score"]


def test_known_settings_that_come_late_are_not_given_up_either(space, returns):
    returns(lambda rate, point: -100.0 if rate == 0.01 else rate)
    opened = open_study(None, "a study", 0)
    for _ in range(8):
        opened.add_trial(optuna.trial.create_trial(value=1.0, intermediate_values={1: 1.0, 2: 1.0, 3: 1.0}))
    begin(opened, space)
    run_trials(opened, space, Budget(None, 10, 0.0))
    late = rows_of(opened)[8:]
    assert {row["origin"]: row["state"] for row in late} == {"defaults": "complete", "tuned": "complete"}


def test_defaults_that_diverge_do_not_end_the_study(space, returns):
    def found(rate, point):
        if rate == 0.01:
            raise FloatingPointError("the gradient is not finite")
        return rate

    returns(found)
    rows = tried(space, 4)
    assert rows[0]["state"] == "failed" and rows[0]["error"].startswith("FloatingPointError: ")
    assert best_of(rows) is not rows[0] and best_of(rows, ("defaults",)) is None


def test_settings_that_fail_are_worst_and_do_not_end_the_study(space, returns):
    def found(rate, point):
        if rate > 0.1:
            raise FloatingPointError("the gradient is not finite")
        return math.nan if rate < 1e-3 else rate

    returns(found)
    rows = tried(space, 25)
    failed = [row for row in rows if row["state"] == "failed"]
    assert {row["parameters"]["learning_rate"] > 0.1 for row in failed} == {True, False}
    assert all(row["score"] is None and row["error"] for row in failed) and len(rows) == 25
    assert best_of(rows)["score"] == max(row["score"] for row in rows if row["state"] == "complete")


def test_what_is_wrong_with_the_defaults_is_an_error(space, returns):
    def found(rate, point):
        raise ValueError("env_args: it is wrong")

    returns(found)
    with pytest.raises(ValueError, match="env_args: it is wrong"):
        tried(space, 2)


def test_a_study_in_a_database_goes_on(space, returns, folder):
    returns(lambda rate, point: rate)
    storage = "journal:trials.log"
    first = tried(space, 4, storage)

    def interrupted(rate, point):
        raise KeyboardInterrupt

    returns(interrupted)
    with pytest.raises(KeyboardInterrupt):
        tried(space, 6, storage)
    returns(lambda rate, point: rate)
    rows = tried(space, 6, storage)
    assert rows[:4] == first
    assert [row["origin"] for row in rows].count("defaults") == 1
    assert [row["state"] for row in rows].count("failed") == 1 and len(rows) == 7
    drawn = [row["parameters"].get("learning_rate") for row in rows[2:] if row["state"] != "failed"]
    assert len(set(drawn)) == len(drawn)


def test_defaults_that_were_interrupted_are_tried_again(space, returns, folder):
    def interrupted(rate, point):
        raise KeyboardInterrupt

    returns(interrupted)
    with pytest.raises(KeyboardInterrupt):
        tried(space, 6, "journal:trials.log")
    returns(lambda rate, point: rate)
    rows = tried(space, 2, "journal:trials.log")
    assert [(row["origin"], row["state"]) for row in rows] == [
        ("defaults", "failed"), ("tuned", "complete"), ("defaults", "complete"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_trial_is_made_up_for(space, returns, folder, monkeypatch):
    monkeypatch.setattr(study, "HEARTBEAT", 1)
    returns(lambda rate, point: rate)
    opened = open_study("sqlite:///k.db", "a study")
    begin(opened, space)
    killed = opened.ask()  # and its process is gone
    opened._storage.record_heartbeat(killed._trial_id)
    begun = time.time()
    rows = tried(space, 2, "sqlite:///k.db")
    assert 1 < time.time() - begun < 30
    assert [(row["origin"], row["state"]) for row in rows if row["state"] != "complete"] == [("defaults", "failed")]
    assert sorted(row["origin"] for row in rows if row["state"] == "complete") == ["defaults", "tuned"]


def test_trials_elsewhere_are_waited_for_only_where_time_is_left_and_they_may_be_missing(space, returns, folder):
    returns(lambda rate, point: rate)
    opened = open_study("sqlite:///k.db", "a study")
    begin(opened, space)
    opened.tell(opened.ask(), 1.0)
    assert not Budget(None, 2, 0.0).awaits(opened)  # another may begin here
    opened.ask()  # by another process
    assert Budget(None, 2, 0.0).awaits(opened) and not Budget(None, 2, 0.0).allows(opened)
    assert not Budget(time.time() - 1, 2, 0.0).awaits(opened) and not Budget(None, 1, 0.0).awaits(opened)
    assert not Budget(None, None, 0.0).awaits(opened) and not Budget(None, 3, 0.0).awaits(opened)


def test_another_task_does_not_go_into_the_same_study(space, returns, folder):
    returns(lambda rate, point: rate)
    tried(space, 2, "journal:trials.log")
    other = Space(Task(**vars(TASK) | {"total_steps": 2_000}), space.dimensions, space.known, space.parameters)
    with pytest.raises(UserError, match=r"^storage: the study a study there was made with total_steps=1000; give"):
        tried(other, 2, "journal:trials.log")


def test_a_study_goes_on_with_another_device_and_time_limit(space, returns, folder):
    returns(lambda rate, point: rate)
    tried(space, 2, "journal:trials.log")
    other = Task(**vars(TASK) | {"device": "cuda", "step_timeout": 5.0})
    assert len(tried(Space(other, space.dimensions, space.known, space.parameters), 3, "journal:trials.log")) == 3


@pytest.mark.parametrize("storage", ["nothing", "sqlite:////no/such/folder/x.db", "unknown://x"])
def test_a_storage_that_cannot_be_opened_is_one_sentence(storage):
    with pytest.raises(UserError, match="^storage: "):
        open_study(storage, "a study", 0)


def test_a_budget_keeps_time_for_the_last_runs(space, returns):
    opened = open_study(None, "a study", 0)
    begin(opened, space)
    assert Budget(time.time() - 1, None, 1.0).allows(opened)  # known settings wait
    assert not Budget(None, 0, 1.0).allows(opened)
    returns(lambda rate, point: rate)
    run_trials(opened, space, Budget(None, 2, 0.0))
    longest = max(trial.user_attrs["seconds"] for trial in opened.get_trials(deepcopy=False))
    assert Budget(time.time() + 3_600 + 3 * longest, None, 2.0).allows(opened)
    assert not Budget(time.time() - 1, None, 2.0).allows(opened)
    opened.add_trial(optuna.trial.create_trial(value=0.0, user_attrs={"seconds": 1_000.0}))
    assert not Budget(time.time() + 2_900, None, 2.0).allows(opened)  # one trial, and the last runs
    assert Budget(time.time() + 3_100, None, 2.0).allows(opened)


def test_of_equal_scores_the_one_that_was_high_sooner_is_best():
    rows = [
        {"trial": i, "origin": "search", "score": 1.0, "lower_ends": [ends, 1.0]}
        for i, ends in enumerate((0, 0.9, 0.5))
    ]
    assert best_of(rows)["trial"] == 1
    assert best_of([*rows, {"trial": 3, "origin": "search", "score": None, "lower_ends": [9.0]}])["trial"] == 1


def test_evaluations_of_a_trial_stand_in_their_order(space, returns):
    returns(lambda rate, point: point)
    for row in tried(space, 2):
        assert row["lower_ends"] == sorted(row["lower_ends"]) and len(row["lower_ends"]) == 3
        assert row["lower_ends"][-1] == row["score"]


def test_settings_come_back_from_json():
    settings = Tuned(4, 100, {"hidden": (8, 8), "learning_rate": 0.1}, {"a": 1}, ("ClipReward:max_reward=1",))
    assert settings_of(as_json(settings)) == settings


test_seeded_bugs = seeded(
    Bug("scores are means", study.lower, lambda returns: sum(returns) / len(returns),
        [test_known_settings_are_first_and_scores_are_lower_ends]),
    Bug("the newest trial is the best", results.best_of, lambda rows, origins=None: rows[-1],
        [test_settings_that_fail_are_worst_and_do_not_end_the_study]),
)  # fmt: skip
