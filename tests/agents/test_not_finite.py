"""A policy that is not finite does not act: it is an error that says where, and so is what cannot be learned from."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from torch import nn

import pg_agents as pg
from pg_agents.agents import SavedAgentError
from pg_agents.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    Sampling,
    SquashedGaussian,
    TokenCategorical,
)
from pg_agents.gradients.simulation import estimate_gain
from pg_agents.policies import TabularPolicy

NAN, INF = math.nan, math.inf


class Steps(gym.Env):
    """Shows the number of the step, in episodes of ten; takes the actions of any space."""

    observation_space = Box(0, 10, (1,))

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation_space.low.copy(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        return self.observation_space.low + self.time, 0.0, self.time == 10, False, {}


ACTIONS = {
    "few": (Discrete(2), {}),
    "many": (Discrete(20), {}),
    "vectors": (MultiDiscrete([2, 3]), {}),
    "bits": (MultiBinary(3), {}),
    "numbers": (Box(-1, 1, (2,)), {}),
    "squashed": (Box(-1, 1, (2,)), {"squash": True}),
}


def several(space, count=3):
    return gym.vector.SyncVectorEnv([lambda: Steps(space)] * count)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ACTIONS)
def test_the_first_action_of_such_parameters_is_an_error(name, value):
    space, options = ACTIONS[name]
    agent = pg.PPO.for_env(several(space), num_steps=32, **options)
    pg.evaluate(agent, several(space), episodes=3)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.fill_(value)
    for observations in (np.zeros(1), np.zeros((4, 1))):  # one, and several
        for greedy in (True, False):
            with pytest.raises(FloatingPointError, match="is not finite for observation 0"):
                agent.act(observations, greedy=greedy)
    for use in (
        lambda: pg.evaluate(agent, several(space), episodes=3, seed=7),
        lambda: pg.evaluate(agent, several(space), episodes=3, seed=7, greedy=False),
        lambda: pg.train(agent, several(space), total_steps=100, seed=7, progress=False),
    ):
        with pytest.raises(
            FloatingPointError, match="policy: its distribution .* is not finite in Steps at step 0, env"
        ):
            use()


@pytest.mark.parametrize("name", ["grpo", "rloo", "reinforce"])
def test_nothing_is_learned_where_returns_that_are_equal_weigh_nothing(name):
    env = several(Discrete(2), 4)
    agent = pg.AGENTS[name].for_env(env)
    with torch.no_grad():
        agent.policy.network[0].weight[0, 0] = NAN
    with pytest.raises(FloatingPointError, match=r"in Steps at step 0, environment 0, seed \d+"):
        pg.train(agent, env, total_steps=100, seed=3, progress=False)


class Fades(TabularPolicy):
    """Is NaN in environment 2 from its fourth step on."""

    def forward(self, observations, memory=None, episode_starts=None):
        distribution = super().forward(observations.squeeze(-1).long(), memory, episode_starts)
        rows = torch.arange(observations.shape[-2]) == 2
        late = (observations.squeeze(-1) >= 3) & rows
        return self.made(distribution.unnormalized.masked_fill(late[..., None], NAN))

    made = Categorical


class Plain:
    """A distribution of one's own, which knows nothing of `is_finite`."""

    def __init__(self, logits):
        self.logits = logits

    def sample(self, generator=None):
        return Categorical(self.logits).sample(generator)

    def mode(self):
        return Categorical(self.logits).mode()

    def log_prob(self, actions):
        return Categorical(self.logits).log_prob(actions)


@pytest.mark.parametrize("made", [Categorical, Plain])
@pytest.mark.parametrize("greedy", [True, False])
def test_the_environment_the_step_and_the_seed_are_named(made, greedy):
    policy = Fades(11, 2)
    policy.made = made
    message = rf"{made.__name__}.* is not finite in Steps at step 3, environment 2, seed \d+:"
    agent = pg.Reinforce(policy=policy)
    with pytest.raises(FloatingPointError, match=message):
        pg.evaluate(agent, several(Discrete(2)), episodes=3, seed=5, greedy=greedy)
    if not greedy:
        with pytest.raises(FloatingPointError, match=message):
            pg.train(agent, several(Discrete(2)), total_steps=100, seed=5, progress=False)


def test_texts_are_not_written_by_such_a_policy():
    env = gym.make_vec("pg/Copy-v0", 4)
    agent = pg.GRPO.for_env(env)
    with torch.no_grad():
        agent.policy.head.weight[0, 0] = NAN
    with pytest.raises(FloatingPointError, match=r"at step 0, environment 0, seed \d+"):
        pg.train(agent, env, total_steps=100, progress=False)


def test_simulated_paths_end_too():
    env = gym.make_vec("pg/TwoStateMDP-v0", 3)
    policy = TabularPolicy(2, 2)
    with torch.no_grad():
        policy.logits[0, 1, 0] = NAN
    with pytest.raises(FloatingPointError, match=r"in a simulation of .*TwoStateMDP.*, environment \d, seed 4"):
        estimate_gain(env, env.reset(seed=1)[0], policy, steps=100, seed=4)


def test_what_a_distribution_may_be_made_of():
    def tensor(*values):
        return torch.tensor([values])

    three = torch.full((1, 3), 3e38)  # whose sum is not finite
    for logits, expected in (
        (tensor(0.0, 1.0), True),
        (tensor(0.0, -INF), True),
        (three, True),
        (tensor(0.0, NAN), False),
        (tensor(NAN, -INF), False),
        (tensor(0.0, INF), False),
        (tensor(INF, -INF), False),
    ):
        assert Categorical(logits).is_finite() is MultiCategorical(logits[:, None]).is_finite() is expected
    for bits, expected in (
        (tensor(0.0, -INF), True),
        (tensor(INF, -INF), True),
        (three, True),
        (tensor(NAN, 0), False),
    ):
        assert Bernoulli(bits).is_finite() is expected
    zero = torch.zeros(3)
    for mean, log_std, expected in (
        (three, zero, True),
        (three, zero + 1, True),
        (three * -INF, zero, False),
        (three * 0, zero - INF, False),
        (three * NAN, zero, False),
        (three * 0, tensor(0.0, NAN, 0), False),
    ):
        assert DiagonalGaussian(mean, log_std).is_finite() is expected
        assert SquashedGaussian(mean, log_std, zero).is_finite() is expected


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_k=3), Sampling(top_p=0.9)], ids=str)
@pytest.mark.parametrize("draw", ["sample", "mode"])
@pytest.mark.parametrize("row", [0, 4])
def test_logits_of_texts_are_looked_at_before_they_are_cut(sampling, draw, row):
    head = nn.Linear(4, 30)
    hidden = torch.randn(5, 4)
    for value, expected in ((0.0, True), (NAN, False)):
        hidden[row, 0] = value
        distribution = TokenCategorical(hidden, torch.ones(5, dtype=torch.bool), head, sampling, chunk=2)
        getattr(distribution, draw)()
        assert distribution.is_finite() is expected
    head.bias.data[:] = -INF
    head.bias.data[5:] = 0  # a model's own way to say that there are no such tokens
    distribution = TokenCategorical(torch.randn(5, 4), torch.ones(5, dtype=torch.bool), head, sampling, chunk=2)
    assert bool((distribution.sample() >= 5).all()) and distribution.is_finite()


def test_a_gradient_that_is_not_finite_says_where_it_learned():
    env = several(Discrete(2))
    agent = pg.PPO.for_env(env, num_steps=8, minibatch_size=24)
    agent.policy.network[0].weight.register_hook(lambda gradient: gradient * NAN)
    with pytest.raises(
        FloatingPointError, match=r"gradient of PPO is not finite; .*; it learned in Steps up to step 8, with seed 2"
    ):
        pg.train(agent, env, total_steps=100, seed=2, progress=False)


def test_such_agents_are_saved_with_a_warning_and_not_loaded(tmp_path):
    agent = pg.PPO.for_env(gym.make_vec("CartPole-v1", 4))
    agent.save(tmp_path / "agent")
    with torch.no_grad():
        agent.critic.network[1].bias[3] = INF
    with pytest.warns(RuntimeWarning, match=r"critic\.network\.1\.bias is not finite"):
        agent.save(tmp_path / "agent")
    with pytest.raises(SavedAgentError, match=r"critic\.network\.1\.bias' of the agent in .*agent is not finite"):
        pg.load(tmp_path / "agent")
