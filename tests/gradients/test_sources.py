"""Environments as finite problems: the same dynamics, rewards and observations; what is too large is refused."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
import torch
from pg_envs import TokenEnv
from support.bugs import Bug, seeded, with_arguments
from support.exactly import make

from pg_agents.gradients import sources
from pg_agents.gradients.paths import count_paths, enumerate_completions
from pg_agents.gradients.sources import MAX_TEXTS, gaussian_bandit, problem_of, prompts_of


def test_bandits_are_processes_of_one_decision():
    problem = problem_of(make("pg/ContextualBandit-v0"))
    assert problem.one_step and problem.objective == "total" and not problem.timed
    table = [[0.9, 0.5, 0.1], [0.1, 0.9, 0.5], [0.5, 0.1, 0.9]]
    np.testing.assert_allclose(problem.mdp.expected_rewards[:3], table)
    np.testing.assert_allclose(problem.mdp.initial, [1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert problem.inputs().tolist() == [0, 1, 2, 2, 2]  # ends are not shown


def test_gaussian_arms_keep_mean_and_variance():
    mdp = gaussian_bandit([0.5, -2.0], std=1.5)
    np.testing.assert_allclose(mdp.expected_rewards[0], [0.5, -2.0])
    squares = (mdp.transitions * mdp.rewards**2).sum(2)[0]
    np.testing.assert_allclose(squares - mdp.expected_rewards[0] ** 2, [2.25, 2.25])
    env, other = make("pg/GaussianBandit-v0"), make("pg/GaussianBandit-v0")
    arms, again, others = (problem_of(made, seed=seed).mdp for made, seed in ((env, 5), (other, 5), (other, 6)))
    env.reset()
    np.testing.assert_allclose(arms.expected_rewards[0], env.unwrapped.expected_rewards())
    np.testing.assert_allclose(arms.expected_rewards[0], again.expected_rewards[0])
    assert np.abs(arms.expected_rewards[0] - others.expected_rewards[0]).max() > 0.1


@pytest.mark.parametrize(
    ("env_id", "objective", "discount", "horizon"),
    [
        ("pg/Chain-v0", "discounted", 0.99, 100),
        ("pg/GridWorld-v0", "total", 1.0, 100),
        ("pg/RiverSwim-v0", "average", 1.0, 3),
        ("FrozenLake-v1", "total", 1.0, 100),
        ("pg/TwoArmedBandit-v0", "total", 1.0, None),
    ],
)
def test_the_objective_is_what_the_environment_asks_for(env_id, objective, discount, horizon):
    problem = problem_of(make(env_id))
    assert (problem.objective, problem.discount, problem.horizon) == (objective, discount, horizon)
    assert problem.name == env_id and problem.one_step == (env_id == "pg/TwoArmedBandit-v0")


def test_an_objective_of_ones_own():
    problem = problem_of(make("pg/RiverSwim-v0"), discount=0.5, horizon=7)
    assert (problem.objective, problem.discount, problem.horizon) == ("discounted", 0.5, 7)
    assert problem_of(make("pg/Garnet-v0"), window=5).horizon == 5


@pytest.mark.parametrize("stop", [None, [[4, 4], [2]], lambda prompt, text: text[-1] == prompt[-1]])
def test_a_token_task_is_played_as_the_environment_plays_it(stop):
    """Random walks through the environment and through the table: the same observations, rewards and ends."""
    bonus = lambda prompt, text: 0.1 * len(text) + prompt[0] / 7  # noqa: E731
    score = lambda prompt, text: float(sum(text)) - prompt[-1] * len(text)  # noqa: E731
    task = {"prompts": [[1, 4], [2]], "score": score, "token_reward": bonus, "stop": stop}
    env = TokenEnv(**task, vocabulary=5, eos=[3, 0], max_new_tokens=3)
    problem = problem_of(env)
    paths = enumerate_completions(env.task, prompts_of(env.task, 0))
    assert len(paths.chances) == count_paths(problem)
    mdp, seen = problem.mdp, problem.inputs()
    np.testing.assert_allclose(mdp.initial[mdp.initial > 0], [0.5, 0.5])
    generator, ends = np.random.default_rng(0), set()
    for _ in range(100):
        observation, _ = env.reset()
        state = next(s for s in np.flatnonzero(mdp.initial) if int(seen["length"][s]) == observation["length"])
        done = False
        while not done:
            action = int(generator.integers(5))
            observation, reward, done, _, info = env.step(action)
            following = int(mdp.transitions[state, action].argmax())
            assert mdp.rewards[state, action, following] == pytest.approx(reward)
            assert mdp.terminal[following] == done
            state = following
            if not done:
                assert torch.equal(seen["tokens"][state], torch.tensor(observation["tokens"]))
                assert int(seen["length"][state]) == observation["length"]
        ends.add(info["stop_reason"])
    assert ends == {"eos", "length", "verifier"} - ({"verifier"} if stop is None else set())


def test_drawn_prompts_are_the_first_two_of_a_seed():
    env = make("pg/Copy-v0", length=2, symbols=3, max_new_tokens=1)
    first, again, other = (prompts_of(env.unwrapped.task, seed) for seed in (0, 0, 1))
    assert first == again != other and len(set(first)) == 2
    assert all(prompt[0] == 1 and prompt[-1] == 2 and len(prompt) == 4 for prompt in first)


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_token_tasks_too_large_to_enumerate_are_refused_and_the_way_out_works():
    with pytest.raises(ValueError, match=r"pg/Shorter-v0 has 1.92e\+06 texts.*at most 600.*max_new_tokens=3") as error:
        problem_of(make("pg/Shorter-v0"))
    cap = int(str(error.value).rsplit("=", 1)[1])
    assert problem_of(make("pg/Shorter-v0", max_new_tokens=cap)).mdp.num_states <= MAX_TEXTS + 1
    with pytest.raises(ValueError, match="too many"):
        problem_of(make("pg/Shorter-v0", max_new_tokens=cap + 1))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "pg/NonStationaryBandit-v0"])
def test_environments_without_tables_are_refused(env_id):
    with pytest.raises(ValueError, match=f"env: {env_id} has no finite tables.*bandits"):
        problem_of(make(env_id))


def test_arguments_that_would_be_ignored_are_refused():
    with pytest.raises(ValueError, match="discount: pg/RiverSwim-v0 never ends.*give a horizon too"):
        problem_of(make("pg/RiverSwim-v0"), discount=0.9)
    with pytest.raises(ValueError, match="horizon: pg/Copy-v0 has a length cap.*max_new_tokens=2"):
        problem_of(make("pg/Copy-v0"), horizon=2)


def test_an_environment_without_an_id_is_called_by_its_class():
    mdp = problem_of(make("pg/Chain-v0")).mdp
    assert problem_of(pg_envs.MDPEnv(mdp), horizon=2).name == "MDPEnv"
    assert isinstance(make("pg/Chain-v0"), gym.Env)


test_seeded_bugs = seeded(
    Bug(
        "the exact gradient goes on where a verifier stops",
        sources._texts,
        with_arguments(sources._texts, task=lambda task: replace(task, stop=None)),
        [test_a_token_task_is_played_as_the_environment_plays_it],
    )
)
