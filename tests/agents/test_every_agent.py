"""Every agent learns in every family of environments, through one interface; an untrained one does not pass."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from support.agents import CONTINUING_AGENTS, EPISODIC_AGENTS

import pg_agents as pg


class Aim(gym.Env):
    """One step: see x, hit a = −x; reward −(a + x)². Box observations and actions."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-2, 2, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x, {}

    def step(self, action):
        return self.x, -float(np.square(action + self.x).sum()), True, False, {}


class Remember(gym.Env):
    """Two steps: see a colour both times, name it with Discrete(3, start=4). Dict observations."""

    observation_space = spaces.Dict({"colour": spaces.Discrete(3, start=1), "noise": spaces.Box(0, 1, (2, 2))})
    action_space = spaces.Discrete(3, start=4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.colour, self.left = int(self.np_random.integers(1, 4)), 2
        return self.observe(), {}

    def observe(self):
        return {"colour": np.int64(self.colour), "noise": self.np_random.random((2, 2)).astype(np.float32)}

    def step(self, action):
        assert self.action_space.contains(int(action))
        self.left -= 1
        return self.observe(), float(action - 3 == self.colour), self.left == 0, False, {}


class Signs(gym.Env):
    """The two states of pg/TwoStateMDP-v0, seen as a noisy sign. Box observations, Discrete(2, start=1); never ends."""

    observation_space = spaces.Box(-2, 2, (1,))
    action_space = spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return self.observe(), {}

    def observe(self):
        return np.array([2 * self.state - 1 + self.np_random.uniform(-0.5, 0.5)], np.float32)

    def step(self, action):
        reward, switch = float(self.state), (action == 2) == (self.np_random.random() < 0.9)
        self.state = 1 - self.state if switch else self.state
        return self.observe(), reward, False, False, {}


def sync(make):
    return lambda n: gym.vector.SyncVectorEnv([make] * n)


# environment: (how to make n of it, steps, what a learner reaches and an untrained agent does not)
FAMILIES = {
    "bandit": (lambda n: gym.make_vec("pg/BernoulliBandit-v0", n, probabilities=(0.1, 0.2, 0.9)), 8_000, 0.8),
    "contextual": (lambda n: gym.make_vec("pg/ContextualBandit-v0", n), 16_000, 0.8),
    "mdp": (lambda n: gym.make_vec("pg/GridWorld-v0", n), 60_000, 0.6),
    "tokens": (lambda n: gym.make_vec("pg/Shorter-v0", n), 6_000, 0.8),
    "control": (lambda n: gym.make_vec("CartPole-v1", n), 40_000, 100.0),
    "box": (sync(Aim), 24_000, -0.05),
    "dict": (sync(Remember), 16_000, 1.9),
}
# The same for tasks that never terminate, per step: 0.9 is the optimum, 0.5 random.
# With the limit every twentieth step is in state 0, where it begins: 0.855.
CONTINUING = {
    "finite": (lambda n: gym.make_vec("pg/TwoStateMDP-v0", n), 20_000, 0.85),
    "limited": (lambda n: gym.make_vec("pg/TwoStateMDP-v0", n, max_episode_steps=20), 20_000, 0.8),
    "signs": (sync(Signs), 40_000, 0.85),
    "limited signs": (sync(lambda: gym.wrappers.TimeLimit(Signs(), 20)), 40_000, 0.8),
}
# The same where episodes are to begin alike, which takes a seed for each environment.
SEEDED = {"control": sync(lambda: gym.make("CartPole-v1"))}
# What an agent needs besides its defaults to learn a family within these steps.
ARGUMENTS = {
    ("reinforce", "box"): {"normalize_advantages": True},
    ("actor-critic", "box"): {"learning_rate": 3e-3},
    ("a2c", "box"): {"learning_rate": 3e-3},
    ("grpo", "box"): {"epochs": 1},  # enough, and a quarter of the time
}


def slow_but_for(first, names, families):
    """Return all cases (name, family), of which those of another family than `first` are slow."""
    cases = [(name, family) for name in names for family in families]
    return [case if case[1] == first else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(("name", "family"), slow_but_for("bandit", EPISODIC_AGENTS, FAMILIES))
def test_learns(name, family):
    make, steps, threshold = FAMILIES[family]
    if "group_size" in pg.AGENTS[name].argument_names():
        make = SEEDED.get(family, make)
    agent = pg.AGENTS[name].for_env(make(16), seed=11, **ARGUMENTS.get((name, family), {}))
    before = pg.evaluate(agent, make(25), episodes=200, greedy=False).mean_return
    pg.train(agent, make(16), total_steps=steps, seed=12, progress=False)
    after = pg.evaluate(agent, make(25), episodes=200, greedy=True).mean_return
    assert before < threshold, f"an untrained agent reaches {before}"
    assert after >= threshold, f"{before} → {after}"


@pytest.mark.parametrize(("name", "family"), slow_but_for("finite", CONTINUING_AGENTS, CONTINUING))
def test_learns_what_never_ends(name, family):
    make, steps, threshold = CONTINUING[family]
    agent = pg.AGENTS[name].for_env(make(16), seed=11)

    def per_step(greedy):
        found = pg.evaluate(agent, make(25), episodes=25, greedy=greedy, max_episode_steps=400)
        return sum(found.returns) / sum(found.lengths)

    before = per_step(greedy=False)
    pg.train(agent, make(16), total_steps=steps, seed=12, progress=False)
    after = per_step(greedy=True)
    assert before < 0.6, f"an untrained agent reaches {before}"
    assert after >= threshold, f"{before} → {after}"


PAIRS = [(name, family) for name in EPISODIC_AGENTS for family in FAMILIES]
PAIRS += [(name, family) for name in CONTINUING_AGENTS for family in CONTINUING]


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_act_takes_and_gives_what_a_single_environment_does(name, family):
    make, _, _ = (FAMILIES | CONTINUING)[family]
    env = make(1)
    agent = pg.AGENTS[name].for_env(env)
    single = env.single_observation_space
    single.seed(3)
    observation = single.sample()
    if family == "tokens":
        observation["length"] = np.int64(5)
    memory = None
    for greedy in (True, False):
        action, memory = agent.act(observation, memory, greedy=greedy)
        assert env.single_action_space.contains(action), action
