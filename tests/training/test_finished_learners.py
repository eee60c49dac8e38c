"""Learners that have reached `stop_return` leave the batch; each is the run that its seed would have been alone."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.agents.common import some_learners
from pg_agents.collection.fewer_rows import FewerRows
from pg_agents.collection.waiting import Still
from pg_agents.generators import Generators
from pg_agents.training.active import Active
from pg_agents.training.learners_progress import LearnersProgress
from pg_agents.training.loop import make_collector

SEEDS = (3, 5, 9)
SMALL = {"hidden": (8,), "learning_rate": 3e-3}
SHARES = {"learning_rate": "3e-3:1e-3", "entropy_weight": ["0.01:0", 0.0, 0.02]}
A2C = SMALL | {"num_steps": 16}
CASES = {  # agent, environment, vector form, options, stop_return
    "a2c": ("a2c", "CartPole-v1", "sync", A2C, 24),
    "a2c, native": ("a2c", "pg/CartPole-v1", None, A2C, 24),
    "a2c, processes": ("a2c", "CartPole-v1", "async", A2C, 8),
    "a2c, schedules of their own": ("a2c", "CartPole-v1", "sync", A2C | SHARES, 24),
    "a2c, all that is kept": (
        "a2c",
        "CartPole-v1",
        "sync",
        {
            "num_steps": 16,
            "recurrent": 6,
            "learning_rate": 3e-3,
            "normalize_rewards": True,
            "normalize_observations": True,
        },
        8,
    ),
    "actor-critic": ("actor-critic", "pg/CartPole-v1", None, SMALL, 8),
    "ppo": ("ppo", "CartPole-v1", "sync", A2C | {"epochs": 2, "minibatch_size": 32, "target_kl": 0.01}, 24),
    "reinforce": ("reinforce", "CartPole-v1", "sync", {"hidden": (8,), "learning_rate": 1e-2}, 24),
    "reinforce-baseline": ("reinforce-baseline", "pg/CartPole-v1", None, {"hidden": (8,), "learning_rate": 1e-2}, 24),
}


def make(env_id, count, mode):
    how = {} if mode is None else {"vectorization_mode": mode}
    return gym.make_vec(env_id, count, **how)


def trained(case, total_steps, b=4, **how):
    name, env_id, mode, options, goal = CASES[case]
    seeds = how.pop("seeds", None)
    which = {"seed": how["seed"]} if seeds is None else {"seeds": list(seeds)}
    if seeds is None:
        its = SEEDS.index(how["seed"])
        options = {key: value[its] if isinstance(value, list) else value for key, value in options.items()}
    env = make(env_id, b * len(seeds or [0]), mode)
    agent = pg.AGENTS[name].for_env(env, **which, **options).double()
    summary = pg.train(agent, env, total_steps=total_steps, stop_return=goal, progress=False, **how)
    env.close()
    return agent, summary


def same(one, other):
    """Return the largest difference of two agents' parameters and buffers."""
    pairs = [(value, other.state_dict()[name]) for name, value in one.state_dict().items() if value.numel()]
    return max(float((a - b).abs().max()) for a, b in pairs)


def some_fast(cases, fast):
    """Return cases as parameters, of which those that are not `fast` are slow."""
    return [case if case in fast else pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("case", some_fast(CASES, ("a2c, native", "a2c, schedules of their own", "ppo", "reinforce")))
def test_each_learner_is_its_run_with_stop_return(case):
    together, summary = trained(case, 60_000, seeds=SEEDS)
    ends = [one.total_steps for one in summary.learners]
    assert len(set(ends)) > 1 and summary.total_steps == sum(ends) < 60_000
    assert str(summary.stopped).endswith("the newest episodes of each of 3 learners return as much")
    for i, seed in enumerate(SEEDS):
        alone, its = trained(case, 20_000, seed=seed)
        mine = summary.learners[i]
        assert same(alone, together.learner(i)) < 1e-6
        assert (mine.total_steps, mine.episodes, mine.recent_episodes) == (
            its.total_steps,
            its.episodes,
            its.recent_episodes,
        )
        assert mine.stopped == its.stopped and mine.mean_return_last_100 == pytest.approx(its.mean_return_last_100)
        assert mine.wall_seconds <= summary.wall_seconds


@pytest.mark.parametrize("case", some_fast(("a2c", "a2c, native"), ("a2c, native",)))
def test_a_learner_that_does_not_get_there_takes_its_part_of_the_steps_and_goes_on_alone(case):
    _, whole = trained(case, 60_000, seeds=SEEDS)
    ends = sorted(one.total_steps for one in whole.learners)
    part = (ends[1] + ends[2]) // 2  # two are there, the last one is not
    columns = []
    agent, summary = trained(
        case, 3 * part, seeds=SEEDS, log_every=1, probes=[lambda run: columns.append(run.rollout.mask.shape[1])]
    )
    assert summary.stopped is None
    last = next(i for i, one in enumerate(summary.learners) if one.stopped is None)
    assert sorted(one.total_steps for one in summary.learners)[:2] == ends[:2]
    assert part <= summary.learners[last].total_steps < part + 64
    assert {12, 8, 4} >= set(columns) and columns[-1] == 4  # no rows of those who have finished
    alone, _ = trained(case, summary.learners[last].total_steps, seed=SEEDS[last])
    assert same(alone, agent.learner(last)) < 1e-6


def stopped_after_one(case, tmp_path):
    """Return the steps at which one learner of a run has finished, and the others have not."""
    ends = []

    def probe(run):
        if run.progress.learners.finished.any():
            ends.append(run.steps)
            run.stop("one has finished")

    trained(case, 60_000, seeds=SEEDS, log_every=1, probes=[probe])
    return ends[0]


RESUMED = "a2c", "a2c, native", "a2c, schedules of their own", "ppo", "reinforce"


@pytest.mark.parametrize("case", some_fast(RESUMED, ("a2c, native",)))
def test_a_run_that_is_resumed_goes_on_without_those_that_had_finished(case, tmp_path):
    steps = stopped_after_one(case, tmp_path) + 300
    how = {"seeds": SEEDS, "log_every": 500}
    whole, all_at_once = trained(case, 60_000, run_dir=tmp_path / "whole", **how)

    class EnoughError(Exception):
        pass

    def cut(run):
        if run.steps >= steps:
            raise EnoughError

    with pytest.raises(EnoughError):
        trained(case, 60_000, run_dir=tmp_path / "parts", checkpoint_every=200, probes=[cut], **how)
    columns = []
    resumed, summary = trained(
        case,
        60_000,
        run_dir=tmp_path / "parts",
        resume=True,
        probes=[lambda run: columns.append(run.rollout.mask.shape[1])],
        **how,
    )
    assert max(columns) < 12 and list(summary.resumed_from.values()) == ["exactly"]
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert [(one.total_steps, one.stopped) for one in summary.learners] == [
        (one.total_steps, one.stopped) for one in all_at_once.learners
    ]
    _, again = trained(case, 60_000, run_dir=tmp_path / "parts", resume=True, seeds=SEEDS)
    assert again.total_steps == summary.total_steps and again.stopped == summary.stopped


def test_the_environment_is_as_it_was_for_the_next_run():
    env = make("CartPole-v1", 12, "sync")
    agent = pg.A2C.for_env(env, seeds=SEEDS, **A2C)
    pg.train(agent, env, total_steps=60_000, stop_return=30, progress=False)
    assert isinstance(env, SyncVectorEnv) and not any(isinstance(one, Still) for one in env.envs)
    rollout = next(make_collector(agent, env, 0))
    assert rollout.mask.shape == (16, 12)
    again = pg.train(agent, env, total_steps=600, progress=False)  # the optimizer has counted steps of each
    assert [one.stopped for one in again.learners] == [None] * 3


def test_rows_that_cannot_be_held_play_on_unseen():
    class Counted(gym.vector.VectorWrapper):
        def step(self, actions):
            assert actions.shape == (4,)
            observations, *rest, infos = super().step(actions)
            rest[0] = np.arange(4.0)
            return observations, *rest, infos | {"own": np.arange(4), "inner": {"own": np.arange(4)}}

    env = FewerRows(Counted(make("CartPole-v1", 4, "sync")), np.array([1, 3]))
    assert env.reset(seed=[7, 8])[0].shape == env.observation_space.shape == (2, 4)
    observation, rewards, terminated, truncated, infos = env.step(np.array([1, 0]))
    assert observation.shape == (2, 4) and rewards.tolist() == [1, 3] and terminated.shape == truncated.shape == (2,)
    assert infos["own"].tolist() == infos["inner"]["own"].tolist() == [1, 3]
    assert env.of_all(np.array([True, False]), otherwise=True).tolist() == [True, True, True, False]
    alone, _ = make("CartPole-v1", 2, "sync").reset(seed=[7, 8])
    assert np.array_equal(env.reset(seed=[7, 8])[0], alone)


def test_an_agent_of_own_networks_says_that_it_cannot_be_parted():
    env = make("CartPole-v1", 4, "sync")
    made = pg.A2C.for_env(env, num_learners=2, hidden=(8,))
    agent = pg.A2C(policy=made.policy, critic=made.critic)
    with pytest.raises(ValueError, match="stop_return=5: learners that have reached it leave .* your own networks"):
        pg.train(agent, env, total_steps=100, stop_return=5, progress=False)
    pg.train(agent, env, total_steps=100, progress=False)


EXACT = test_each_learner_is_its_run_with_stop_return
test_seeded_bugs = seeded(
    Bug(
        "those who go on act with the generators of the first",
        Generators.part,
        lambda self, learners, part=Generators.part: part(self, range(len(learners))),
        [(EXACT, "a2c, native")],
    ),
    Bug(
        "their moments are forgotten",
        some_learners._moments,
        with_result(some_learners._moments, lambda found: ({}, found[1])),
        [(EXACT, "a2c, native")],
    ),
    Bug(
        "what they learn is not given back",
        Active.whole,
        lambda self: self.agent,
        [(EXACT, "a2c, native")],
    ),
    Bug(
        "rows of the first learners are seen",
        FewerRows.__init__,
        lambda self, env, rows, init=FewerRows.__init__: init(self, env, np.arange(len(rows))),
        [(EXACT, "a2c, native")],
    ),
    Bug(
        "schedules follow the mean of the learners",
        LearnersProgress.shares_before,
        lambda self, total_steps: float(min(1, self.steps_before.sum() / total_steps)),
        [(EXACT, "a2c, schedules of their own")],
    ),
    Bug(
        "the others have all of the steps that are left",
        LearnersProgress.share,
        lambda self, total_steps: self.steps.sum() / total_steps,
        [(test_a_learner_that_does_not_get_there_takes_its_part_of_the_steps_and_goes_on_alone, "a2c, native")],
    ),
)  # fmt: skip
