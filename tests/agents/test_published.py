"""Published objectives made for environments, which say how long an episode can be."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import TimeLimit
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.agents.common import make_agent


@pytest.mark.parametrize("name", pg.PUBLISHED)
def test_every_published_objective_learns_texts_with_what_the_environment_says(name):
    env = gym.make_vec("pg/Sort-v0", 16)
    agent = pg.PUBLISHED[name].for_env(env)
    assert pg.train(agent, env, total_steps=100, progress=False).total_steps >= 100


def several(make, count=4):
    return gym.vector.SyncVectorEnv([make] * count)


LONGEST = {  # how an environment is made, and the most steps of its episodes
    "task": (lambda: gym.make_vec("pg/Addition-v0", 4, max_new_tokens=9), 9),
    "one text": (lambda: gym.make("pg/Sort-v0", max_new_tokens=5), 5),
    "texts in turn": (lambda: gym.make_vec("pg/Sort-v0", 4, vectorization_mode="sync"), 8),
    "a limit before the task's": (lambda: TimeLimit(gym.make("pg/Sort-v0"), 3), 3),
    "such limits": (lambda: several(lambda: TimeLimit(gym.make("pg/Sort-v0"), 3)), 3),
    "registered": (lambda: gym.make("CartPole-v1"), 500),
    "registered, several": (lambda: gym.make_vec("CartPole-v1", 4, vectorization_mode="sync"), 500),
    "asked for": (lambda: gym.make("CartPole-v1", max_episode_steps=700), 700),
    "rows with a limit of their own": (lambda: gym.make_vec("pg/GridWorld-v0", 4, max_episode_steps=700), 700),
    "Gymnasium's rows": (lambda: gym.make_vec("CartPole-v1", 4, max_episode_steps=11), 11),
}


@pytest.mark.parametrize("case", LONGEST)
def test_a_constant_length_is_that_of_the_environments_longest_episode(case):
    make, expected = LONGEST[case]
    assert pg.PUBLISHED["Dr. GRPO"].for_env(make()).max_episode_steps == expected
    assert pg.PUBLISHED["Dr. GRPO"].for_env(make(), max_episode_steps=2).max_episode_steps == 2
    assert pg.PUBLISHED["GRPO"].for_env(make()).max_episode_steps is None  # nothing is divided by it


def test_a_constant_length_that_nothing_says_is_asked_for():
    env = gym.make_vec("pg/Chain-v0", 4, max_episode_steps=None)
    with pytest.raises(ValueError, match="'constant-length' needs max_episode_steps: give"):
        pg.PUBLISHED["Dr. GRPO"].for_env(env)


def longest_by_what_one_of_them_is_registered_with(env):
    one = getattr(env.unwrapped, "envs", [env])[0]
    cap = getattr(getattr(one.unwrapped, "task", None), "max_new_tokens", None)
    return cap or getattr(one.spec or env.spec, "max_episode_steps", None)


test_seeded_bugs = seeded(
    Bug(
        "rows that cut their episodes themselves are thought to do so where others of their kind are cut",
        make_agent._longest_episode,
        longest_by_what_one_of_them_is_registered_with,
        [(test_a_constant_length_is_that_of_the_environments_longest_episode, "rows with a limit of their own")],
    )
)
