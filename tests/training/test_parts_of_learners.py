"""Learners from whole episodes each take their part of the steps, and are then the run of their seed alone."""

import json

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_result
from support.resumed import rows
from support.tiny_envs import Dice

import pg_agents as pg
from pg_agents.collection.episode_groups import Groups
from pg_agents.training import loop, restoring
from pg_agents.training.learners_progress import LearnersProgress

SEEDS, PART = (3, 5, 9), 900
SMALL = {"hidden": (8,), "learning_rate": 1e-2}
GROUPED = SMALL | {"group_size": 2}
CASES = {  # agent, environment, vector form, options
    "reinforce": ("reinforce", "pg/CartPole-v1", None, SMALL | {"learning_rate": "1e-2:1e-3"}),
    "reinforce-baseline": ("reinforce-baseline", "CartPole-v1", "sync", SMALL),
    "grpo": ("grpo", "CartPole-v1", "sync", GROUPED),
    "rloo": ("rloo", "pg/CartPole-v1", None, GROUPED),
}
SLOW = "reinforce-baseline", "rloo"
EACH = [pytest.param(case, marks=pytest.mark.slow) if case in SLOW else case for case in CASES]


def trained(case, part=PART, b=4, **how):
    """Train learners of `seeds`, or one of `seed`, for `part` steps each."""
    name, env_id, mode, options = CASES[case]
    which = {key: how.pop(key) for key in ("seeds", "seed") if key in how}
    count = len(which.get("seeds", [0]))
    env = gym.make_vec(env_id, b * count, **({} if mode is None else {"vectorization_mode": mode}))
    agent = pg.AGENTS[name].for_env(env, **which, **options).double()
    how = {"progress": False} | how
    summary = pg.train(agent, env, total_steps=part * count, seed=which.get("seed", 0), **how)
    env.close()
    return agent, summary


def apart(one, other):
    """Return the largest difference of two agents' parameters."""
    theirs = other.state_dict()
    return max(float((value - theirs[name]).abs().max()) for name, value in one.state_dict().items() if value.numel())


@pytest.mark.parametrize("case", EACH)
def test_each_learner_takes_as_many_steps_as_its_run_alone_and_has_learned_the_same(case):
    together, summary = trained(case, seeds=SEEDS)
    steps = [one.total_steps for one in summary.learners]
    assert min(steps) >= PART and summary.total_steps == sum(steps) and len({*steps}) > 1
    assert summary.stopped is None and [one.stopped for one in summary.learners] == [None] * 3
    for i, seed in enumerate(SEEDS):
        alone, its = trained(case, seed=seed)
        assert (its.total_steps, its.episodes) == (steps[i], summary.learners[i].episodes)
        assert apart(alone, together.learner(i)) < 1e-6


def test_who_has_taken_its_part_is_not_collected_any_more():
    seen = []
    trained("reinforce", seeds=SEEDS, log_every=1, probes=[lambda run: seen.append(run.rollout.mask.shape[1])])
    assert seen[0] == 12 and {*seen} <= {12, 8, 4} and min(seen) < 12 and seen == sorted(seen, reverse=True)


def test_without_a_way_to_part_them_all_go_on_until_they_have_taken_the_steps_together(monkeypatch):
    monkeypatch.setattr(loop, "takes_its_part", lambda agent, collector: False)
    _, summary = trained("reinforce", seeds=SEEDS)
    assert min(one.total_steps for one in summary.learners) < PART <= summary.total_steps / 3


def test_learners_from_steps_stay_together():
    """Gymnasium's resets are steps that none learns from, and differ."""
    agent = pg.A2C.for_env("CartPole-v1", num_envs=4, seeds=SEEDS, num_steps=16, hidden=(8,))
    seen = []
    probe = lambda run: seen.append(run.rollout.mask.shape[1])  # noqa: E731
    pg.train(agent, "CartPole-v1", num_envs=4, total_steps=3 * PART, log_every=1, probes=[probe], progress=False)
    assert {*seen} == {12}


@pytest.mark.parametrize("case", EACH)
def test_a_run_that_is_cut_off_after_one_has_left_goes_on_with_the_same_bits(case, tmp_path):
    how = {"seeds": SEEDS, "log_every": 300, "checkpoint_every": 100}
    whole, all_at_once = trained(case, run_dir=tmp_path / "whole", **how)

    class EnoughError(Exception):
        pass

    def cut(run):
        if run.progress.learners.finished.any():
            raise EnoughError

    with pytest.raises(EnoughError):
        trained(case, run_dir=tmp_path / "parts", probes=[cut], **how)
    resumed, summary = trained(case, run_dir=tmp_path / "parts", resume=True, **how)
    assert [*summary.resumed_from.values()] == ["exactly"]
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert [one.total_steps for one in summary.learners] == [one.total_steps for one in all_at_once.learners]


def test_with_more_steps_those_who_had_left_go_on_too(tmp_path, capsys):
    how = {"seeds": SEEDS, "run_dir": tmp_path / "r", "progress": True}
    first, before = trained("reinforce", **how)
    again, summary = trained("reinforce", part=2 * PART, resume=True, **how)
    steps = [one.total_steps for one in summary.learners]
    assert min(steps) >= 2 * PART and [*summary.resumed_from] == [before.total_steps]
    assert "with new episodes: a learner that had taken its part of fewer steps goes on, too" in capsys.readouterr().out
    assert all(apart(first.learner(i), again.learner(i)) > 1e-4 for i in range(3))
    config = json.loads((tmp_path / "r" / "seed-5" / "summary.json").read_text())
    assert config["total_steps"] == steps[1] and config["stopped"] is config["cut_off"] is None
    assert rows(tmp_path / "r" / "seed-5")[-1]["step"] == steps[1]


def test_a_learner_that_had_left_goes_on_alone(tmp_path, capsys):
    left = []
    probe = lambda run: left.append(run.progress.learners.finished.copy())  # noqa: E731
    trained("reinforce", seeds=SEEDS, run_dir=tmp_path / "r", log_every=1, probes=[probe])
    its = int(next(finished for finished in left if finished.any()).argmax())
    folder = tmp_path / "r" / f"seed-{SEEDS[its]}"
    _, summary = trained("reinforce", part=2 * PART, seed=SEEDS[its], run_dir=folder, resume=True, progress=True)
    assert summary.total_steps >= 2 * PART and summary.seed == SEEDS[its] and summary.stopped is None
    assert "with new episodes: it had taken its part of the steps before others" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a2c", "reinforce", "grpo"])
def test_in_environments_without_a_state_each_begins_new_episodes_as_its_run_alone_would(name, tmp_path):
    options = {"a2c": {"num_steps": 8}, "reinforce": {}, "grpo": {"group_size": 2}}[name]

    def twice(run_dir, count, its=0, **seeds):
        same_step = gym.vector.AutoresetMode.SAME_STEP
        env = gym.vector.SyncVectorEnv([lambda: Dice(ends=0.1)] * (4 * count), autoreset_mode=same_step)
        for part in (320, 640):
            agent = pg.AGENTS[name].for_env(env, **seeds, hidden=(8,), learning_rate=1e-2, **options).double()
            how = {"total_steps": part * count, "seed": its, "progress": False}
            summary = pg.train(agent, env, run_dir=run_dir, resume=part == 640, **how)
        assert [*summary.resumed_from.values()] == ["with new episodes"]
        return agent

    together = twice(tmp_path / "all", 3, seeds=SEEDS)
    for i, seed in enumerate(SEEDS):
        assert apart(twice(tmp_path / str(seed), 1, seed, seed=seed), together.learner(i)) < 1e-6


def test_groups_of_some_learners_draw_what_they_would_have_drawn():
    groups, alone = Groups(12, 2, list(SEEDS)), Groups(4, 2, SEEDS[2])
    groups.seeds(), alone.seeds()
    some = groups.of_learners([0, 2])
    assert some.ids.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] and some.seeds()[4:] == alone.seeds()
    assert groups.ids.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


test_seeded_bugs = seeded(
    Bug(
        "who has taken its part goes on with the others",
        LearnersProgress.complete,
        lambda self, total_steps, seconds: None,
        [(test_each_learner_takes_as_many_steps_as_its_run_alone_and_has_learned_the_same, "reinforce")],
    ),
    Bug(
        "learners begin new episodes with one seed",
        restoring._seeds_after,
        with_result(restoring._seeds_after, lambda seeds: [seeds[0]] * len(seeds)),
        [(test_in_environments_without_a_state_each_begins_new_episodes_as_its_run_alone_would, "a2c")],
    ),
    Bug(
        "groups of those who go on are seeded as those of the first",
        Groups.of_learners,
        lambda self, learners, of=Groups.of_learners: of(self, [*range(len(learners))]),
        [test_groups_of_some_learners_draw_what_they_would_have_drawn],
    ),
    Bug(
        "who had left never goes on",
        LearnersProgress.go_on,
        lambda self, total_steps: None,
        [test_with_more_steps_those_who_had_left_go_on_too],
    ),
)
