"""Masks from infos and from observations: the right one beside every observation, and nothing forbidden is done."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from support.bugs import Bug, seeded, with_arguments
from support.masked_envs import ACTIONS, Doors, doors, limited

import pg_agents as pg
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.mask_reader import MaskReader
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.spaces.action_masks import split_mask

MODES = list(AutoresetMode)
KINDS = [
    ("discrete", "info"),
    ("shifted", "observation"),
    ("multi", "info"),
    ("multi", "observation"),
    ("bits", "info"),
]


def learner(env, name="actor-critic", **arguments):
    form = pg.AGENTS[name]
    rate = {"learning_rate": 0.01} if "learning_rate" in form.argument_names() else {}
    return form.for_env(env, seed=0, hidden=(16,), **rate | arguments)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("action", "where"), KINDS)
def test_the_mask_is_that_of_the_observation_beside_it(mode, action, where):
    """Doors shows its mask in the observation; the policy's samples never fail it. What followed is free of masks."""
    adapter = EnvAdapter(doors(mode, action=action, where=where), seed=1)
    agent = learner(adapter.env)
    actor = pg.collection.actor.Actor(adapter, agent.policy, 0)
    ends = 0
    for _ in range(40):
        seen, masks = split_mask(adapter.observation)
        assert (seen[adapter.valid] == masks[adapter.valid]).all()
        step = adapter.step(actor.act()[0])
        final, free = split_mask(step.final)
        assert (free if where == "info" else np.ones(1)).all()
        assert not final[step.terminated].any()  # the true last observation: all doors shut
        ends += step.done.sum()
    assert ends > 20
    adapter.env.close()


@pytest.mark.parametrize("form", ["list", "tuple"])
def test_masks_may_be_lists_and_tuples(form):
    adapter = EnvAdapter(doors(AutoresetMode.SAME_STEP, action="multi", form=form), seed=0)
    actor = pg.collection.actor.Actor(adapter, learner(adapter.env).policy, 0)
    for _ in range(20):
        seen, masks = split_mask(adapter.observation)
        assert masks.dtype == bool and (seen == masks).all()
        adapter.step(actor.act()[0])


def test_asynchronous_and_single_environments():
    for env in (AsyncVectorEnv([limited] * 2), limited()):
        agent = learner(env)
        pg.train(agent, env, total_steps=100, seed=0, progress=False)
        env.close()


class Native(VectorEnv):
    """Two rows, three actions; the info's masks come without "_action_mask", after step `late`."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    num_envs, single_observation_space, single_action_space = 2, Box(0, 1, (1,)), Discrete(3)
    observation_space, action_space = Box(0, 1, (2, 1)), gym.spaces.MultiDiscrete([3, 3])

    def __init__(self, masks, late=0):
        self.masks, self.late, self.clock = np.array(masks), late, 0

    def infos(self):
        return {"action_mask": self.masks} if self.clock >= self.late else {}

    def reset(self, *, seed=None, options=None):
        self.clock = 0
        return np.zeros((2, 1), np.float32), self.infos()

    def step(self, actions):
        assert self.late or self.masks[[0, 1], actions].all()
        self.clock += 1
        no = np.zeros(2, bool)
        return np.zeros((2, 1), np.float32), np.zeros(2), no, no, self.infos()


def test_native_vector_environments():
    env = Native([[0, 1, 0], [1, 0, 1]])
    agent = learner(env)
    pg.train(agent, env, total_steps=50, seed=0, progress=False)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (Native([[0, 0, 1], [0, 0, 0]]), r"Native gave an action_mask that forbids every action, in environment 1"),
        (Native([[1, 1], [0, 1]]), r"Native gave an action_mask of shape \(2, 2\), expected \(2, 3\)"),
        (Native([1, 1, 0]), r"Native gave an action_mask that holds \[1 1 0\], expected an array \(2, 3\)"),
        (Native({"a": 1}), r"Native gave an action_mask that holds {'a': 1}, expected an array \(2, 3\)"),
        (Native([[0, 1, 0], [1, 0, 1]], late=2), r"none at its first reset.*\(step 2\)"),
    ],
)
def test_masks_that_cannot_be_are_refused(env, words):
    with pytest.raises(FaultyEnvironmentError, match=words):
        adapter = EnvAdapter(env, 0)
        for _ in range(3):
            adapter.step(np.ones(2, int))


@pytest.mark.parametrize("mask", [[0, -np.inf, 0], [1, 0.5, 0], [np.nan, 1, 1], [2, 1, 0], [1, -1, 0], ["a", "b", "c"]])
@pytest.mark.parametrize("form", [np.array, list])
def test_nothing_but_0_and_1_is_a_mask(mask, form):
    """A mask that is added to logits (0, −∞) would be read the wrong way round."""
    for masks in ([mask, [1, 1, 0]], [[1, 1, 0], mask]):
        env = Native(np.zeros((2, 3)))
        env.masks = form(masks)
        with pytest.raises(
            FaultyEnvironmentError, match=r"Native gave an action_mask that holds .*a mask is 1 \(True\)"
        ):
            EnvAdapter(env, 0)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32])
def test_0_and_1_are_a_mask_in_any_dtype(dtype):
    masks = np.array([[0, 1, 0], [1, 0, 1]], dtype)
    assert split_mask(EnvAdapter(Native(masks), 0).observation)[1].tolist() == masks.astype(bool).tolist()


@pytest.mark.parametrize("mask", [[0, -np.inf, 0], [1, 0.5, 0], [2, 1, 0]])
def test_nothing_but_0_and_1_is_a_mask_in_observations(mask):
    class Inside(gym.Env):
        observation_space = Dict(observation=Box(0, 1, (2,)), action_mask=Box(-np.inf, np.inf, (3,)))
        action_space, clock = Discrete(3), 0

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.shown([1, 1, 0]), {}

        def step(self, action):
            self.clock += 1
            return self.shown(mask if self.clock == 3 else [1, 1, 0]), 0.0, False, False, {}

        def shown(self, mask):
            return {"observation": np.zeros(2, np.float32), "action_mask": np.array(mask, np.float32)}

    with (
        np.errstate(invalid="ignore"),
        pytest.raises(FaultyEnvironmentError, match=r"Inside .*action_mask.*a mask is 1 \(True\) where.*step 3"),
    ):
        pg.train(learner(Inside()), Inside(), total_steps=60, progress=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("action", "where"), [("discrete", "info"), ("multi", "info"), ("discrete", "observation")])
def test_a_mask_that_forbids_everything_is_a_fault_where_an_action_is_due(mode, action, where):
    """At the end of an episode it is none: Doors always has one there."""
    env = doors(mode, action=action, where=where, ends=0.0, forbid=7)
    with pytest.raises(FaultyEnvironmentError, match=r"forbids every action, in environment 0 \(step [78]\)"):
        pg.train(learner(env), env, total_steps=1000, seed=0, progress=False)


def test_no_bit_has_to_be_set():
    env = doors(AutoresetMode.NEXT_STEP, action="bits", ends=0.0, forbid=7)
    pg.train(learner(env), env, total_steps=100, seed=0, progress=False)


def test_rows_without_a_mask_are_free():
    """Only every other info has a mask; the others allow everything."""

    class Sometimes(Doors):
        def observe(self):
            self.open = np.ones(4, bool) if self.clock % 2 else self.open
            observation, info = super().observe()
            return observation, {} if self.clock % 2 else info

    env = gym.vector.SyncVectorEnv([lambda: Sometimes(ends=0.0)] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    adapter = EnvAdapter(env, 0)
    assert not split_mask(adapter.observation)[1].all()
    adapter.step(split_mask(adapter.observation)[1].argmax(1))
    assert split_mask(adapter.observation)[1].all()


def test_actions_without_masks_have_none():
    """An info called action_mask beside Box actions is nobody's mask."""

    class Continuous(Doors):
        def __init__(self):
            super().__init__()
            self.action_space = Box(-1, 1, (2,))

        def step(self, action):
            self.open = self.draw()
            return *self.observe()[:1], 0.0, False, False, self.observe()[1]

    adapter = EnvAdapter(Continuous(), 0)
    assert isinstance(adapter.observation, np.ndarray)
    assert isinstance(adapter.step(np.zeros((1, 2), np.float32)).final, np.ndarray)


@pytest.mark.parametrize("name", ["actor-critic", "ppo", "reinforce", "trpo"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("action", "where"), KINDS)
def test_agents_learn_and_never_do_what_is_forbidden(name, mode, action, where):
    """Doors fails at a forbidden action. What was recorded has the log-probabilities of the policy with its masks."""
    env = doors(mode, action=action, where=where)
    agent = learner(env, name)
    collector = agent_rollouts(agent, env)
    for _ in range(3):
        rollout = next(collector)
        recorded = rollout.log_probs[rollout.mask]
        again = agent.policy(rollout.observations).log_prob(rollout.actions)[rollout.mask]
        torch.testing.assert_close(again, recorded, rtol=0, atol=1e-5)
        assert torch.isfinite(agent.policy(rollout.observations).log_prob(rollout.actions)).all()
        metrics = agent.update(rollout)
        assert all(torch.isfinite(torch.as_tensor(value)).all() for value in metrics.values())
    assert all(torch.isfinite(parameter).all() for parameter in agent.parameters())
    evaluation = pg.evaluate(agent, env, episodes=5, greedy=False)
    assert len(evaluation.returns) == 5
    env.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("action", "where"), [("discrete", "info"), ("multi", "observation")])
def test_recurrent_policies_heed_masks(mode, action, where):
    env = doors(mode, action=action, where=where)
    agent = learner(env, recurrent=8, num_steps=8)
    pg.train(agent, env, total_steps=100, seed=0, progress=False)
    pg.evaluate(agent, env, episodes=5, greedy=False)


def agent_rollouts(agent, env):
    if isinstance(agent.cadence, pg.StepCadence):
        return pg.collect_steps(env, agent.policy, 8, seed=3)
    return pg.collect_episodes(env, agent.policy, seed=3)


def test_the_best_allowed_door_is_learned():
    """The value of a door is its number: an agent that knows masks gets more than one that guesses among them.

    Doors 0 … 3 open with probability 0.4 and at least one: the best open one is worth 2.16 on average by enumeration of
    the masks, a random open one about 1.5.
    """
    env = gym.vector.SyncVectorEnv([lambda: Doors(ends=1.0)] * 8, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = learner(env)
    before = pg.evaluate(agent, env, episodes=400, greedy=False).mean_return
    pg.train(agent, env, total_steps=4000, seed=0, progress=False)
    after = pg.evaluate(agent, env, episodes=400).mean_return
    assert before < 1.75 and after > 1.95


@pytest.mark.parametrize("action", list(ACTIONS))
def test_agents_act_with_a_mask_given_beside_the_observation_and_without(tmp_path, action):
    """With a mask of one allowed action that one is taken; without a mask every action comes up."""
    env = Doors(action=action)
    agent = learner(env)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    observation, _ = env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for number in range(4):
        mask = np.zeros(env.size, np.int8)
        if action == "multi":
            mask[[number % 2, 2 + number % 3, 5 + number // 2]] = 1
            wanted = [number % 2, 5 + number % 3, 1 + number // 2]
        else:
            mask[number] = 1
            wanted = mask if action == "bits" else number + getattr(env.action_space, "start", 0)
        for one in (agent, loaded):
            for greedy in (False, True):
                masked = {"observation": observation, "action_mask": mask}
                done, _ = one.act(masked, greedy=greedy, generator=generator)
                if action == "bits":
                    assert (done <= wanted).all() and env.action_space.contains(done)
                else:
                    assert np.array_equal(done, wanted)
    free = {np.asarray(agent.act(observation, generator=generator)[0]).tobytes() for _ in range(200)}
    assert len(free) >= (4 if action in ("discrete", "shifted") else 10)


def test_masks_in_other_observations_than_numbers():
    """Tables and Dicts beside a mask: Discrete observations get a table, which heeds the mask too."""

    class Counting(Doors):
        def __init__(self, inside):
            super().__init__(ends=0.2)
            self.inside = inside
            shown = Discrete(16)
            self.observation_space = Dict(state=shown, action_mask=MultiBinary(4)) if inside else shown

        def observe(self):
            _, info = super().observe()
            state = np.int64(self.open @ (1, 2, 4, 8))
            return ({"state": state} | info, {}) if self.inside else (state, info)

    for inside, kind in ((False, "TabularPolicy"), (True, "MLPPolicy")):
        env = gym.vector.SyncVectorEnv([lambda inside=inside: Counting(inside)] * 2)
        agent = pg.ActorCritic.for_env(env, normalize_rewards=True)
        assert type(agent.policy).__name__ == kind
        pg.train(agent, env, total_steps=200, seed=0, progress=False)


@pytest.mark.parametrize("where", ["info", "observation"])
def test_observations_are_standardised_beside_their_mask(where):
    env = doors(AutoresetMode.NEXT_STEP, where=where)
    agent = learner(env, "ppo", normalize_observations=True, num_steps=32)
    pg.train(agent, env, total_steps=300, seed=0, progress=False)
    scale = agent.policy.encoder.scale
    assert scale.moments.count > 0 and 0.2 < float(scale.moments.mean.mean()) < 0.7


def test_taxi_passes_its_masks():
    """Gymnasium's Taxi-v4 gives masks of the actions that change anything; all that is collected heeds them."""
    env = gym.make_vec("Taxi-v4", 4)
    agent = pg.ActorCritic.for_env(env)
    rollout = next(pg.collect_steps(env, agent.policy, 50, seed=0))
    masks = rollout.observations["action_mask"]
    assert masks.shape == (50, 4, 6) and not masks.all()
    taken = masks.gather(-1, rollout.actions[..., None])[..., 0]
    assert taken[rollout.mask].all()


def test_masks_beside_tokens_are_refused_where_these_are_stored_once():
    """A block of tokens has no place for a mask a step; stored as windows they are heeded."""

    class Words(Native):
        single_observation_space = Dict(tokens=Box(0, 2, (4,), np.int64), length=Discrete(5))
        observation_space = Dict(tokens=Box(0, 2, (2, 4), np.int64), length=gym.spaces.MultiDiscrete([5, 5]))

        def __init__(self, masks, append_only):
            super().__init__(masks)
            self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "append_only": append_only}

        def reset(self, **_options):
            self.length = 1
            return self.shown(), self.infos()

        def shown(self):
            return {"tokens": np.ones((2, 4), int), "length": np.full(2, self.length)}

        def step(self, actions):
            _, rewards, no, _, infos = super().step(actions)
            self.length += 1
            over = np.full(2, self.length == 4)
            final = {"final_obs": self.shown()} if over[0] else {}
            self.length = 1 if over[0] else self.length
            return self.shown(), rewards, over, no, infos | final

    masks = [[0, 1, 0], [1, 0, 1]]
    agent = pg.Reinforce.for_env(Words(masks, False))
    assert type(agent.policy).__name__ == "TransformerPolicy"
    pg.train(agent, Words(masks, False), total_steps=60, seed=0, progress=False)
    with pytest.raises(ValueError, match="Words has action masks; set its metadata"):
        pg.train(agent, Words(masks, True), total_steps=60, seed=0, progress=False)


def a_step_late(reader, infos, otherwise, right=MaskReader._read):
    masks = right(reader, infos, otherwise)
    reader.last, late = masks, getattr(reader, "last", masks)
    return late


test_seeded_bugs = seeded(
    Bug(
        "the mask is that of the step before",
        MaskReader._read,
        a_step_late,
        [test_the_mask_is_that_of_the_observation_beside_it],
    ),
    Bug(
        "the mask of a reset is not looked at",
        MaskReader.fold,
        with_arguments(MaskReader.fold, reset=lambda infos: None),
        [test_the_mask_is_that_of_the_observation_beside_it],
        raises=FaultyEnvironmentError,
    ),
)
