"""One seed, many generators: no two purposes share random numbers, and environments can take the seeds they get."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from support.bugs import Bug, seeded, with_arguments
from torch import nn

import pg_agents as pg
from pg_agents import seeding
from pg_agents.cli.demo import TASKS, random_return
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.gradients.simulation import fork
from pg_agents.seeding import Purpose, environment_seeds, spawn
from pg_agents.training.evaluations import make_evaluations
from pg_agents.training.loop import make_collector
from pg_agents.training.plan import Plan


class Asked(gym.Env):
    """Keeps the seeds it is reset with in a list that its copies share; what it draws is what it shows."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, seeds):
        self.seeds = seeds

    def __deepcopy__(self, memo):
        copied = Asked(self.seeds)
        copied.np_random = self.np_random
        return copied

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.time = 0
        return self.np_random.random(1), {}

    def step(self, action):
        self.time += 1
        return self.np_random.random(1), 1.0, self.time == 3, False, {}


def asked(count, seeds):
    return SyncVectorEnv([lambda: Asked(seeds)] * count)


class OneSeed(VectorEnv):
    """A native vector form: one seed, from which the rows count on, in signed 32-bit integers like ale_py's."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(2)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        if type(seed) is not int or not 0 <= seed <= seed + self.num_envs - 1 < 2**31:
            raise TypeError("reset(): incompatible function arguments: (self: Vectorized, seeds: Annotated[int32])")
        return np.zeros((self.num_envs, 1), np.float32), {}

    def step(self, actions):
        raise TypeError("step(): incompatible function arguments: (self: Vectorized, actions: Annotated[float32])")


# -- seeds -------------------------------------------------------------------------------------------------------------
def test_purposes_seeds_and_nested_purposes_all_give_other_seeds():
    plain = [spawn(seed, purpose) for seed in range(50) for purpose in Purpose]
    nested = [spawn(spawn(seed, one), other) for seed in range(50) for one in Purpose for other in Purpose]
    seeds = [*range(50), *plain, *nested]
    assert len(set(seeds)) == len(seeds)
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
    assert len({seed % 2**32 for seed in plain}) == len(plain), "torch's generator on the CPU looks at 32 bits of them"


def test_a_seed_and_a_purpose_are_all_that_a_stream_depends_on():
    """Fixed: that a purpose is added changes no number of the others."""
    assert spawn(0, Purpose.PARAMETERS) == 4_334_430_513_956_379_144
    assert spawn(0, Purpose.ACTIONS) == 6_619_194_650_426_729_951
    assert list(Purpose) == list(range(len(Purpose)))


def test_purposes_share_no_numbers():
    """Doubles of 53 random bits: of 14 · 2,000 of them no two are equal by chance."""
    drawn = [
        torch.rand(2_000, dtype=torch.float64, generator=torch.Generator().manual_seed(spawn(3, purpose)))
        for purpose in Purpose
    ]
    assert len(torch.cat(drawn).unique()) == 2_000 * len(Purpose)


@pytest.mark.parametrize("count", [1, 7, 20_000])
def test_environments_get_different_whole_numbers_below_two_to_the_31(count):
    seeds = environment_seeds(5, count)
    assert len(set(seeds)) == len(seeds) == count
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    assert seeds == environment_seeds(5, count + 3)[:count]
    assert not set(seeds[:1000]) & set(environment_seeds(6, 1000))
    assert count < 1000 or np.mean(seeds) / 2**30 == pytest.approx(1, abs=0.03), "all of the range is used"


# -- who uses them -----------------------------------------------------------------------------------------------------
def near(numbers, others):
    """Return how many of `numbers` are within 2·10⁻⁶ of one of `others`."""
    sorted_ = others.sort().values
    return int((torch.searchsorted(sorted_, numbers - 2e-6) != torch.searchsorted(sorted_, numbers + 2e-6)).sum())


def test_initial_weights_and_action_noise_have_no_numbers_in_common(monkeypatch):
    """The normals that weights are made of, against the noise (a − μ)/σ of the first rollouts: few, by chance."""
    raw, orthogonal = [], nn.init.orthogonal_

    def spy(weight, gain=1):
        state = torch.random.get_rng_state()
        raw.append(torch.empty(weight.shape).normal_().flatten())
        torch.random.set_rng_state(state)
        return orthogonal(weight, gain)

    monkeypatch.setattr(nn.init, "orthogonal_", spy)
    env = gym.make_vec("Pendulum-v1", 16, vectorization_mode="sync")
    agent = pg.PPO.for_env(env, seed=0, num_steps=128)
    weights, drawn = torch.cat(raw), {}
    for seed in (0, 12345):
        collector = make_collector(agent, env, seed)
        with torch.no_grad():
            found = [(r, agent.policy(r.observations)) for r in (next(collector) for _ in range(4))]
            drawn[seed] = torch.cat([((r.actions - d.mean) / d.log_std.exp()).flatten() for r, d in found])
    by_chance = near(weights, drawn[12345])
    assert near(weights, drawn[0]) < by_chance + 6 * (by_chance + 1) ** 0.5


def test_one_seed_gives_every_generator_of_a_run_a_beginning_of_its_own():
    env = asked(2, [])
    agent = pg.PPO.for_env(env, seed=4, num_steps=8, minibatch_size=8)
    plan = Plan(total_steps=100, seed=4, log_every=100, stop_return=None)
    collector, evaluations = make_collector(agent, env, 4), make_evaluations(agent, env, asked(2, []), 5, 5, plan)
    seeds = {
        "minibatches": agent.generator.initial_seed(),
        "actions": collector.actor.generator.initial_seed(),
        "selection": evaluations.seeds[0],
        "as given": 4,
    }
    assert len({seed % 2**32 for seed in seeds.values()}) == len(seeds)


def test_the_same_seed_in_training_selection_evaluation_and_simulation_gives_other_episodes():
    seen = {"train": [], "select": [], "evaluate": [], "groups": []}
    agent = pg.Reinforce.for_env(asked(4, []), seed=7)
    arguments = {"total_steps": 60, "seed": 7, "progress": False}
    pg.train(agent, asked(4, seen["train"]), eval_env=asked(4, seen["select"]), **arguments)
    pg.evaluate(agent, asked(4, seen["evaluate"]), episodes=8, seed=7)
    grouped = pg.RLOO.for_env(asked(4, []), seed=7, group_size=2)
    pg.train(grouped, asked(4, seen["groups"]), **arguments)
    given = {name: {seed for seed in seeds if seed is not None} for name, seeds in seen.items()}
    assert given.pop("groups") > given["train"], "the first reset, before groups are known, is that of any run"
    assert {name: len(seeds) for name, seeds in given.items()} == {"train": 4, "select": 4, "evaluate": 4}
    assert len(set().union(*given.values())) == 12
    assert all(type(s) is int and 0 <= s < 2**31 for seeds in seen.values() for s in seeds if s is not None)


def test_a_simulated_future_is_neither_the_beginning_of_the_run_nor_that_of_the_next_seed():
    env = gym.make_vec("pg/RiverSwim-v0", 6)
    stream = EnvAdapter(env, 1)
    forks = [stream.env.unwrapped] + [fork(env, seed).unwrapped for seed in (1, 2)]
    states = [str(row.bit_generator.state) for forked in forks for row in forked.generators]
    beginnings = [str(np.random.PCG64(seed).state) for seed in environment_seeds(1, 6)]
    assert len(set(states)) == 18
    assert not set(states[6:]) & set(beginnings)


def test_a_random_policy_does_not_draw_what_the_environment_draws(monkeypatch):
    task = next(task for task in TASKS if task.env == "pg/CartPole-v1")
    made = []
    monkeypatch.setattr(gym, "make", lambda *a, make=gym.make, **k: made.append(make(*a, **k)) or made[-1])
    random_return(task, episodes=1)
    (env,) = made
    assert env.action_space._np_random is not None
    seeds = env.unwrapped.np_random_seed, env.action_space.np_random.bit_generator.seed_seq.entropy
    assert len(set(seeds)) == 2


# -- what cannot take them ---------------------------------------------------------------------------------------------
def test_a_vector_form_that_counts_on_from_one_seed_stays_in_31_bits(monkeypatch):
    assert EnvAdapter(OneSeed(64), 0).num_envs == 64
    monkeypatch.setattr("pg_agents.collection.env_adapter.environment_seeds", lambda seed, count: [2**31 - 1] * count)
    assert EnvAdapter(OneSeed(64), 0).num_envs == 64


def test_what_an_extension_says_comes_with_what_it_was_given():
    stream = EnvAdapter(OneSeed(3), 0)
    with pytest.raises(
        FaultyEnvironmentError, match=r"step 1, .*Annotated.*given actions of dtype int64, shape \(3,\)"
    ):
        stream.step(np.zeros(3, np.int64))
    with pytest.raises(FaultyEnvironmentError, match=r"at reset, after step 1: .*Annotated.*given seed=\[1, 2, 3\]"):
        stream.reset([1, 2, 3])


def test_resets_on_the_way_are_named_too():
    class Worn(OneSeed):
        metadata = {"autoreset_mode": AutoresetMode.DISABLED}

        def reset(self, *, seed=None, options=None):
            if options is not None:
                raise self.error
            return super().reset(seed=seed)

        def step(self, actions):
            ended = np.array([True, False])
            return np.zeros((2, 1), np.float32), np.zeros(2), ended, ~ended & False, {}

    env = Worn(2)
    env.error = TypeError("no such overload")
    with pytest.raises(FaultyEnvironmentError, match=r"Worn failed at reset, after step 1, .*no such.*given options="):
        EnvAdapter(env, 0).step(np.zeros(2, np.int64))
    env.error = OSError("the disk is gone")
    message = r"Worn failed at reset, after step 1, seed \d+: OSError: the disk is gone"
    with pytest.raises(FaultyEnvironmentError, match=message):
        EnvAdapter(env, 0).step(np.zeros(2, np.int64))


def evaluates_where_it_was_trained(seed, purpose, right=seeding.spawn):
    return seed if purpose is Purpose.EVALUATION else right(seed, purpose)


test_seeded_bugs = seeded(
    Bug(
        "all purposes have one seed",
        seeding.spawn,
        with_arguments(seeding.spawn, purpose=lambda purpose: Purpose.PARAMETERS),
        [test_purposes_share_no_numbers, test_one_seed_gives_every_generator_of_a_run_a_beginning_of_its_own],
    ),
    Bug(
        "environments get seeds of 32 bits",
        seeding.environment_seeds,
        lambda seed, count: np.random.SeedSequence(seed).generate_state(count).tolist(),
        [test_environments_get_different_whole_numbers_below_two_to_the_31],
    ),
    Bug(
        "an agent is evaluated in the episodes that it was trained in",
        seeding.spawn,
        evaluates_where_it_was_trained,
        [test_the_same_seed_in_training_selection_evaluation_and_simulation_gives_other_episodes],
    ),
    Bug(
        "actions are drawn from the stream that initial weights come from",
        seeding.spawn,
        with_arguments(seeding.spawn, purpose=lambda one: Purpose.PARAMETERS if one is Purpose.ACTIONS else one),
        [test_initial_weights_and_action_noise_have_no_numbers_in_common],
    ),
    Bug(
        "the last rows of a vector form that counts on from one seed get more than 31 bits",
        EnvAdapter.reset,
        with_arguments(EnvAdapter.reset, seed=lambda seed: 2 * seed),
        [test_a_vector_form_that_counts_on_from_one_seed_stays_in_31_bits],
        raises=FaultyEnvironmentError,
    ),
)
