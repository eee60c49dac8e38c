"""Learner i of several is the run that its seed would have been alone: parameters, metrics, random numbers."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.agents.common import clipping
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.data import learners_minibatches
from pg_agents.data.learners import of_columns
from pg_agents.training.loop import make_collector

SEEDS = (3, 5, 9)
PENDULUM = {"normalize_observations": True, "normalize_rewards": True}
SHORT = {"num_steps": 16, "minibatch_size": 16, "epochs": 2, "hidden": (8,)}
CASES = {
    "actor-critic": ("actor-critic", "CartPole-v1", {"hidden": (8,)}),
    "a2c": ("a2c", "CartPole-v1", {"num_steps": 8, "hidden": (8,), "normalize_advantages": True, "max_grad_norm": 0.5}),
    "ppo": ("ppo", "CartPole-v1", SHORT),
    "ppo, an early end": ("ppo", "CartPole-v1", SHORT | {"target_kl": 1e-4, "learning_rate": 1e-2}),
    "ppo, a box": ("ppo", "Pendulum-v1", SHORT | PENDULUM | {"normalize_over": "minibatch"}),
    "ppo, a squashed box": ("ppo", "Pendulum-v1", SHORT | {"squash": True, "entropy_weight": 0.01}),
    "ppo, a shared encoder": ("ppo", "CartPole-v1", SHORT | {"share_encoder": True}),
    "ppo, a memory": ("ppo", "CartPole-v1", SHORT | {"minibatch_size": 32, "hidden": None, "recurrent": 6}),
    "a2c, a memory": ("a2c", "CartPole-v1", {"num_steps": 8, "recurrent": 6}),
    "average-reward": ("average-reward", "pg/TwoStateMDP-v0", {}),
    "tables": ("ppo", "FrozenLake-v1", {"num_steps": 16, "minibatch_size": 16, "epochs": 2}),
    "kl": ("a2c", "CartPole-v1", {"num_steps": 8, "hidden": (8,), "kl_weight": 0.1}),
}


def several(env_id, count):
    return gym.make_vec(env_id, count, vectorization_mode="sync")


def learned(name, env_id, options, updates, b=4, **seeds):
    """Return an agent in float64 after some updates, and the metrics of each update."""
    count = len(seeds.get("seeds", (0,)))
    env = several(env_id, b * count)
    agent = pg.AGENTS[name].for_env(env, **seeds, **options).double()
    collector = make_collector(agent, env, seeds.get("seed", 0))
    metrics = [agent.update(next(collector)) for _ in range(updates)]
    env.close()
    return agent, metrics


def differences(case, updates, seeds=SEEDS):
    """Return the largest difference of parameters and buffers, and of metrics, of learners from their single runs."""
    name, env_id, options = CASES[case]
    together, found = learned(name, env_id, options, updates, seeds=list(seeds))
    state, worst, of_metrics = together.state_dict(), 0.0, 0.0
    for i, seed in enumerate(seeds):
        alone, metrics = learned(name, env_id, options, updates, seed=seed)
        assert alone.state_dict().keys() == state.keys()
        for key, value in alone.state_dict().items():
            its = state[key][i].reshape(value.shape) if len(state[key]) == len(seeds) else state[key]
            worst = max([worst, *(its - value).abs().flatten().tolist()])
        of_metrics = max(of_metrics, difference_of_metrics(metrics, found, i))
    return worst, of_metrics


def difference_of_metrics(alone, together, i):
    """Return the largest relative difference of metrics of updates of a single run from those of learner i of several.

    A single one with nothing to learn has no metrics of a loss: those of learner i are NaN then.
    """
    worst = 0.0
    for one, of_all in zip(alone, together, strict=True):
        assert one.keys() <= of_all.keys()
        for key, its in of_all.items():
            mine, its = float(one.get(key, np.nan)), float(its[i])
            assert np.isnan(mine) == np.isnan(its), key
            worst = max(worst, np.nan_to_num(abs(mine - its) / (1 + abs(mine))))
    return worst


@pytest.mark.parametrize("case", CASES)
def test_each_learner_is_the_run_that_its_seed_would_have_been(case):
    parameters, metrics = differences(case, 12)
    assert parameters < 1e-6 and metrics < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_learner_is_that_run_over_100_updates(case):
    parameters, metrics = differences(case, 100)
    assert parameters < 1e-6 and metrics < 1e-6


@pytest.mark.parametrize(
    "case", ["a2c", "ppo, an early end", "ppo, a box", "ppo, a memory", "average-reward", "tables", "kl"]
)
def test_a_learner_that_leaves_the_others_learns_on_as_it_would_have_alone(case):
    name, env_id, options = CASES[case]
    together, _ = learned(name, env_id, options, 4, seeds=list(SEEDS))
    alone, _ = learned(name, env_id, options, 4, seed=SEEDS[1])
    one = together.learner(1)
    collector = make_collector(one, several(env_id, 4), 77)
    for _ in range(4):
        rollout = next(collector)
        one.update(rollout), alone.update(rollout)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(one.state_dict()[key], value, rtol=0, atol=1e-6)


def test_a_learner_is_saved_and_evaluated_as_any_agent(tmp_path):
    name, env_id, options = CASES["ppo"]
    together, _ = learned(name, env_id, options, 2, seeds=list(SEEDS))
    together.learner(2).save(tmp_path / "one")
    together.save(tmp_path / "all")
    one, again = pg.load(tmp_path / "one"), pg.load(tmp_path / "all").learner(2)
    states = [agent.state_dict() for agent in (one, again, together.learner(2))]
    assert all(torch.equal(states[0][key], other[key]) for key in states[0] for other in states[1:])
    assert pg.evaluate(one, env_id, episodes=3).returns == pg.evaluate(again, env_id, episodes=3).returns
    assert [*pg.load(tmp_path / "all").seeds] == [*SEEDS]
    with pytest.raises(ValueError, match="observation: 3 independent learners need .* got 1; agent.learner"):
        together.act(np.zeros(4, np.float32))
    assert len(together.act(np.zeros((6, 4), np.float32))[0]) == 6
    with pytest.raises(ValueError, match="index must be below 3, the number of learners, got 3"):
        together.learner(3)


def several_of_one_generator(count):
    return gym.make_vec("CartPole-v1", count, vectorization_mode="vector_entry_point")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "pg/CartPole-v1"])
def test_the_summary_has_one_of_each_learner_which_is_that_of_its_run(env_id):
    make = several if env_id == "CartPole-v1" else gym.make_vec
    env, alone = make(env_id, 12), make(env_id, 4)
    options = {"num_steps": 16, "hidden": (8,)}
    together = pg.train(pg.A2C.for_env(env, seeds=SEEDS, **options), env, total_steps=9000, progress=False)
    assert [one.seed for one in together.learners] == [*SEEDS]
    assert together.total_steps == sum(one.total_steps for one in together.learners)
    assert together.episodes == sum(one.episodes for one in together.learners)
    for seed, one in zip(SEEDS, together.learners, strict=True):
        agent, steps = pg.A2C.for_env(alone, seed=seed, **options), one.total_steps
        other = pg.train(agent, alone, total_steps=steps, seed=seed, progress=False)
        found, expected = (
            (run.total_steps, run.episodes, run.recent_episodes, run.mean_return_last_100) for run in (one, other)
        )
        assert found == pytest.approx(expected) and not other.learners


def test_an_id_is_made_as_often_as_learners_need_it_each_row_with_its_own_seed(capsys):
    agent = pg.A2C.for_env("CartPole-v1", num_envs=4, seeds=SEEDS, hidden=(8,))
    summary = pg.train(agent, "CartPole-v1", num_envs=4, total_steps=3000)
    alone = pg.A2C.for_env("pg/CartPole-v1", num_envs=4, seed=SEEDS[1], hidden=(8,))
    steps = summary.learners[1].total_steps
    other = pg.train(alone, "pg/CartPole-v1", num_envs=4, total_steps=steps, seed=SEEDS[1], progress=False)
    assert (summary.env, summary.learners[1].episodes) == ("pg/CartPole-v1", other.episodes)
    assert "learners" not in capsys.readouterr().out
    pg.train(agent, several_of_one_generator(12), total_steps=100)
    assert "learners CartPole-v1 has one seed for all rows" in capsys.readouterr().out


def clipped_together(gradients, most):
    norm = torch.cat(gradients, 1).norm(dim=1)
    for gradient in gradients:
        gradient.mul_(min(1.0, (most or 1e9) / float(norm.norm())))
    return norm


def test_defaults_that_depend_on_the_number_of_environments_are_those_of_a_single_run():
    alone = pg.PPO.for_env("CartPole-v1", num_envs=8)
    assert pg.PPO.for_env("CartPole-v1", num_envs=8, num_learners=4).num_steps == alone.num_steps == 256


def test_another_seed_is_another_run():
    name, env_id, options = CASES["ppo"]
    one, _ = learned(name, env_id, options, 2, seeds=[3, 5, 9])
    other, _ = learned(name, env_id, options, 2, seeds=[3, 6, 9])
    for mine, its in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine[0], its[0]) and torch.equal(mine[2], its[2])  # to the bit
    assert not all(torch.equal(a[1], b[1]) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_seeds_are_one_after_the_other_unless_given():
    env = several("CartPole-v1", 4)
    agent = pg.A2C.for_env(env, num_learners=4, seed=7)
    assert list(agent.seeds) == [7, 8, 9, 10]
    alone = pg.A2C.for_env(env, seed=9)
    assert all(torch.equal(a[2], b) for a, b in zip(agent.parameters(), alone.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": [1, 1]}, r"seeds must be different ones, one for each learner, got \[1, 1\]"),
        ({"seeds": []}, "seeds must be different ones"),
        ({"seeds": 5}, "seeds must be a list of whole numbers, one for each learner, got 5"),
        ({"seeds": [1, -2]}, "seeds must be a whole number"),
        ({"seeds": [1, 2, 3], "num_learners": 2}, "seeds: 3 are given for num_learners=2; give one for each"),
        (
            {"num_learners": 3},
            "4 environments cannot be shared out among num_learners=3; make 3 of them, or a multiple",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_the_agent_is_made(options, said):
    with pytest.raises(ValueError, match=said):
        pg.A2C.for_env(several("CartPole-v1", 4), **options)


@pytest.mark.parametrize("name", ["trpo", "npg"])
def test_natural_gradients_say_that_learners_would_be_coupled(name):
    with pytest.raises(ValueError, match="num_learners must be 1, got 2: .* train seeds in processes"):
        pg.AGENTS[name].for_env(several("CartPole-v1", 4), num_learners=2)


def test_networks_that_cannot_be_computed_as_one_say_so():
    env = gym.make_vec("pg/Catch-v0", 2)
    with pytest.raises(pg.UnsupportedSpaceError, match="num_learners: the networks of 2 learners with a Conv2d cannot"):
        pg.A2C.for_env(env, num_learners=2)


test_seeded_bugs = seeded(
    Bug(
        "learners share one generator of minibatches",
        learners_minibatches._shuffled,
        lambda units, generators, learner: units[torch.randperm(len(units), generator=generators[0])],
        [(test_each_learner_is_the_run_that_its_seed_would_have_been, "ppo")],
    ),
    Bug(
        "gradients are clipped together",
        clipping.clip_each,
        clipped_together,
        [(test_each_learner_is_the_run_that_its_seed_would_have_been, "a2c")],
    ),
    Bug(
        "all take a step where one has ended",
        FlatOptimizer._take,
        lambda self, steps: self.optimizer.step(),
        [(test_each_learner_is_the_run_that_its_seed_would_have_been, "ppo, an early end")],
    ),
    Bug(
        "rewards are scaled together",
        RewardScale._std,
        lambda self, sums, rollout: sums.std(),
        [(test_each_learner_is_the_run_that_its_seed_would_have_been, "ppo, a box")],
    ),
    Bug(
        "columns of learners alternate",
        of_columns,
        lambda values, columns: values.repeat(columns // len(values), *[1] * (values.ndim - 1)),
        [(test_each_learner_is_the_run_that_its_seed_would_have_been, "a2c")],
    ),
)  # fmt: skip
