"""The folder of each of several learners is the one that the run of its seed alone would have written."""

import json

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded
from support.resumed import points, rows, summary

import pg_agents as pg
from pg_agents.statistics import interquartile_mean, interval
from pg_agents.training.learners_reports import LearnersReports
from pg_agents.training.progress import RunProgress, rows_of_learners

SEEDS, LEFT = (3, 5, 9), 1
PPO = {"num_steps": 16, "minibatch_size": 32, "epochs": 2, "hidden": (8,), "learning_rate": "1e-2:0"}
HOW = {"num_envs": 4, "progress": False, "eval_env": "pg/CartPole-v1", "checkpoint_every": 10**6}


def trained(run_dir, count, agent=pg.PPO, env="pg/CartPole-v1", options=PPO, total=1600, **seeds):
    """Train one learner or several, in float64, with a row every 160 steps of each and an evaluation every 400."""
    made = agent.for_env(env, num_envs=4, **seeds, **options).double()
    how = HOW | {"eval_env": env, "eval_every": 400 * count, "eval_episodes": 2 * count, "log_every": 160 * count}
    how["checkpoint_every"] *= count
    return made, pg.train(made, env, total_steps=total * count, run_dir=run_dir, seed=seeds.get("seed", 0), **how)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of a learner in that of a run of three, and the one of a run of its own."""
    folder = tmp_path_factory.mktemp("learners")
    trained(folder / "all", len(SEEDS), seeds=SEEDS)
    trained(folder / "one", 1, seed=SEEDS[LEFT])
    return folder / "all" / f"seed-{SEEDS[LEFT]}", folder / "one"


def test_rows_and_points_are_those_of_its_own_run(both):
    its, alone = map(rows, both)
    assert [list(row) for row in its] == [list(row) for row in alone] and len(its) == 13
    for mine, other in zip(its, alone, strict=True):
        assert mine == pytest.approx(other, rel=1e-6)
    its, alone = ([(step, tag) for step, tag, _ in points(folder)] for folder in both)
    assert its == alone


def test_configuration_and_summary_are_those_of_its_own_run(both):
    its, alone = (json.loads((folder / "config.json").read_text()) for folder in both)
    assert its == alone and its["seed"] == SEEDS[LEFT] and its["eval_every"] == 400
    its, alone = map(summary, both)
    assert its.pop("evaluations") == pytest.approx(alone.pop("evaluations"))
    assert its.pop("mean_return_last_100") == pytest.approx(alone.pop("mean_return_last_100"))
    assert its == alone and its["total_steps"] == 1600


@pytest.mark.parametrize("name", ["agent", "best"])
def test_the_saved_agents_are_those_of_its_own_run(both, name):
    its, alone = (pg.load(folder / name).state_dict() for folder in both)
    assert its.keys() == alone.keys()
    for key, value in its.items():
        torch.testing.assert_close(value, alone[key], rtol=0, atol=1e-6)
    assert {file.name for file in both[0].iterdir()} >= {"config.json", "metrics.jsonl", "summary.json"}
    assert sorted(file.name for file in (both[0] / name).iterdir()) == sorted(
        file.name for file in (both[1] / name).iterdir()
    )


def test_the_runs_own_rows_are_the_means_of_the_learners(both):
    of_all = rows(both[0].parent)
    each = [rows(both[0].parent / f"seed-{seed}") for seed in SEEDS]
    for name in ("train/entropy", "eval/ep_rew_mean"):
        for row, *own in zip(of_all, *each, strict=True):
            if name in row:
                assert row[name] == pytest.approx(sum(one[name] for one in own) / 3)
    assert [row["step"] for row in of_all] == [sum(one["step"] for one in own) for own in zip(*each, strict=True)]


def test_the_runs_own_summary_says_what_the_learners_return_together(both):
    found, each = summary(both[0].parent), [summary(both[0].parent / f"seed-{seed}") for seed in SEEDS]
    assert (found["seeds"], found["way"]) == ([*SEEDS], "stacked")
    for name, values in (
        ("mean_return_last_100", [one["mean_return_last_100"] for one in each]),
        ("last_evaluation", [list(one["evaluations"].values())[-1] for one in each]),
    ):
        over = found["over_seeds"][name]
        assert over["each"] == values and over["interquartile_mean"] == interquartile_mean(values)
        assert (over["low"], over["high"]) == interval(values)


def test_the_summary_in_python_has_the_evaluations_of_each(tmp_path):
    _, found = trained(None, 2, seeds=(4, 7), total=800)
    for seed, one in zip((4, 7), found.learners, strict=True):
        _, alone = trained(None, 1, seed=seed, total=800)
        assert one.evaluations == pytest.approx(alone.evaluations) and len(one.evaluations) == 3


def test_tables_have_the_curves_of_their_own(tmp_path):
    trained(tmp_path / "all", 2, pg.Reinforce, "pg/BernoulliBandit-v0", {"learning_rate": 1.0}, seeds=(1, 2))
    its, other = (rows(tmp_path / "all" / f"seed-{seed}")[-1] for seed in (1, 2))
    names = [name for name in its if name.startswith("tabular/")]
    assert names and any(its[name] != other[name] for name in names)
    assert its["train/grad_norm"] != other["train/grad_norm"]
    table = pg.load(tmp_path / "all" / "seed-2" / "agent").policy.probabilities()[0, 0]
    assert [other[name] for name in names] == pytest.approx(table.tolist())


def rates_in(run_dir):
    return [row["train/learning_rate"] for row in rows(run_dir) if "train/learning_rate" in row]


def test_each_has_the_schedules_of_its_own(tmp_path):
    rates = [3e-3, "1e-2:0", "1e-3:0"]
    trained(tmp_path / "all", 3, options=PPO | {"learning_rate": rates}, seeds=SEEDS, total=640)
    found = [rates_in(tmp_path / "all" / f"seed-{seed}") for seed in SEEDS]
    trained(tmp_path / "one", 1, options=PPO | {"learning_rate": rates[1]}, seed=SEEDS[1], total=640)
    assert set(found[0]) == {3e-3} and found[1] == pytest.approx([10 * rate for rate in found[2]])
    assert found[1] == pytest.approx(rates_in(tmp_path / "one")) and len(found[1]) > 2
    config = json.loads((tmp_path / "all" / "seed-9" / "config.json").read_text())
    assert config["arguments"]["learning_rate"] == "0.001:0.0"


def test_a_best_agent_is_what_it_was_at_its_evaluation(tmp_path):
    """Though it is written later, at a checkpoint or at the end."""
    seeds = (3, 5, 9)
    trained(tmp_path / "all", 3, seeds=seeds, total=1200)
    for folder in (tmp_path / "all" / f"seed-{seed}" for seed in seeds):
        evaluated = list(summary(folder)["evaluations"].values())
        best, last = (list(pg.load(folder / name).parameters()) for name in ("best", "agent"))
        as_last = all(map(torch.equal, best, last))
        assert as_last == (max(evaluated[:-1]) < evaluated[-1])


def with_goal(run_dir, total, **seeds):
    """Train one learner or several until the mean return of each is 24."""
    count = len(seeds.get("seeds", (0,)))
    env, other = (gym.make_vec("pg/CartPole-v1", n * count) for n in (4, 2))
    agent = pg.A2C.for_env(env, num_steps=16, hidden=(8,), **seeds).double()
    how = {"eval_env": other, "eval_every": 640 * count, "eval_episodes": 2 * count, "log_every": 320 * count}
    how |= {"seed": seeds.get("seed", 0), "progress": False, "stop_return": 24, "checkpoint_every": 1}
    return pg.train(agent, env, total_steps=total * count, run_dir=run_dir, keep_checkpoints=10**6, **how)


@pytest.mark.slow
def test_who_has_finished_has_the_last_row_and_evaluation_of_its_own_run_and_no_more(tmp_path):
    found = with_goal(tmp_path / "all", 20_000, seeds=SEEDS)
    ends = [one.total_steps for one in found.learners]
    assert len(set(ends)) > 1
    for seed in SEEDS:
        alone = with_goal(tmp_path / f"{seed}", 20_000, seed=seed)
        its, own = rows(tmp_path / "all" / f"seed-{seed}"), rows(tmp_path / f"{seed}")
        steps = [row["step"] for row in its if "train/entropy" in row]
        assert steps == sorted(set(steps)) and its[-1]["step"] == own[-1]["step"] == alone.total_steps
        merged = {name: value for row in its if row["step"] == alone.total_steps for name, value in row.items()}
        kept = {name: value for name, value in own[-1].items() if not name.startswith("train/")}
        assert {name: merged[name] for name in kept} == pytest.approx(kept)
        its, own = (summary(folder) for folder in (tmp_path / "all" / f"seed-{seed}", tmp_path / f"{seed}"))
        assert (its["stopped"], its["total_steps"]) == (own["stopped"], own["total_steps"])
        assert list(its["evaluations"].items())[-1] == list(own["evaluations"].items())[-1]


def of_all_learners(progress, right=rows_of_learners):
    rows, means = right(progress), RunProgress.row(progress)
    return [row | {name: value for name, value in means.items() if name.startswith("train/")} for row in rows]


test_seeded_bugs = seeded(
    Bug(
        "the means of all learners are written for each",
        rows_of_learners,
        of_all_learners,
        [test_tables_have_the_curves_of_their_own],
    ),
    Bug(
        "best agents are saved as they are at the end",
        LearnersReports.save_best,
        lambda self, agent: self._save("best", [(learner, agent.learner(learner)) for learner in self.best]),
        [test_a_best_agent_is_what_it_was_at_its_evaluation],
    ),
)
