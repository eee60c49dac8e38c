"""Curves from files: ours, in its fast and its plain way, and Stable-Baselines3's."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_agents.comparison import json_lines
from pg_agents.comparison.reading import is_run, read_curve
from pg_agents.errors import UserError

RETURN = "rollout/ep_rew_mean"


def write(folder, rows, end="\n", name="metrics.jsonl"):
    (folder / name).write_text("\n".join(rows) + end)
    return folder


def row(step, value, **more):
    return json.dumps({"step": step, "time": 0.1, RETURN: value, **more})


def points(curve):
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


def test_rows_are_points(tmp_path):
    curve = read_curve(write(tmp_path, [row(10, 1.5), row(20, -2e-3, other=4), row(30, 7)]), RETURN)
    assert points(curve) == [(10, 1.5), (20, -2e-3), (30, 7)] and curve.unfit == 0
    assert curve.metrics == (RETURN,)
    assert points(read_curve(tmp_path, "other")) == [(20, 4)]
    assert points(read_curve(tmp_path, "nothing")) == []


def test_a_metric_that_is_not_there_is_asked_for_with_the_names_of_all_rows(tmp_path):
    write(tmp_path, [row(10, 1, early=2), row(20, 2)])
    assert read_curve(tmp_path, "erly").metrics == ("early", RETURN)
    write(tmp_path, [row(10, 1, early=None), row(20, 2)])
    assert "early" in read_curve(tmp_path, "early").metrics


def test_a_metric_may_have_any_name(tmp_path):
    write(tmp_path, [row(10, 1, é=2), json.dumps({"step": 20, "é": 3}, ensure_ascii=False)])
    assert points(read_curve(tmp_path, "é")) == [(10, 2), (20, 3)]
    assert points(read_curve(tmp_path, "\udcff")) == []


def test_a_torn_last_line_is_left_out_and_a_whole_one_without_an_end_is_not(tmp_path):
    whole = [row(10, 1), row(20, 2)]
    for torn in (
        '{"step": 30, "rollout/ep_rew_mean": 3',
        '{"st',
        "\0\0\0",
        '{"step": 30, "rollout/ep_rew_mean": 3.5, "x',
    ):
        assert points(read_curve(write(tmp_path, [*whole, torn], end=""), RETURN)) == [(10, 1), (20, 2)]
    assert points(read_curve(write(tmp_path, whole, end=""), RETURN)) == [(10, 1), (20, 2)]


NO_NUMBERS = [f'{{"step": {step}, "{RETURN}": {value}}}' for step, value in (("1.2.3", 2), (15, "2-3"), ("01", 2))]


@pytest.mark.parametrize(
    "line", ['{"step": 15, "roll', "no JSON", "[1, 2]", '{"step": "x"}', "{}", "[" * 100_000, *NO_NUMBERS]
)
def test_a_damaged_line_between_others_is_one_sentence(tmp_path, line):
    write(tmp_path, [row(10, 1), line, row(20, 2)])
    with pytest.raises(UserError, match=r"runs: .*metrics\.jsonl has a line that is no row .*; remove the line"):
        read_curve(tmp_path, RETURN)


def test_what_is_not_finite_is_counted_where_it_is_newest(tmp_path):
    curve = read_curve(write(tmp_path, [row(1, None), row(2, 5), row(3, float("nan")), row(4, None)]), RETURN)
    assert points(curve) == [(2, 5)] and curve.unfit == 2
    assert points(read_curve(write(tmp_path, [row(1, None), row(2, 10**400)]), RETURN)) == []
    assert points(read_curve(write(tmp_path, [row(1, "7"), row(2, True), row(3, [1])]), RETURN)) == []


def test_the_last_value_after_a_step_counts_and_steps_rise(tmp_path):
    assert points(read_curve(write(tmp_path, [row(20, 1), row(10, 2), row(20, 3)]), RETURN)) == [(10, 2), (20, 3)]
    assert points(read_curve(write(tmp_path, [row(20, 3), row(10, 2), row(20, 1)]), RETURN)) == [(10, 2), (20, 1)]
    assert points(read_curve(write(tmp_path, [row(10, 2), row(float("inf"), 1)]), RETURN)) == [(10, 2)]


TEXTS = st.sampled_from(["", "step", '"step": 7', f'"{RETURN}": 9', '\\"step": 8', "}", "é"])
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(), st.none())
VALUES = st.one_of(NUMBERS, TEXTS, st.booleans())


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), VALUES, TEXTS, VALUES), max_size=5),
    metric=st.sampled_from([RETURN, "a"]),
)
def test_the_fast_way_reads_what_json_reads(rows, metric):
    lines = [json.dumps({"a": of, "text": text, "step": step, RETURN: value}) for step, value, text, of in rows]
    plain = [pair for line in lines for pair in json_lines._pair("", line.encode(), metric)]
    fast = json_lines._pairs("", [line.encode() for line in lines], metric)
    np.testing.assert_equal(fast, plain)


def test_keys_of_tables_within_are_others_and_escaped_ones_are_the_same(tmp_path):
    within = json.dumps({"more": {"step": 5, RETURN: 9}, "step": 10, RETURN: 2})
    escaped = row(20, 3).replace("/", "\\/")
    assert points(read_curve(write(tmp_path, [within, escaped]), RETURN)) == [(10, 2), (20, 3)]


def test_a_logger_of_stable_baselines(tmp_path):
    head = "time/total_timesteps,rollout/ep_rew_mean,eval/mean_reward"
    write(tmp_path, [head, "100,1.5,", "200,,7.25", "300,2.5,", "400,9"], name="progress.csv")
    assert is_run(tmp_path)
    assert points(read_curve(tmp_path, RETURN)) == [(100, 1.5), (300, 2.5)]
    assert points(read_curve(tmp_path, "eval/ep_rew_mean")) == [(200, 7.25)]
    write(
        tmp_path, [head, "100,1.5,", "200,1234.5,"], end="\n300,12,", name="progress.csv"
    )  # the last line is being written
    assert points(read_curve(tmp_path, RETURN)) == [(100, 1.5), (200, 1234.5)]
    write(tmp_path, ["a,b", "1,2"], name="progress.csv")
    with pytest.raises(UserError, match=r"progress\.csv has no column time/total_timesteps"):
        read_curve(tmp_path, RETURN)
    write(tmp_path, [head, "1,x,"], name="progress.csv")
    with pytest.raises(UserError, match=r"has 'x' where a number is to be"):
        read_curve(tmp_path, RETURN)


def test_monitors_of_several_environments_are_one_run(tmp_path):
    header = '#{"t_start": 1.5, "env_id": "CartPole-v1"}'
    write(tmp_path, [header, "r,l,t", "10.0,10,0.5", "30.0,30,2.0"], name="0.monitor.csv")
    write(tmp_path, [header, "r,l,t", "20.0,20,1.0", "4"], name="1.monitor.csv")
    curve = read_curve(tmp_path, RETURN)
    assert curve.env == "CartPole-v1" and points(curve) == [(10, 10), (30, 15), (60, 20)]
    later = header.replace("1.5", "0.75")  # times count from the beginning that each file says
    write(tmp_path, [later, "r,l,t", "20.0,20,1.0", "4"], name="1.monitor.csv")
    assert points(read_curve(tmp_path, RETURN)) == [(20, 20), (30, 15), (60, 20)]


def test_a_monitors_mean_is_of_the_last_100_episodes(tmp_path):
    write(tmp_path, ["#{}", "r,l,t", *(f"{i}.0,1,{i}.0" for i in range(150))], name="monitor.csv")
    curve = read_curve(tmp_path, RETURN)
    assert curve.values[-1] == np.arange(50, 150).mean() and curve.values[9] == 4.5 and curve.env is None
    assert points(read_curve(tmp_path, "rollout/ep_len_mean"))[-1] == (150, 1)


def test_an_episode_whose_return_is_no_number_counts_for_as_long_as_others(tmp_path):
    write(tmp_path, ["r,l,t", *(f"{'nan' if i == 5 else i},10,{i}" for i in range(300))], name="monitor.csv")
    assert points(read_curve(tmp_path, RETURN))[-1] == (3_000, np.arange(200, 300).mean())
    assert len(read_curve(tmp_path, RETURN).values) == 200


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, [row(1, 2)])

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(UserError, match=r"runs: .*metrics\.jsonl cannot be read \(Permission denied\); leave"):
        read_curve(tmp_path, RETURN)
