"""Learners that learn from whole episodes are their single runs, however long the others' episodes take."""

from functools import partial

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded
from support.masked_envs import doors

import pg_agents as pg
from pg_agents.agents.common import groups
from pg_agents.collection import waiting
from pg_agents.collection.episode_groups import Groups
from pg_agents.collection.waiting import Waiting
from pg_agents.generators import Generators
from pg_agents.seeding import seeds_of
from pg_agents.training.loop import make_collector

SEEDS = (3, 5, 9)
SMALL = {"hidden": (8,)}
# At the default rate two single runs that differ by 4e-16 in one parameter differ by 2e-7 after 100 updates; not here.
GROUPS = {"hidden": (8,), "group_size": 2, "epochs": 2, "minibatch_size": 32, "learning_rate": 1e-3}
TABLES = {"group_size": 2, "advantage": "batch-standardized", "minibatch_size": 16}
LOSS = {"kl_weight": 0.1, "kl_penalty": "k3-loss", "entropy_weight": 0.01, "advantage": "centred"}
MEMORY = {"recurrent": 6, "num_steps": None, "epochs": 2, "minibatch_size": 32}


def native(env_id):
    return lambda mode, rows: gym.make_vec(env_id, rows, autoreset_mode=mode)


def single(env_id):
    return lambda mode, rows: SyncVectorEnv([partial(gym.make, env_id)] * rows, autoreset_mode=mode)


CASES = {  # the agent, its environment, its options, the environments of each learner
    "reinforce": ("reinforce", native("pg/CartPole-v1"), SMALL, 3),
    "reinforce, one episode": ("reinforce", native("pg/CartPole-v1"), SMALL, 1),
    "reinforce, single environments": ("reinforce", single("CartPole-v1"), SMALL, 3),
    "reinforce, pairs of single environments": ("reinforce", single("FrozenLake-v1"), {"learning_rate": 0.5}, 2),
    "value": ("reinforce-baseline", native("pg/CartPole-v1"), SMALL | {"normalize_advantages": True}, 4),
    "value, cut": ("reinforce-baseline", native("pg/CartPole-v1"), SMALL | {"max_episode_steps": 15}, 2),
    "value, cut single environments": ("reinforce-baseline", single("CartPole-v1"), {"max_episode_steps": 25}, 2),
    "tables": ("reinforce-baseline", native("pg/GridWorld-v0"), {"normalize_rewards": True}, 2),
    "ppo, a memory": ("ppo", native("pg/CartPole-v1"), MEMORY, 2),
    "scales": ("a2c", native("pg/CartPole-v1"), {"num_steps": None, "normalize_observations": True}, 2),
    "grpo": ("grpo", native("pg/CartPole-v1"), GROUPS, 4),
    "grpo, a divergence in the reward": ("grpo", native("pg/CartPole-v1"), GROUPS | {"kl_weight": 0.1}, 4),
    "grpo, a divergence in the loss": ("grpo", single("CartPole-v1"), GROUPS | LOSS, 4),
    "grpo, all steps alike": ("grpo", native("pg/GridWorld-v0"), TABLES | {"aggregation": "token-mean"}, 4),
    "grpo, groups of all": ("grpo", native("pg/CartPole-v1"), SMALL | {"minibatch_size": None}, 3),
    "grpo, a memory": ("grpo", native("pg/CartPole-v1"), GROUPS | {"hidden": None, "recurrent": 6}, 4),
    "rloo": ("rloo", native("pg/CartPole-v1"), SMALL | {"group_size": 2}, 4),
    "rloo, a divergence in the reward": ("rloo", native("pg/CartPole-v1"), SMALL | {"kl_weight": 0.1}, 4),
    "rloo, tables": ("rloo", native("pg/GridWorld-v0"), {"group_size": 2, "kl_weight": 0.1}, 4),
    "rloo, a memory": ("rloo", single("CartPole-v1"), {"recurrent": 6, "entropy_weight": 0.01}, 2),
    "masks": ("reinforce", lambda mode, rows: doors(mode, rows), SMALL, 2),
    "masks of one episode": ("reinforce", lambda mode, rows: doors(mode, rows, form="list"), SMALL, 1),
    "masks in observations": ("reinforce", lambda mode, rows: doors(mode, rows, where="observation"), SMALL, 2),
    "masks of choices": ("reinforce", lambda mode, rows: doors(mode, rows, action="multi", form="tuple"), SMALL, 2),
}  # fmt: skip


class Learning:
    """An agent in float64 that learns in environments, and how long the episodes of each learner took."""

    def __init__(self, case, mode, **seeds):
        name, make, options, b = CASES[case]
        self.count = len(seeds.get("seeds", (0,)))
        self.env = make(mode, b * self.count)
        self.agent = pg.AGENTS[name].for_env(self.env, **seeds, **options).double()
        self.collector = make_collector(self.agent, self.env, seeds.get("seed", 0))
        self.lengths = []

    def learn(self, updates):
        for _ in range(updates):
            rollout = next(self.collector)
            self.agent.update(rollout)
            self.lengths.append(rollout.mask.unflatten(1, (self.count, -1)).any(2).sum(0).tolist())
        return self


def assert_single_runs(case, mode, updates):
    """Assert that each learner has the parameters, statistics and generators of its single run."""
    together = Learning(case, mode, seeds=SEEDS).learn(updates)
    assert len({length for lengths in together.lengths for length in lengths}) > 1
    state = together.agent.state_dict()
    for i, seed in enumerate(SEEDS):
        alone = Learning(case, mode, seed=seed).learn(updates)
        assert [lengths[i] for lengths in together.lengths] == [length for (length,) in alone.lengths]
        mine, its = together.collector.actor.generator[i], alone.collector.actor.generator
        assert torch.equal(mine.get_state(), its.get_state())
        for key, value in alone.agent.state_dict().items():
            its = state[key][i].reshape(value.shape) if len(state[key]) == len(SEEDS) else state[key]
            torch.testing.assert_close(its, value, rtol=0, atol=1e-6)


MODES = [  # groups are seeded for each rollout: their episodes begin alike in every mode
    pytest.param(case, mode, id=f"{case}-{mode.name}")
    for case, (name, *_) in CASES.items()
    for mode in (AutoresetMode if name not in ("grpo", "rloo") else [AutoresetMode.NEXT_STEP])
]


@pytest.mark.parametrize(("case", "mode"), MODES)
def test_each_learner_is_the_run_that_its_seed_would_have_been(case, mode):
    assert_single_runs(case, mode, 6)


LONG = {
    "reinforce": AutoresetMode.SAME_STEP,
    "value, cut": AutoresetMode.NEXT_STEP,
    "tables": AutoresetMode.DISABLED,
    "masks of choices": AutoresetMode.DISABLED,
    "ppo, a memory": AutoresetMode.NEXT_STEP,
    "grpo": AutoresetMode.NEXT_STEP,
    "rloo, tables": AutoresetMode.NEXT_STEP,
}


@pytest.mark.slow
@pytest.mark.parametrize(("case", "mode"), LONG.items(), ids=LONG)
def test_each_learner_is_that_run_over_100_updates(case, mode):
    assert_single_runs(case, mode, 100)


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    "case", ["reinforce", "tables", "value, cut", "reinforce, pairs of single environments", "grpo"]
)
def test_learners_go_on_from_a_state_between_two_rollouts(case, mode):
    whole = Learning(case, mode, seeds=SEEDS).learn(4)
    resumed = Learning(case, mode, seeds=SEEDS)
    resumed.agent.load_state_dict(whole.agent.state_dict())
    resumed.collector.set_state(whole.collector.get_state())
    for _ in range(3):
        assert torch.equal(next(whole.collector).rewards, next(resumed.collector).rewards)
    assert torch.equal(whole.collector.actor.generator.get_state(), resumed.collector.actor.generator.get_state())


@pytest.mark.parametrize("case", ["reinforce", "ppo, a memory", "grpo, a divergence in the reward", "rloo, tables"])
def test_a_learner_that_leaves_the_others_learns_on_as_it_would_have_alone(case, tmp_path):
    together = Learning(case, AutoresetMode.SAME_STEP, seeds=SEEDS).learn(3).agent
    alone = Learning(case, AutoresetMode.SAME_STEP, seed=SEEDS[1]).learn(3).agent
    one, collector = together.learner(1), Learning(case, AutoresetMode.SAME_STEP, seed=77).collector
    for _ in range(3):
        rollout = next(collector)
        one.update(rollout), alone.update(rollout)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(one.state_dict()[key], value, rtol=0, atol=1e-6)
    together.save(tmp_path / "all")
    together.learner(1).save(tmp_path / "one")
    saved, again = pg.load(tmp_path / "one").state_dict(), pg.load(tmp_path / "all").learner(1).state_dict()
    assert saved.keys() == again.keys() and all(torch.equal(saved[key], again[key]) for key in saved)


@pytest.mark.parametrize("name", ["reinforce", "grpo", "rloo"])
def test_a_run_that_is_resumed_has_the_bits_of_one_that_was_never_stopped(name, tmp_path):
    def cut(run):
        if 1500 <= run.steps < 1900:
            raise InterruptedError

    def run(folder, probes=(), resume=False):
        env = gym.make_vec("pg/CartPole-v1", 12)
        agent = pg.AGENTS[name].for_env(env, seeds=SEEDS, hidden=(8,))
        how = {"run_dir": tmp_path / folder, "progress": False, "checkpoint_every": 300, "resume": resume}
        pg.train(agent, env, total_steps=4000, log_every=100, probes=probes, **how)
        return agent.state_dict()

    with pytest.raises(InterruptedError):
        run("cut", [cut])
    resumed, whole = run("cut", resume=True), run("whole")
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_episodes_of_groups_begin_alike_in_workers_too():
    """Which cannot hold rows, and need not: groups are seeded for each rollout."""
    rows = partial(partial, gym.make, "CartPole-v1")
    env, alone = AsyncVectorEnv([rows()] * 4), gym.make_vec("pg/CartPole-v1", 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    together = make_collector(pg.RLOO.for_env(env, seeds=SEEDS[:2], hidden=(4,)), env, 0)
    assert together.coupling is None and not together.waiting.holds
    single = make_collector(pg.RLOO.for_env(alone, seed=SEEDS[1], hidden=(4,)), alone, SEEDS[1])
    for _ in range(4):
        its, mine = next(together), next(single)
        assert torch.equal(its.rewards[: len(mine.rewards), 2:], mine.rewards)
    env.close()


def test_the_size_of_groups_is_that_of_one_learner_alone():
    env = gym.make_vec("pg/CartPole-v1", 12)
    for name in ("grpo", "rloo"):
        together = pg.AGENTS[name].for_env(env, seeds=SEEDS, hidden=(4,))
        alone = pg.AGENTS[name].for_env(gym.make_vec("pg/CartPole-v1", 4), hidden=(4,))
        assert together.group_size == alone.group_size == 4
        with pytest.raises(ValueError, match="group_size must divide .*, of each learner, got 6 for 4"):
            pg.AGENTS[name].for_env(env, seeds=SEEDS, group_size=6)
    assert pg.PPO.for_env(env, seeds=SEEDS).num_steps == 512


def test_an_environment_that_fails_in_a_rollout_is_left_without_rows_that_wait():
    learning = Learning("reinforce, single environments", AutoresetMode.NEXT_STEP, seeds=SEEDS)
    seen = learning.collector.waiting.see

    def see(active):
        seen(active)
        if learning.collector.waiting.drawn:
            raise KeyboardInterrupt

    learning.collector.waiting.see = see
    with pytest.raises(KeyboardInterrupt):
        next(learning.collector)
    assert not any(isinstance(env, waiting.Still) for env in learning.env.envs)


def test_a_run_says_where_rows_cannot_wait(capsys):
    for make, said in ((SyncVectorEnv, False), (AsyncVectorEnv, True)):
        env = make([partial(gym.make, "CartPole-v1")] * 4)
        pg.train(pg.Reinforce.for_env(env, seeds=SEEDS[:2], hidden=(4,)), env, total_steps=200)
        env.close()
        line = "learners AsyncVectorEnv cannot hold rows that wait for others: like single runs, not equal"
        assert (line in capsys.readouterr().out) is said


def test_one_learner_waits_for_nobody():
    assert Learning("reinforce", AutoresetMode.SAME_STEP, seed=3).collector.waiting is None
    one_seed = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    agent = pg.Reinforce.for_env(one_seed, num_learners=2, hidden=(4,))
    assert make_collector(agent, one_seed, 0).waiting is None


EXACT = test_each_learner_is_the_run_that_its_seed_would_have_been
test_seeded_bugs = seeded(
    Bug("rows that wait go on", waiting.hold, lambda adapter, rows: None, [(EXACT, "reinforce-NEXT_STEP")]),
    Bug(
        "what was drawn for a learner that waits is lost",
        Generators.state_of,
        lambda self, learner: self.each[learner].get_state(),
        [(EXACT, "reinforce-SAME_STEP")],
    ),
    Bug(
        "learners begin anew together",
        Waiting.reset,
        lambda self: self.adapter.reset(),
        [(EXACT, "reinforce, pairs of single environments-SAME_STEP")],
    ),
    Bug(
        "learners that need not begin anew do",
        Waiting._go_on,
        lambda self: waiting.hold(self.adapter, self.adapter.none),
        [(EXACT, "reinforce, one episode-SAME_STEP")],
    ),
    Bug(
        "learners standardise together",
        groups.compared,
        lambda function, rollout, scores, *columns: function(scores, rollout.group_ids, *columns),
        [(EXACT, "grpo, all steps alike-NEXT_STEP")],
    ),
    Bug(
        "groups of all learners begin in the same states",
        Groups.seeded,
        lambda self, seed, right=Groups.seeded: right(self, [seeds_of(seed)[0]] * len(seeds_of(seed))),
        [(EXACT, "grpo-NEXT_STEP"), (EXACT, "rloo-NEXT_STEP")],
    ),
    Bug(
        "rows that wait forget their masks",
        waiting._info,
        lambda adapter, row: {},
        [(EXACT, "masks of one episode-SAME_STEP")],
        pg.FaultyEnvironmentError,
    ),
)  # fmt: skip
