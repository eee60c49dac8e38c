"""Infos and observations with keys that mean something here, and hold something else."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.policies.make_networks import is_token_window

FOREIGN = {
    "text": "patients",
    "dict": {"a": 1, "stop_reason": 3},
    "list": [1, 2],
    "array": np.zeros((2, 2)),
    "none": None,
    "number": 0.5,
    "object": object(),
}


class Foreign(gym.Env):
    """Three steps an episode, every info of which has `value` under `key`."""

    def __init__(self, key, value, action_space, observation_space):
        self.key, self.value, self.action_space, self.observation_space = key, value, action_space, observation_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {self.key: self.value}

    def step(self, action):
        self.clock += 1
        return self.observation_space.sample(), 1.0, self.clock == 3, False, {self.key: self.value}


def foreign(key, value, mode=AutoresetMode.NEXT_STEP, actions=None, seen=None):
    actions, seen = actions or Discrete(2), seen or Box(-1, 1, (2,))
    return SyncVectorEnv([lambda: Foreign(key, value, actions, seen)] * 4, autoreset_mode=mode)


@pytest.mark.parametrize("name", ["a2c", "reinforce"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("key", ["group_id", "final_info", "stop_reason"])
@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_agents_that_have_no_use_for_an_infos_key_ignore_it(name, mode, key, value):
    env = foreign(key, value, mode)
    agent = pg.AGENTS[name].for_env(env, seed=0)
    assert pg.train(agent, env, total_steps=60, progress=False).mean_return_last_100 == 3
    assert pg.evaluate(agent, env, episodes=4).mean_return == 3


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_no_action_of_a_box_is_masked(value):
    env = foreign("action_mask", value, actions=Box(-1, 1, (2,)))
    agent = pg.A2C.for_env(env)
    assert not isinstance(next(pg.collect_steps(env, agent.policy, 4, seed=0)).observations, dict)
    assert pg.train(agent, env, total_steps=60, progress=False).total_steps >= 60


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_agents_that_need_a_key_name_it_and_the_environment(value):
    env = foreign("action_mask", value)
    with pytest.raises(pg.errors.FaultyEnvironmentError, match="Foreign gave an action_mask"):
        pg.train(pg.A2C.for_env(env), env, total_steps=60, progress=False)
    env = foreign("group_id", value)
    with pytest.raises(ValueError, match="env: Foreign has .* as 'group_id' in its info, which must be a whole number"):
        pg.train(pg.RLOO.for_env(env), env, total_steps=60, progress=False)


@pytest.mark.parametrize(
    ("tokens", "length"),
    [
        (Box(-1, 1, (5,)), Box(0, 1, (1,))),
        (Box(0, 1, (5,), np.int64), Box(0, 9, (), np.int64)),
        (Box(-1, 1, (5,), np.int64), Discrete(6)),
        (Box(0, 1, (5,), np.int64), Discrete(9)),
        (Box(0, 1, (5,), np.int64), Discrete(6, start=1)),
        (Box(0, 1, (5, 2), np.int64), Discrete(6)),
        (Box(0, 1, (5,), np.float32), Discrete(6)),
        (Box(0, 9, (5,), np.int64), Discrete(6)),  # more tokens than actions
        (Discrete(3), Discrete(2)),
    ],
)
def test_a_dict_of_tokens_and_length_that_is_no_text_is_a_dict_like_any_other(tokens, length):
    env = foreign("x", 0, seen=Dict(tokens=tokens, length=length))
    for name in ("a2c", "reinforce"):
        agent = pg.AGENTS[name].for_env(env, seed=0)
        assert type(agent.policy).__name__ == "MLPPolicy"
        pg.train(agent, env, total_steps=60, progress=False)
    with pytest.raises(ValueError, match="reads windows of tokens"):
        pg.Reinforce.for_env(env, policy="hf:nowhere")


def test_windows_of_tokens_are_told_by_their_spaces():
    """As pg/… has them, and as MultiDiscrete; where the environment calls itself append-only too."""
    whole = gym.spaces.MultiDiscrete([2] * 5)
    for tokens in (Box(0, 1, (5,), np.int64), whole):
        env = foreign("x", 0, seen=Dict(tokens=tokens, length=Discrete(6)))
        assert type(pg.Reinforce.for_env(env).policy).__name__ == "TransformerPolicy"
    env = foreign("x", 0, seen=Dict(tokens=Box(-1, 1, (5,)), length=Box(0, 1, (1,))))
    env.metadata = env.metadata | {"append_only": True}
    pg.train(pg.Reinforce.for_env(env), env, total_steps=60, progress=False)


test_seeded_bugs = seeded(
    Bug(
        "observations are texts because of what their parts are called",
        is_token_window,
        lambda space, action_space=None: isinstance(space, Dict) and set(space.spaces) == {"tokens", "length"},
        [(test_a_dict_of_tokens_and_length_that_is_no_text_is_a_dict_like_any_other, "tokens3-length3")],
    )
)
