"""Curves on common steps, scores, and what is doubtful of them."""

import numpy as np
import pytest
from support.bugs import Bug, seeded
from support.run_folders import RETURN, make, make_seeds

from pg_agents.comparison import measures
from pg_agents.comparison.caveats import caveats_of
from pg_agents.comparison.finding import runs_in
from pg_agents.comparison.groups import panels_of
from pg_agents.comparison.measures import band_of, height, measure, span
from pg_agents.comparison.runs import read_runs
from pg_agents.statistics import improvement_interval, interquartile_mean, interval, probability_of_improvement


def panel(*paths, by=()):
    (found,) = panels_of(read_runs(runs_in(paths), RETURN)[0], by)
    return found


def runs(*paths):
    return panel(*paths).runs


def test_a_band_is_the_interquartile_mean_with_its_interval_at_steps_of_all_runs(tmp_path):
    for seed, values in enumerate([(0, 10), (2, 6), (1, 31), (5, 5)]):
        make(tmp_path / "g" / f"seed-{seed}", values, steps=[100 - 10 * seed, 300 + 10 * seed])
    band = band_of(runs(tmp_path / "g"))
    assert (band.steps[0], band.steps[-1]) == (100, 300) and len(band.steps) == measures.POINTS
    last = [10, 2 + 4 * 210 / 220, 1 + 30 * 220 / 240, 5]
    assert band.values[-1] == pytest.approx(interquartile_mean(last))
    assert (band.low[-1], band.high[-1]) == pytest.approx(interval(last))
    middle = [np.interp(band.steps[20], run.curve.steps, run.curve.values) for run in runs(tmp_path / "g")]
    assert band.values[20] == pytest.approx(interquartile_mean(middle))


def test_the_band_of_one_run_is_the_run(tmp_path):
    band = band_of(runs(make(tmp_path / "r", (3, 1, 2))))
    assert band.steps.tolist() == [100, 200, 300]
    assert band.values.tolist() == band.low.tolist() == band.high.tolist() == [3, 1, 2]


def test_a_band_ends_with_its_shortest_run_but_stopped_runs_stay_where_they_are(tmp_path):
    make(tmp_path / "g" / "seed-0", (0, 4), steps=[0, 400])
    make(
        tmp_path / "g" / "seed-1",
        (0, 2),
        steps=[0, 200],
        summary={"stopped": "stop_return=2: …"},
    )
    made = runs(tmp_path / "g")
    assert span(made) == (0, 400)
    assert band_of(made).values[-1] == 3  # of 4 and 2
    assert height(made[1], *span(made)) == pytest.approx((1 * 200 + 2 * 200) / 400)
    make(tmp_path / "g" / "seed-2", (0, 1), steps=[0, 100], summary={"cut_off": "killed"})
    assert span(runs(tmp_path / "g")) == (0, 100)
    assert span(made[1:]) == (0, 200)  # all were stopped


def test_runs_that_share_no_steps_have_no_band_and_no_area(tmp_path):
    make(tmp_path / "g" / "seed-0", (0, 4), steps=[0, 100])
    make(tmp_path / "g" / "seed-1", (0, 2), steps=[200, 300])
    (row,) = measure(panel(tmp_path / "g"), {}).scores
    assert band_of(runs(tmp_path / "g")).values.size == 0 and row.area is None and row.each == (4, 2)
    make(tmp_path / "h", (1, 1), steps=[400, 900], agent="h")
    assert "; there are no steps that all have" in said(tmp_path / "g", tmp_path / "h")


def test_scores_are_of_last_values_and_areas_of_common_steps(tmp_path):
    make_seeds(tmp_path / "a", lambda seed: [0, 2 + seed], seeds=5, agent="a")
    make_seeds(tmp_path / "b", lambda seed: [0, 1, 3 * seed], seeds=4, agent="b")
    measured = measure(panel(tmp_path / "a", tmp_path / "b"), {"optimum": 7.0})
    a, b = measured.scores
    each, others = [2, 3, 4, 5, 6], [0, 3, 6, 9]
    assert (a.each, b.each) == (tuple(each), tuple(others)) and measured.common == (100, 200)
    assert (a.middle, a.interval, a.median) == (interquartile_mean(each), interval(each), 4)
    assert a.area == interquartile_mean([1, 1.5, 2, 2.5, 3]) and b.area == 0.5
    assert (a.better, a.better_interval, measured.against) == (None, None, "a")
    assert b.better == probability_of_improvement(others, each)
    assert b.better_interval == improvement_interval(others, each)
    assert measure(panel(tmp_path / "a", tmp_path / "b"), {}, "b").scores[0].better == pytest.approx(1 - b.better)


def test_scores_of_skewed_values_are_the_statistics_they_are_called(tmp_path):
    make_seeds(tmp_path / "a", lambda seed: [0, [0, 1, 2, 3, 100][seed]], seeds=5, agent="a")
    make_seeds(tmp_path / "b", lambda seed: [0, [0, 3, 9][seed]], seeds=3, agent="b")
    a, b = measure(panel(tmp_path / "a", tmp_path / "b"), {}).scores
    # of 5 runs the middle half is ¾ of the 1, the 2 and ¾ of the 3; of 3 a quarter of the 0, the 3 and of the 9
    assert (a.middle, a.median, a.area) == pytest.approx(((0.75 * 1 + 2 + 0.75 * 3) / 2.5, 2, 1))
    assert (b.middle, b.median, b.area) == pytest.approx(((0.25 * 0 + 3 + 0.25 * 9) / 1.5, 3, 1.75))


def test_one_run_has_no_intervals(tmp_path):
    make(tmp_path / "a", agent="a")
    make_seeds(tmp_path / "b", lambda seed: [seed, seed], agent="b")
    a, b = measure(panel(tmp_path / "a", tmp_path / "b"), {}).scores
    assert a.interval is None and b.interval is not None and b.better is not None and b.better_interval is None


def said(*paths, by=()):
    return "\n".join(caveats_of(panel(*paths, by=by)))


def test_nothing_is_said_of_runs_that_are_enough_whole_and_equally_long(tmp_path):
    make_seeds(tmp_path / "a", lambda seed: [seed, 1], seeds=10, agent="a", total_steps=200)
    make_seeds(tmp_path / "b", lambda seed: [seed, 1], seeds=11, agent="b")
    assert said(tmp_path / "a", tmp_path / "b") == ""


def test_what_is_doubtful_is_said_with_names(tmp_path):
    make_seeds(tmp_path / "few", lambda seed: [seed, 1], seeds=3, agent="few", total_steps=200)
    few = "95 % intervals of 3 runs hold the IQM or the median in no more than 75 %: use at least 10 seeds (few)"
    assert few in said(tmp_path / "few")
    make(tmp_path / "one", (1, None, float("nan")), agent="one", total_steps=300)
    text = said(tmp_path / "one", tmp_path / "few")
    assert "an interval needs at least 2 runs, got 1: use at least 10 seeds (one)" in text
    assert "95 % intervals of 3 runs" in text
    assert "not finished, and what they have reached counts: one" in text
    assert "the newest values are not finite, and the last finite one counts: one" in text
    make(tmp_path / "long", agent="long", steps=[100, 900], summary={"cut_off": "error: x"})
    text = said(tmp_path / "long", tmp_path / "few")
    assert "long has up to 900 steps and few 200: last values are not" in text and "not finished" in text
    make(tmp_path / "early", agent="early", summary={"stopped": "stop_return=500: …"})
    assert "stopped before" not in said(tmp_path / "early")
    assert "some runs ended once they had reached what they were to" in said(tmp_path / "early")


def test_a_run_that_something_else_has_stopped_is_not_held_to_be_good(tmp_path):
    make(tmp_path / "g" / "seed-0", (0, 4), steps=[0, 400])
    make(tmp_path / "g" / "seed-1", (0, 2), steps=[0, 200], summary={"stopped": "the policy collapsed"})
    assert span(runs(tmp_path / "g")) == (0, 200)
    text = said(tmp_path / "g")
    assert "ended once they had reached" not in text
    assert "stopped before all their steps, and what they have reached counts: g/seed-1 (stopped: the pol" in text


def test_runs_of_a_group_that_are_not_equally_long_are_told(tmp_path):
    make_seeds(tmp_path / "g", lambda seed: [seed, 1], seeds=9, agent="g")
    make(tmp_path / "g" / "seed-9", steps=[100, 900], agent="g", seed=9)
    text = said(tmp_path / "g")
    assert "runs of g have 200 to 900 steps: last values are not after as many; means over steps are over 100" in text
    make(tmp_path / "h", agent="h", steps=[100, 900])
    text = said(tmp_path / "g", tmp_path / "h")
    assert "runs of g have 200 to 900 steps: last" in text  # and its longest is as long as h


def test_nothing_is_said_of_runs_that_are_about_as_long_or_were_stopped(tmp_path):
    make(tmp_path / "a", agent="a", steps=[100, 200])
    make(tmp_path / "b", agent="b", steps=[100, 210])
    make(tmp_path / "c", agent="b", steps=[100, 400], summary={"stopped": "stop_return=500: …"})
    assert "steps and" not in said(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    make(tmp_path / "d", agent="b", steps=[100, 211])
    assert "b has up to 211 steps and a 200" in said(tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "d")


def test_a_run_that_counts_twice_is_named(tmp_path):
    for name in ("x", "y"):
        make(tmp_path / name, agent="a", seed=0, arguments={"clip": 0.2})
    make(tmp_path / "z", agent="a", seed=0, arguments={"clip": 0.3})
    assert "counts twice: y" in said(tmp_path / "x", tmp_path / "y", tmp_path / "z", by=["agent"])
    assert "twice" not in said(tmp_path / "x", tmp_path / "z", by=["agent"])
    assert "twice" not in said(tmp_path / "x", tmp_path / "y")


test_seeded_bugs = seeded(
    Bug(
        "the table has means",
        measures.interquartile_mean,
        lambda values: float(np.mean(values)),
        [test_scores_of_skewed_values_are_the_statistics_they_are_called],
    ),
    Bug(
        "the table has no medians",
        measures.median,
        interquartile_mean,
        [test_scores_of_skewed_values_are_the_statistics_they_are_called],
    ),
    Bug(
        "curves go on with the runs that are left",
        measures.span,
        lambda runs: (min(run.curve.steps[0] for run in runs), max(run.curve.steps[-1] for run in runs)),
        [
            test_a_band_ends_with_its_shortest_run_but_stopped_runs_stay_where_they_are,
            test_a_band_is_the_interquartile_mean_with_its_interval_at_steps_of_all_runs,
        ],
    ),
)
