"""A learner that goes on alone is the run that it would have been among the others, and that of its seed alone."""

import json
import shutil
from contextlib import contextmanager

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_result
from support.resumed import rows, stopped_after, summary

import pg_agents as pg
from pg_agents.checkpoints.store import checkpoints_in, read_checkpoint
from pg_agents.collection import learner_state
from pg_agents.errors import SavedFilesError
from pg_agents.locks import lock, release
from pg_agents.manifest import seal
from pg_agents.training import checkpointing, learner_apart

SEEDS = (3, 5, 9)
STEPS = {"num_steps": 8, "hidden": (8,)}
PPO = STEPS | {"num_steps": 16, "minibatch_size": 32, "epochs": 2, "learning_rate": "1e-2:0"}
CASES = {
    "ppo": (pg.PPO, "pg/CartPole-v1", PPO),
    "ppo, scales": (pg.PPO, "pg/Pendulum-v1", PPO | {"normalize_observations": True, "normalize_rewards": True}),
    "ppo, an early end": (pg.PPO, "pg/CartPole-v1", PPO | {"target_kl": 1e-4}),
    "ppo, a memory": (pg.PPO, "pg/CartPole-v1", PPO | {"hidden": None, "recurrent": 4}),
    "an overlap": (pg.ActorCritic, "pg/CartPole-v1", {"hidden": (8,)}),
    "single environments": (pg.A2C, "CartPole-v1", STEPS),
    "a reference": (pg.A2C, "pg/CartPole-v1", STEPS | {"kl_weight": 0.1}),
    "episodes": (pg.ReinforceBaseline, "pg/Chain-v0", {"baseline": "running-average"}),
    "a bandit": (pg.Reinforce, "pg/BernoulliBandit-v0", {}),
}
TOTAL, UPDATES = {"an overlap": 60, "episodes": 3000, "a bandit": 40}, 10


def made(env_id, count):
    if env_id == "CartPole-v1":
        return gym.make_vec(env_id, count, vectorization_mode="sync")
    return gym.make_vec(env_id, count)


def trained(case, run_dir, total=None, evaluated=True, **seeds):
    """Train learners, or one, in float64, with a checkpoint after every update."""
    kind, env_id, options = CASES[case]
    count = len(seeds.get("seeds", (0,)))
    total = (total or TOTAL.get(case, 4 * options.get("num_steps", 1) * UPDATES)) * count
    env = made(env_id, 4 * count)
    agent = kind.for_env(env, **seeds, **options).double()
    how = {"run_dir": run_dir, "seed": seeds.get("seed", 0), "log_every": total // 4, "progress": False}
    if evaluated:
        how |= {"eval_env": made(env_id, 2 * count), "eval_every": total // 4, "eval_episodes": 2 * count}
    pg.train(agent, env, total_steps=total, checkpoint_every=1, keep_checkpoints=1000, resume=True, **how)
    return agent


def check_equal(mine, other):
    assert len(rows(mine)) == len(rows(other)) > 4
    for its, theirs in zip(rows(mine), rows(other), strict=True):
        assert its == pytest.approx(theirs, rel=1e-6, abs=1e-6, nan_ok=True)
    its, theirs = summary(mine), summary(other)
    assert its.pop("evaluations") == pytest.approx(theirs.pop("evaluations"))
    assert its.pop("mean_return_last_100") == pytest.approx(theirs.pop("mean_return_last_100"))
    assert its == theirs
    for name in ("agent", "best"):
        states = [pg.load(folder / name).state_dict() for folder in (mine, other)]
        assert states[0].keys() == states[1].keys()
        for key, value in states[0].items():
            torch.testing.assert_close(value, states[1][key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_learner_goes_on_alone_as_among_the_others_and_as_alone_from_the_beginning(case, tmp_path):
    trained(case, tmp_path / "whole", seeds=SEEDS)
    place = stopped_after(tmp_path / "whole", tmp_path / "again", 4)
    trained(case, place / "seed-5", seed=5)
    check_equal(place / "seed-5", tmp_path / "whole" / "seed-5")
    ((steps, way),) = json.loads((place / "seed-5" / "summary.json").read_text())["resumed_from"].items()
    assert way == "exactly" and 0 < int(steps) < summary(place / "seed-5")["total_steps"]
    trained(case, tmp_path / "alone", seed=5)
    check_equal(place / "seed-5", tmp_path / "alone")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of learners in environments of their own."""
    folder = tmp_path_factory.mktemp("apart") / "whole"
    trained("ppo", folder, seeds=SEEDS)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_goes_on_from_checkpoints_of_its_own_and_the_others_leave_its_folder_alone(whole, tmp_path, capsys):
    place = stopped_after(whole, tmp_path / "again", 4)
    trained("ppo", place / "seed-5", total=500, seed=5)
    trained("ppo", place / "seed-5", total=1000, seed=5)
    last = json.loads((place / "seed-5" / "summary.json").read_text())
    assert last["total_steps"] >= 1000 and list(last["resumed_from"].values()) == ["exactly"] * 2
    before = contents(place / "seed-5")
    how = {"env": made("pg/CartPole-v1", 12), "total_steps": 1920, "run_dir": place, "resume": True}
    agent = pg.PPO.for_env(how["env"], seeds=SEEDS, **PPO).double()
    pg.train(agent, eval_env=made("pg/CartPole-v1", 6), eval_episodes=6, keep_checkpoints=9, **how)
    assert "learners seed-5 went on alone: what is in these folders stays as it is" in capsys.readouterr().out
    assert contents(place / "seed-5") == before
    for name in ("seed-3", "seed-9", "."):
        assert rows(place / name) == rows(whole / name) and summary(place / name) == summary(whole / name)


def test_it_is_refused_while_the_others_go_on_and_they_while_it_does(whole, tmp_path):
    place = stopped_after(whole, tmp_path / "again", 4)
    with holding(place), pytest.raises(ValueError, match=r"the run in .*again goes on with this learner; wait for its"):
        trained("ppo", place / "seed-5", seed=5)
    with holding(place / "seed-9"), pytest.raises(ValueError, match=r"run_dir: .*seed-9 is being written by another"):
        trained("ppo", place, seeds=SEEDS)


@contextmanager
def holding(run_dir):
    claim = lock(run_dir / "metrics.jsonl")
    try:
        yield
    finally:
        release(claim)


def test_a_kill_before_its_first_checkpoint_changes_nothing(whole, tmp_path):
    """The agent with which it begins is there, and rows after the others' checkpoint are gone; both come again."""
    place = stopped_after(whole, tmp_path / "again", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing.Checkpoints, "save", lambda self, run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trained("ppo", place / "seed-5", seed=5)
    assert (place / "seed-5" / "checkpoints" / "start").is_dir()
    shutil.copytree(place, tmp_path / "other")
    trained("ppo", place / "seed-5", seed=5)
    check_equal(place / "seed-5", whole / "seed-5")
    trained("ppo", tmp_path / "other", seeds=SEEDS)
    check_equal(tmp_path / "other" / "seed-5", whole / "seed-5")


def test_the_newest_sound_checkpoint_of_all_is_used(whole, tmp_path):
    place = stopped_after(whole, tmp_path / "again", 4)
    newest = list(checkpoints_in(place / "checkpoints"))[-1]
    (newest / "state.json").write_text("{}")
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged .*; the one before is used"):
        trained("ppo", place / "seed-5", seed=5)
    check_equal(place / "seed-5", whole / "seed-5")


@pytest.mark.parametrize("lost", ["seeds", "progress", "collector", "position"])
def test_a_checkpoint_that_lacks_a_part_is_refused(whole, tmp_path, lost):
    place = stopped_after(whole, tmp_path / "again", 4)
    for path in checkpoints_in(place / "checkpoints"):
        state = json.loads((path / "state.json").read_text())
        del state["state"]["run"][lost]
        (path / "state.json").write_text(json.dumps(state))
        seal(path)
    before = contents(place)
    with pytest.raises((SavedFilesError, ValueError), match="does not fit|has no learner of seed 5, it has"):
        trained("ppo", place / "seed-5", seed=5)
    assert contents(place) == before


def test_where_all_rows_have_one_generator_it_begins_new_episodes_and_says_so(tmp_path, capsys):
    how = {"run_dir": tmp_path / "all", "checkpoint_every": 1}
    env = gym.make_vec("CartPole-v1", 8, vectorization_mode="vector_entry_point")
    pg.train(pg.A2C.for_env(env, seeds=(3, 5), **STEPS), env, total_steps=640, **how)
    alone = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    agent = pg.A2C.for_env(alone, seed=5, **STEPS)
    found = pg.train(agent, alone, total_steps=640, seed=5, run_dir=tmp_path / "all" / "seed-5", resume=True)
    said = capsys.readouterr().out
    assert "with new episodes: the running ones are given up, as CartPole-v1 has one generator for all rows" in said
    assert list(found.resumed_from.values()) == ["with new episodes"] and found.total_steps >= 640


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("seed-7", {"seed": 7}, r"run_dir: the run in .* has no learner of seed 7, it has \[3, 5, 9\]"),
        ("seed-5", {"seed": 7}, "seed: the run to resume has 5, got 7; give it the same"),
        ("seed-5", {"seed": 5, "num_envs": 6}, "num_envs: the run to resume has 4, got 6"),
        ("seed-5", {"seed": 5, "keep_checkpoints": 0}, "a learner that goes on alone needs checkpoints of its own"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(whole, tmp_path, name, how, said):
    place = stopped_after(whole, tmp_path / "again", 4)
    if name == "seed-7":
        shutil.copytree(place / "seed-5", place / "seed-7")
    before = contents(place)
    env = made("pg/CartPole-v1", how.pop("num_envs", 4))
    agent = pg.PPO.for_env(env, **PPO).double()
    with pytest.raises(ValueError, match=said):
        pg.train(
            agent, env, total_steps=640, run_dir=place / name, eval_env=made("pg/CartPole-v1", 2), resume=True, **how
        )
    assert contents(place) == before


@pytest.mark.parametrize("form", ["pg/CartPole-v1", "CartPole-v1"])
def test_after_others_have_finished_it_goes_on_alone_as_with_them_and_who_has_finished_is_complete(tmp_path, form):
    def trained(run_dir, total, **seeds):
        env = made(form, 4 * len(seeds.get("seeds", (0,))))
        agent = pg.A2C.for_env(env, num_steps=16, hidden=(8,), **seeds).double()
        how = {"stop_return": 24, "checkpoint_every": 1, "keep_checkpoints": 10**6, "seed": seeds.get("seed", 0)}
        return pg.train(agent, env, total_steps=total, run_dir=run_dir, resume=True, **how)

    found = trained(tmp_path / "whole", 60_000, seeds=SEEDS).learners
    first, last = (choose(found, key=lambda one: one.total_steps).seed for choose in (min, max))
    paths = list(checkpoints_in(tmp_path / "whole" / "checkpoints"))
    cut = next(i for i, path in enumerate(paths) if read_checkpoint(path).run["progress"]["learners"]["finished"].any())
    place = stopped_after(tmp_path / "whole", tmp_path / "again", cut + 1)
    end = trained(place / f"seed-{last}", 20_000, seed=last)
    assert (end.stopped, list(end.resumed_from.values())) == (found[SEEDS.index(last)].stopped, ["exactly"])
    assert end.total_steps == found[SEEDS.index(last)].total_steps
    states = [pg.load(folder / f"seed-{last}" / "agent").state_dict() for folder in (place, tmp_path / "whole")]
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=0, atol=1e-6)
    done = trained(place / f"seed-{first}", 20_000, seed=first)
    assert (done.stopped, done.total_steps) == (
        found[SEEDS.index(first)].stopped,
        found[SEEDS.index(first)].total_steps,
    )


test_seeded_bugs = seeded(
    Bug(
        "the first learner's rows are taken",
        learner_state.state_of_rows,
        lambda env, state, rows, right=learner_state.state_of_rows: right(env, state, slice(0, env.num_envs)),
        [(test_a_learner_goes_on_alone_as_among_the_others_and_as_alone_from_the_beginning, "ppo")],
    ),
    Bug(
        "the episodes of one rollout are the recent ones",
        learner_apart._progress_of,
        with_result(learner_apart._progress_of, lambda state: {**state, "recent": state["recent"][:1]}),
        [(test_a_learner_goes_on_alone_as_among_the_others_and_as_alone_from_the_beginning, "ppo")],
    ),
)
