"""Runs, their folders and their groups."""

from pathlib import Path

import pytest
from support.run_folders import RETURN, make

from pg_agents.comparison.finding import runs_in, search
from pg_agents.comparison.groups import panels_of
from pg_agents.comparison.runs import read_runs
from pg_agents.errors import UserError


def names(*paths):
    return [found.name for found in runs_in(paths)]


def groups(*paths, by=()):
    """Return the labels of the groups of each panel, with the names of their runs."""
    panels = panels_of(read_runs(runs_in(paths), RETURN)[0], by)
    return {panel.title: {group.label: [run.name for run in group.runs] for group in panel.groups} for panel in panels}


def test_a_folder_of_seeds_is_its_seeds_and_a_folder_of_runs_its_runs(tmp_path):
    make(tmp_path / "all" / "ppo")
    for seed in (2, 10, 0):
        make(tmp_path / "all" / "ppo" / f"seed-{seed}")
    make(tmp_path / "all" / "a2c")
    make(tmp_path / "all" / "a2c" / "best")
    (tmp_path / "all" / "nothing").mkdir()
    seeds = ["ppo/seed-0", "ppo/seed-2", "ppo/seed-10"]
    assert names(tmp_path / "all" / "ppo") == seeds
    assert names(tmp_path / "all") == ["all/a2c", *(f"all/{seed}" for seed in seeds)]
    assert names(tmp_path / "all" / "a2c", tmp_path / "all") == ["a2c", *(f"all/{seed}" for seed in seeds)]


def test_runs_are_found_in_folders_of_any_name_but_not_at_any_depth(tmp_path):
    make(tmp_path / "x" / "best" / "ppo")
    assert names(tmp_path / "x") == ["x/best/ppo"]
    make(tmp_path / "y" / "1" / "2" / "3" / "4")
    make(tmp_path / "y" / "1" / "2" / "3" / "z" / "5")
    assert names(tmp_path / "y") == ["y/1/2/3/4"]


def test_names_say_no_more_of_a_path_than_was_typed(tmp_path, monkeypatch):
    make(tmp_path / "runs" / "ppo")
    monkeypatch.chdir(tmp_path / "runs")
    assert names(Path(".")) == names(Path("../runs")) == names(tmp_path / "runs") == ["runs/ppo"]
    assert names(Path("ppo")) == names(Path("ppo"), tmp_path / "runs" / "ppo") == ["ppo"]


def test_links_lead_to_runs_and_folders_of_runs_but_not_in_a_circle(tmp_path):
    make(tmp_path / "a" / "run")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a" / "itself")
    assert names(tmp_path / "a") == ["a/run"]
    make(tmp_path / "b" / "seed-0")
    make(tmp_path / "disk" / "1")
    make(tmp_path / "disk" / "deep" / "er" / "run")
    (tmp_path / "b" / "seed-1").symlink_to(tmp_path / "disk" / "1")
    assert names(tmp_path / "b") == ["b/seed-0", "b/seed-1"]
    (tmp_path / "c").mkdir()
    for linked in ("a", "b", "disk"):
        (tmp_path / "c" / linked).symlink_to(tmp_path / linked)
    assert names(tmp_path / "c") == ["c/a/run", "c/b/seed-0", "c/b/seed-1"]  # disk/1 is there already


def test_folders_of_one_name_are_told_apart(tmp_path, monkeypatch):
    for where in ("old", "new"):
        make(tmp_path / where / "x" / "mine")
    assert names(tmp_path / "old" / "x" / "mine", tmp_path / "new" / "x" / "mine") == ["old/x/mine", "new/x/mine"]
    assert list(groups(tmp_path / "old" / "x" / "mine", tmp_path / "new" / "x" / "mine")[""]) == [
        "old/x/mine",
        "new/x/mine",
    ]
    monkeypatch.chdir(tmp_path / "old")
    assert names(Path("x"), Path("../new/x")) == ["x/mine", "new/x/mine"]
    make(tmp_path / "old" / "y")
    make(tmp_path / "y")
    assert names(Path("y"), Path("../y")) == ["old/y", f"{tmp_path.name}/y"]


def test_of_several_paths_those_without_runs_are_left_out(tmp_path):
    make(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.png").touch()
    (tmp_path / "compared").mkdir()
    (tmp_path / "compared" / "comparison.html").touch()
    found, left_out = search(sorted(tmp_path.iterdir()))
    assert [one.name for one in found] == ["a"] and [path.name for path in left_out] == ["empty", "x.png"]
    with pytest.raises(UserError, match="compared holds no run"):
        search([tmp_path / "compared", tmp_path / "x.png"])
    with pytest.raises(UserError, match="nothing does not exist"):
        search([tmp_path / "a", tmp_path / "nothing"])


@pytest.mark.parametrize(
    ("path", "said"), [("no", "does not exist"), ("file", "is no folder"), ("empty", "holds no run")]
)
def test_what_is_no_run_is_one_sentence(tmp_path, path, said):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"\Aruns: .*{path} {said}[^\n]*; give folders"):
        runs_in([tmp_path / path])
    with pytest.raises(UserError, match="runs: none are named"):
        runs_in([])


def test_groups_are_of_the_agent_and_what_differs_in_an_environment(tmp_path):
    for seed, rate in ((0, 0.1), (1, 0.1), (0, 0.01)):
        settings = {"arguments": {"learning_rate": rate, "clip": 0.2}, "env": "X-v0", "seed": seed, "torch": str(rate)}
        make(tmp_path / f"ppo-{rate}-{seed}", agent="ppo", **settings, num_envs=8)
    make(tmp_path / "a2c", agent="a2c", env="X-v0", seed=0, num_envs=4)
    make(tmp_path / "ppo-other", agent="ppo", env="Y-v0", seed=0, num_envs=2, arguments={"learning_rate": 0.1})
    found = groups(tmp_path)
    assert {title: list(inside) for title, inside in found.items()} == {
        "X-v0": ["a2c", "ppo learning_rate=0.01", "ppo learning_rate=0.1"],
        "Y-v0": ["ppo learning_rate=0.1"],
    }
    assert len(found["X-v0"]["ppo learning_rate=0.1"]) == 2


def test_numbers_that_differ_by_little_are_different_settings(tmp_path):
    for i, gamma in enumerate((0.9999999, 1.0, 1)):
        make(tmp_path / f"r{i}", agent="ppo", seed=i, arguments={"gamma": gamma})
    assert list(groups(tmp_path)[""]) == ["ppo gamma=0.9999999", "ppo gamma=1"]


def test_a_setting_that_old_runs_do_not_say_makes_no_group(tmp_path):
    make(tmp_path / "old", agent="ppo", seed=0, arguments={"clip": 0.2})
    make(tmp_path / "new", agent="ppo", seed=1, arguments={"clip": 0.2, "target_kl": None})
    assert list(groups(tmp_path)[""]) == ["ppo"]


def test_networks_that_are_the_default_differ_from_others(tmp_path):
    ours = {"agent": "ppo", "parameters": 10}  # config.json has the options of networks that are no defaults
    make(tmp_path / "plain", seed=0, networks={}, **ours)
    make(tmp_path / "wide", seed=0, networks={"hidden": [256]}, **ours)
    make(tmp_path / "normal", seed=0, networks={"normalize_observations": True}, **ours)
    assert sorted(groups(tmp_path)[""]) == [
        "ppo normalize_observations=default hidden=[256]",
        "ppo normalize_observations=default hidden=default",
        "ppo normalize_observations=true hidden=default",
    ]
    make(tmp_path / "others", agent="ppo", seed=1, networks={"hidden": [256]})  # of another program: what it leaves out
    assert list(groups(tmp_path / "wide", tmp_path / "others")[""]) == ["ppo"]  # may be anything


def test_evaluations_in_other_environments_are_other_panels(tmp_path):
    for name, steps in (("a", 200), ("b", 500)):
        make(tmp_path / name, agent="a", env="X-v0", eval_env_args={"max_episode_steps": steps})
    assert list(groups(tmp_path)) == ["X-v0"]  # they have learned in the same one
    for name in ("a", "b"):
        (tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "eval/ep_rew_mean": 2}\n')
    panels = panels_of(read_runs(runs_in([tmp_path]), "eval/ep_rew_mean")[0])
    assert [one.title for one in panels] == [f"X-v0, evaluated with max_episode_steps={n}" for n in (200, 500)]


def test_equal_runs_in_two_folders_are_told_apart(tmp_path):
    for folder in ("before", "after"):
        for seed in (0, 1):
            make(tmp_path / folder / f"seed-{seed}", agent="ppo", seed=seed)
    assert list(groups(tmp_path / "before", tmp_path / "after")[""]) == ["ppo before", "ppo after"]
    for name in ("one", "other"):
        make(tmp_path / name, agent="a2c")
    assert list(groups(tmp_path / "one", tmp_path / "other")[""]) == [
        "a2c"
    ]  # their seeds may differ: nothing says them


def test_runs_without_a_configuration_are_named_by_their_folders(tmp_path):
    for name in ("mine/seed-0", "mine/seed-1", "mine2-seed3", "mine2-seed4", "lr-0.01", "width_64"):
        make(tmp_path / "x" / name)
    labels = groups(tmp_path / "x")[""]
    assert {label: len(runs) for label, runs in labels.items()} == {
        "x/lr-0.01": 1,
        "x/mine": 2,
        "x/mine2": 2,
        "x/width_64": 1,
    }


def test_groups_by_settings(tmp_path):
    for seed in (0, 1):
        for rate in (0.1, 0.2):
            make(tmp_path / f"{seed}-{rate}", agent="ppo", seed=seed, env="X-v0", arguments={"learning_rate": rate})
    assert list(groups(tmp_path, by=["agent"])["X-v0"]) == ["ppo"]
    assert list(groups(tmp_path, by=["seed"])["X-v0"]) == ["seed=0", "seed=1"]
    by_both = groups(tmp_path, by=["agent", "learning_rate"])
    assert by_both == groups(tmp_path, by=["agent", "arguments.learning_rate"])
    assert list(by_both["X-v0"]) == ["ppo, learning_rate=0.1", "ppo, learning_rate=0.2"]
    with pytest.raises(UserError, match=r"by: no run's config.json has 'learning_rat'; did you mean learning_rate"):
        groups(tmp_path, by=["learning_rat"])


def test_a_key_that_may_be_two_is_asked_for_in_full(tmp_path):
    make(tmp_path / "r", a={"size": 1}, b={"size": 2})
    with pytest.raises(UserError, match=r"by: 'size' may be a\.size or b\.size; write it in full"):
        groups(tmp_path, by=["size"])


def test_seeds_of_different_environments_are_no_groups(tmp_path):
    for env in ("X-v0", "Y-v0"):
        make(tmp_path / env, env=env, seed=0)
    with pytest.raises(UserError, match=r"by: seed, .*X-v0, Y-v0.*; give runs of one environment"):
        groups(tmp_path, by=["seed"])


def test_panels_are_of_environments_with_their_arguments(tmp_path):
    make(tmp_path / "a", env="CartPole-v1", agent="a")
    make(tmp_path / "b", env="pg/CartPole-v1", agent="b")
    make(tmp_path / "c", env="CartPole-v1", agent="b", env_args={"sutton_barto_reward": True})
    make(tmp_path / "d", env="CartPole-v1", agent="b", env_args={"vectorization_mode": "async"})
    for name, tables in (("e", {"x": 1, "y": 2}), ("f", {"y": 2, "x": 1})):
        make(tmp_path / name, env="Z-v0", agent=name, env_args={"size": tables})
    assert {title: list(labels) for title, labels in groups(tmp_path).items()} == {
        'Z-v0, size={"x": 1, "y": 2}': ["e", "f"],
        "pg/CartPole-v1": ["a", "b"],
        "CartPole-v1, sutton_barto_reward=true": ["b"],
        "CartPole-v1": ["b"],
    }


def test_runs_without_values_are_left_out_and_said(tmp_path):
    make(tmp_path / "x" / "a")
    make(tmp_path / "x" / "b", values=())
    runs, said = read_runs(runs_in([tmp_path / "x"]), RETURN)
    assert [run.name for run in runs] == ["x/a"]
    assert said == [f"left out, as no row has a finite {RETURN}: x/b"]


def test_runs_of_which_none_has_a_value_are_one_sentence(tmp_path):
    make(tmp_path / "a", values=())
    make(tmp_path / "b", values=(None, None))
    for name, metric, said in (
        ("a", RETURN, "runs: a has no row of metrics yet"),
        ("b", RETURN, f"runs: b has no finite value of {RETURN}"),
        ("b", "rollout/ep_rew", rf"metric: no row of b has 'rollout/ep_rew'; there are {RETURN}"),
    ):
        with pytest.raises(UserError, match=said):
            read_runs(runs_in([tmp_path / name]), metric)


@pytest.mark.parametrize("text", ["{", "[]", "3", "[" * 100_000, "\0"])
def test_a_damaged_configuration_is_one_sentence(tmp_path, text):
    (make(tmp_path / "r") / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"runs: .*config\.json (is damaged|holds no table)[^\n]*; repair it"):
        groups(tmp_path / "r")


@pytest.mark.parametrize(
    "config",
    [
        {"env": 3, "agent": None, "env_args": [1], "wrappers": 3, "known_returns": {"optimal": "x", "random": True}},
        {"agent": ["x"], "seed": {}, "arguments": None, "known_returns": 3},
    ],
)
def test_a_configuration_of_other_types_is_read(tmp_path, config):
    make(tmp_path / "r", **config)
    assert list(groups(tmp_path / "r")) == [""]
    assert read_runs(runs_in([tmp_path / "r"]), RETURN)[0][0].known == {}
