"""A policy that is not finite does not act: it is an error that says where, and so is what cannot be learned from."""

import copy
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.agents import SavedAgentError, npg
from pg_agents.agents.common import files, refused
from pg_agents.distributions import Categorical, distribution
from pg_agents.gradients.simulation import estimate_gain
from pg_agents.policies import TabularPolicy
from pg_agents.training.loop import make_collector

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


def test_a_gradient_that_is_not_finite_says_where_it_learned():
    env = several(Discrete(2))
    agent = pg.PPO.for_env(env, num_steps=8, minibatch_size=24)
    agent.policy.network[0].weight.register_hook(lambda gradient: gradient * NAN)
    with pytest.raises(
        FloatingPointError, match=r"gradient of PPO is not finite; .*; it learned in Steps up to step 8, with seed 2"
    ):
        pg.train(agent, env, total_steps=100, seed=2, progress=False)


NORMALIZED = {"normalize_rewards", "normalize_observations"}
WRONG = ["reward", "infinite reward", "reward whose square is infinite", "observation", "gradient"]


def whole(agent):
    """Return copies of all that an agent has learned, and the steps that it prepends to the next."""
    moments = agent.flat_optimizer.optimizer.state_dict()["state"]
    kept = dict(agent.state_dict()), moments, dict(agent.named_buffers()), getattr(agent, "gain", None)
    return copy.deepcopy(kept), agent.overlap.last


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if type(one) is tuple:
        return all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one is other or one == other


def spoiled(rollout, what):
    rewards, observations = rollout.rewards.double(), rollout.observations
    return {
        "reward": replace(rollout, rewards=rewards.index_fill(0, torch.tensor([0]), NAN)),
        "infinite reward": replace(rollout, rewards=rewards.index_fill(0, torch.tensor([0]), -INF)),
        "reward whose square is infinite": replace(rollout, rewards=torch.full_like(rewards, 1e200)),
        "observation": replace(rollout, observations=torch.full_like(observations, NAN)),
        "gradient": rollout,
    }[what]


class Rewarded(Steps):
    """Is rewarded for actions, and at random; its episodes are cut off, so that it never ends."""

    def step(self, action):
        observation, _, ended, _, infos = super().step(action)
        return observation, float(self.np_random.normal() + action), False, ended, infos


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", pg.AGENTS)
def test_a_refused_rollout_leaves_everything_as_it_was(name, what):
    """Parameters, the optimizer's moments, running statistics, estimated gains, and the steps before."""
    kind = pg.AGENTS[name]
    options = dict.fromkeys(NORMALIZED & set(kind.argument_names()), True)
    if name == "reinforce-baseline":
        options["baseline"] = "running-average"
    if what == "reward whose square is infinite" and "normalize_rewards" not in options:
        pytest.skip("its rewards have no running statistics")
    env = gym.vector.SyncVectorEnv([lambda: Rewarded(Discrete(2))] * 4)
    agent = kind.for_env(env, hidden=(4,), **options)
    collector = make_collector(agent, env, 0)
    for _ in range(2):
        agent.update(next(collector))
    if what == "gradient":
        for parameter in agent.policy.parameters():
            parameter.register_hook(lambda gradient: gradient * NAN)
    rollout, before = spoiled(next(collector), what), whole(agent)
    with pytest.raises(FloatingPointError, match="not finite"):
        agent.update(rollout)
    assert same(whole(agent), before)


def test_a_natural_gradient_step_to_no_policy_is_taken_back(monkeypatch):
    env = gym.vector.SyncVectorEnv([lambda: Rewarded(Discrete(2))] * 4)
    agent = pg.NaturalPolicyGradient.for_env(env, hidden=(4,))
    rollout, before = next(make_collector(agent, env, 0)), whole(agent)
    far = with_result(npg.natural_step_of, lambda found: (found[0] / found[0].abs().max() * 3e38, found[1]))
    monkeypatch.setattr(npg, "natural_step_of", far)
    with pytest.raises(FloatingPointError, match="divergence from the old one .*is not finite"):
        agent.update(rollout)
    assert same(whole(agent), before)


def test_such_agents_are_saved_with_a_warning_and_not_loaded(tmp_path):
    agent = pg.PPO.for_env(gym.make_vec("CartPole-v1", 4))
    agent.save(tmp_path / "agent")
    with torch.no_grad():
        agent.critic.network[1].bias[3] = INF
    with pytest.warns(RuntimeWarning, match=r"critic\.network\.1\.bias is not finite"):
        agent.save(tmp_path / "agent")
    with pytest.raises(SavedAgentError, match=r"critic\.network\.1\.bias' of the agent in .*agent is not finite"):
        pg.load(tmp_path / "agent")


test_seeded_bugs = seeded(
    Bug(
        "running statistics learn from a rollout that is refused",
        refused.remember,
        lambda overlap, statistics: lambda: None,
        [(test_a_refused_rollout_leaves_everything_as_it_was, "reinforce-gradient")],
    ),
    Bug(
        "a policy that is not finite acts",
        distribution.draw,
        lambda policy, where, *, greedy=False, generator=None: policy.mode() if greedy else policy.sample(generator),
        [test_the_environment_the_step_and_the_seed_are_named],
    ),
    Bug(
        "parameters that are not finite are saved without a word and loaded",
        files.not_finite,
        lambda module: None,
        [test_such_agents_are_saved_with_a_warning_and_not_loaded],
    ),
)
