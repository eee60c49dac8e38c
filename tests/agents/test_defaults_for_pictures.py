"""Whoever sees pictures has defaults of its own, and learns from pictures with them."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

import pg_agents as pg
from pg_agents.policies import GRUPolicy, ImageEncoder

PICTURE = Box(0, 255, (20, 20), np.uint8)
SEEN = {
    "a picture": PICTURE,
    "a picture and a direction": Dict(image=PICTURE, direction=Discrete(4)),
    "four frames": Box(0, 255, (4, 84, 84), np.uint8),
}
NUMBERS = Box(-1, 1, (5,))
AGENTS = [name for name, agent in pg.AGENTS.items() if ImageEncoder in agent.policy_defaults]


def made(name, space, **options):
    """An agent with its defaults for observations of a space."""
    return pg.AGENTS[name].for_spaces(space, Discrete(3), **options)


def test_who_has_none():
    """Those of a2c suit pictures as they are; of average-reward none is known that does."""
    assert pg.AGENTS.keys() - AGENTS == {"a2c", "average-reward"}


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("name", AGENTS)
def test_pictures_have_defaults_of_their_own(name, seen):
    defaults = pg.AGENTS[name].policy_defaults[ImageEncoder]
    of_pictures, of_numbers = made(name, SEEN[seen]).config, made(name, NUMBERS).config
    assert defaults == {key: getattr(of_pictures, key) for key in defaults}
    assert all(getattr(of_numbers, key) != value for key, value in defaults.items())


@pytest.mark.parametrize("name", AGENTS)
def test_what_is_given_takes_precedence(name):
    key, value = next(iter(pg.AGENTS[name].policy_defaults[ImageEncoder].items()))
    assert getattr(made(name, PICTURE, **{key: value / 2 if value < 1 else value + 1}).config, key) != value


def test_a_memory_of_pictures_has_the_defaults_of_both():
    config, defaults = made("ppo", PICTURE, recurrent=8).config, pg.PPO.policy_defaults
    assert config.learning_rate == defaults[ImageEncoder]["learning_rate"] != defaults[GRUPolicy]["learning_rate"]
    assert config.entropy_weight == 0.01


@pytest.mark.slow  # 6 s; benchmarks/results/pictures.jsonl has what is learned of the whole board
def test_a_small_board_is_learned_from_its_pictures():
    small = {"rows": 5, "columns": 5, "pixels": 4}
    agent = pg.Reinforce.for_env(gym.make_vec("pg/Catch-v0", 16, **small), seed=1)
    pg.train(agent, gym.make_vec("pg/Catch-v0", 16, **small), total_steps=15_000, progress=False)
    assert pg.evaluate(agent, gym.make_vec("pg/Catch-v0", 50, **small), episodes=100).mean_return > 0.9
