"""TensorBoard's HPARAMS tab: a run's hyperparameters from its start, its final scores and how it ended from its end."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.metadata import (
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
    parse_session_end_info_plugin_data,
    parse_session_start_info_plugin_data,
)

import pg_agents as pg
from pg_agents.training.hparams import hyperparameters, scores

SUCCESS, FAILURE = 1, 2
ENV = "pg/TwoArmedBandit-v0"


def records(run_dir, tag):
    """Return what the records with a tag hold, in the order of files and in them."""
    events = [
        Event.FromString(record)
        for path in sorted(run_dir.glob("events.out.tfevents.*"))
        for record in RawEventFileLoader(str(path)).Load()
    ]
    return [value.metadata.plugin_data.content for event in events for value in event.summary.value if value.tag == tag]


def start_of(run_dir):
    (content,) = records(run_dir, SESSION_START_INFO_TAG)
    return parse_session_start_info_plugin_data(content)


def ends_of(run_dir):
    return [parse_session_end_info_plugin_data(one).status for one in records(run_dir, SESSION_END_INFO_TAG)]


def finals_of(run_dir):
    """Return the only value of each final score."""
    events = EventAccumulator(str(run_dir), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("summary/")]
    assert all(len(events.Scalars(tag)) == 1 for tag in tags)
    return {tag: events.Scalars(tag)[0].value for tag in tags}


def go(run_dir, total=32, seeds=None, **how):
    agent = pg.Reinforce.for_env(ENV, num_envs=4, learning_rate="0.1:0", **({"seeds": seeds} if seeds else {}))
    return pg.train(agent, ENV, num_envs=4, total_steps=total, run_dir=run_dir, progress=False, **how)


def test_a_run_has_its_hyperparameters_and_its_final_scores(tmp_path):
    result = go(tmp_path / "r", eval_env=ENV, seed=3)
    found = start_of(tmp_path / "r")
    assert found.group_name == "" and found.hparams["learning_rate"].string_value == "0.1:0.0"
    assert found.hparams["env"].string_value == ENV and found.hparams["seed"].number_value == 3
    assert found.hparams["normalize_rewards"].HasField("bool_value")
    assert ends_of(tmp_path / "r") == [SUCCESS]
    last = list(result.evaluations.values())[-1]
    assert finals_of(tmp_path / "r") == pytest.approx(
        {"summary/ep_rew_mean": result.mean_return_last_100, "summary/eval_ep_rew_mean": last}
    )


def test_a_run_that_fails_has_its_hyperparameters_and_says_so(tmp_path):
    def fails(run):
        assert ends_of(tmp_path / "r") == [] and start_of(tmp_path / "r").hparams["agent"].string_value == "reinforce"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        go(tmp_path / "r", probes=[fails])
    assert ends_of(tmp_path / "r") == [FAILURE]


def test_a_run_that_goes_on_begins_and_ends_once(tmp_path):
    go(tmp_path / "r", checkpoint_every=16)
    result = go(tmp_path / "r", 64, resume=True)
    assert start_of(tmp_path / "r").hparams["total_steps"].number_value == 32
    assert ends_of(tmp_path / "r") == [SUCCESS]
    assert finals_of(tmp_path / "r")["summary/ep_rew_mean"] == pytest.approx(result.mean_return_last_100)


def test_several_seeds_are_one_row_with_their_interquartile_mean(tmp_path):
    go(tmp_path / "r", 96, seeds=(3, 5, 9))
    folders = [tmp_path / "r", *(tmp_path / "r" / f"seed-{seed}" for seed in (3, 5, 9))]
    assert {start_of(folder).group_name for folder in folders} == {f"r in {tmp_path.name}"}
    assert [ends_of(folder) for folder in folders] == [[SUCCESS]] * 4
    over = json.loads((tmp_path / "r" / "summary.json").read_text())["over_seeds"]["mean_return_last_100"]
    whole, *each = map(finals_of, folders)
    assert [one["summary/ep_rew_mean"] for one in each] == pytest.approx(over["each"])
    assert whole["summary/ep_rew_iqm"] == pytest.approx(over["interquartile_mean"])
    assert [whole["summary/ep_rew_low"], whole["summary/ep_rew_high"]] == pytest.approx([over["low"], over["high"]])


def test_what_is_neither_a_number_nor_a_truth_value_is_a_text_and_none_is_left_out():
    config = {"agent": "ppo", "seed": 1, "log_every": 5, "networks": {"hidden": [8, 4]}, "env_args": {"split": "a"}}
    config["arguments"] = {"clip": 0.2, "target_kl": None, "normalize_rewards": True, "max_grad_norm": float("inf")}
    expected = {"agent": "ppo", "seed": 1.0, "hidden": "8, 4", "split": "a", "clip": 0.2, "normalize_rewards": True}
    assert hyperparameters(config) == expected | {"max_grad_norm": "inf"}
    assert hyperparameters({"env_args": {"made": {"rows": 4, "torus": True}}}) == {"made": "rows=4, torus=True"}


def test_config_of_somebody_else_is_read_as_far_as_it_can_be():
    config = {"networks": [1], "arguments": "no", "env_args": {"size": 10**400, "rate": float("nan")}}
    found = hyperparameters(config)
    assert found == {"size": str(10**400), "rate": "nan"}


def test_scores_that_there_are_not_are_left_out():
    assert scores({"mean_return_last_100": None, "evaluations": {}}) == {}
    over = {"last_evaluation": {"interquartile_mean": 2.0, "low": None, "high": None}}
    found = scores({"mean_return_last_100": 1, "evaluations": {0: 5.0, 9: 3.0}, "over_seeds": over})
    assert found == {"summary/ep_rew_mean": 1.0, "summary/eval_ep_rew_mean": 3.0, "summary/eval_ep_rew_iqm": 2.0}
