"""What `act` takes: one observation or a batch, in any layout, with masks and memories, and what it refuses."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from support.any_space import ACTIONS, OBSERVATIONS
from support.bugs import Bug, seeded, with_arguments

import pg_agents as pg
from pg_agents.data.tree import tree_map
from pg_agents.policies import MLPCritic, MLPPolicy, acting

NUMBERS = Box(-1, 1, (2,))


def drawn(space, count, seed=0):
    """Return observations [B, …] as a vector environment gives them."""
    whole = batch_space(space, count)
    whole.seed(seed)
    return whole.sample()


def row(tree, index):
    return tree_map(lambda leaf: leaf[index], tree)


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("action", ["discrete", "box-2d"])
def test_a_batch_of_every_space_is_acted_on_row_by_row(observation, action):
    space, actions = OBSERVATIONS[observation], ACTIONS[action]
    agent = pg.PPO.for_spaces(space, actions, seed=1)
    for count in (1, 3):
        seen = drawn(space, count)
        taken, _ = agent.act(seen, greedy=True)
        alone = [agent.act(row(seen, b), greedy=True)[0] for b in range(count)]
        assert np.shape(taken) == (count, *actions.shape) and taken.dtype == actions.dtype
        np.testing.assert_allclose(taken, np.stack(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_actions_of_a_batch_are_what_a_vector_environment_takes(action):
    space = ACTIONS[action]
    agent = pg.PPO.for_spaces(NUMBERS, space, seed=1)
    taken, _ = agent.act(drawn(NUMBERS, 4), generator=torch.Generator().manual_seed(0))
    assert taken.shape == (4, *space.shape) and all(space.contains(one) for one in taken)
    assert len(np.unique(taken, axis=0)) > 1  # a sample of its own in every row


def test_every_layout_of_an_array_is_the_same_observation():
    agent = pg.PPO.for_spaces(Box(-1, 1, (2, 3)), Box(-1, 1, (2,)), seed=0)
    seen = np.random.default_rng(0).uniform(-1, 1, (2, 3))
    frozen = seen.copy()
    frozen.flags.writeable = False
    wide = np.zeros((4, 9))
    wide[::2, ::3] = seen
    forms = [seen[::-1, ::-1].copy()[::-1, ::-1], np.asfortranarray(seen), frozen, wide[::2, ::3], seen.tolist()]
    forms += [torch.tensor(seen, requires_grad=True), seen.astype(">f8"), seen.astype(np.longdouble), tuple(seen)]
    wanted = agent.act(seen, greedy=True)[0]
    for form in forms:
        np.testing.assert_allclose(agent.act(form, greedy=True)[0], wanted, rtol=1e-6)
    before = seen.copy()
    agent.act(seen)
    assert (seen == before).all()
    batch = np.stack([seen, seen + 0.1])[::-1]
    assert agent.act(batch, greedy=True)[0].shape == (2, 2)
    table = pg.PPO.for_spaces(Discrete(5, start=2), Discrete(3))
    for one in (4, np.int8(4), np.array(4), torch.tensor(4), 4.0):
        assert np.shape(table.act(one)[0]) == ()
    for many in ([4, 2], (4, 2), np.array([4, 2], np.uint16), torch.tensor([4, 2])):
        assert np.shape(table.act(many)[0]) == (2,)


def test_a_policy_of_ones_own_takes_one_observation_in_any_layout():
    agent = pg.ActorCritic(policy=MLPPolicy(NUMBERS, Box(-1, 1, (2,))), critic=MLPCritic(NUMBERS))
    seen = np.array([0.5, -0.2], np.float32)
    wanted = agent.act(seen, greedy=True)[0]
    frozen = seen.copy()
    frozen.flags.writeable = False
    for form in (seen[::-1].copy()[::-1], frozen, seen.tolist(), torch.tensor(seen)):
        assert np.array_equal(agent.act(form, greedy=True)[0], wanted) and wanted.shape == (2,)


@pytest.mark.parametrize(
    ("space", "given", "words"),
    [
        (NUMBERS, np.zeros(3), r"observation has the shape \(3,\); one observation has \(2,\), a batch \(B, 2\)"),
        (NUMBERS, np.zeros((2, 2, 2)), r"observation has the shape \(2, 2, 2\); one"),
        (NUMBERS, 0.5, r"observation has the shape \(\); one"),
        (NUMBERS, [[1, 2], [3]], r"observation must be numbers, got \[\[1, 2\], \[3\]\]"),
        (NUMBERS, None, "observation must be numbers, got None"),
        (NUMBERS, "left", "observation must be numbers, got left"),
        (NUMBERS, (np.zeros(2), {}), "got a tuple of 2, as env.reset and env.step return it; pass its first"),
        (NUMBERS, (np.zeros(2), 0.0, False, False, {}), "got a tuple of 5, as env.reset and env.step"),
        (Tuple([NUMBERS, NUMBERS]), ((np.zeros(2), np.zeros(2)), {}), "got a tuple of 2, as env.reset"),
        (NUMBERS, [0, np.nan], r"observation\[1\] is nan, which is not finite"),
        (NUMBERS, [[0, 0], [0, -np.inf]], r"observation\[1, 1\] is -inf, which is not finite"),
        (Box(-1, 1, ()), np.nan, "observation is nan, which is not finite"),
        (Discrete(3, start=2), 5, r"observation is 5, outside of Discrete\(3, start=2\)"),
        (Discrete(3), [0, -1], r"observation\[1\] is -1, outside of Discrete\(3\)"),
        (Discrete(3), 1.5, r"observation is 1.5, outside of Discrete\(3\)"),
        (Discrete(3), np.nan, "observation is nan, outside of"),
        (MultiDiscrete([2, 3]), [1, 7], r"observation\[1\] is 7, outside of MultiDiscrete\(\[2 3\]\)"),
        (MultiDiscrete([[2, 3]], start=[[1, 0]]), [[[0, 2]]], r"observation\[0, 0, 0\] is 0, outside of"),
        (MultiBinary(2), [0, 2], r"observation\[1\] is 2, outside of MultiBinary\(2\)"),
        (Dict(a=Tuple([MultiDiscrete([2])])), {"a": ([3],)}, r"observation\['a'\]\[0\]\[0\] is 3, outside of"),
        (Dict(a=Dict(b=NUMBERS)), {"a": {"b": [0, np.inf]}}, r"observation\['a'\]\['b'\]\[1\] is inf"),
        (Dict(a=NUMBERS, b=NUMBERS), {"a": [0, 0]}, r"observation must be a dict with the keys \['a', 'b'\], got the"),
        (Dict(a=NUMBERS), [0, 0], r"observation must be a dict with the keys \['a'\], got \[0, 0\]"),
        (Tuple([NUMBERS]), (np.zeros(2), np.zeros(2)), "observation must be a tuple of 1, got"),
        (
            Dict(a=NUMBERS, b=NUMBERS),
            {"a": [0, 0], "b": [[0, 0]]},
            "the same number of observations; got one and 1",
        ),
        (Tuple([NUMBERS, Discrete(2)]), ([[0, 0]], [1, 0]), "the same number of observations; got 1 and 2"),
    ],
)
def test_what_is_no_observation_is_named(space, given, words):
    agent = pg.PPO.for_spaces(space, Discrete(2), hidden=(4,))
    with pytest.raises(ValueError, match=words):
        agent.act(given)


# -- masks -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("form", [np.array, lambda masks: [list(map(int, mask)) for mask in masks], torch.tensor])
def test_a_batch_has_a_mask_in_every_row(inside, form):
    space = Dict(observation=NUMBERS, action_mask=MultiBinary(4)) if inside else NUMBERS
    agent = pg.PPO.for_spaces(space, Discrete(4, start=3), seed=0)
    masks = np.eye(4, dtype=bool)[[2, 0, 3]]
    seen = {"observation": drawn(NUMBERS, 3), "action_mask": form(masks)}
    for _ in range(5):
        assert agent.act(seen)[0].tolist() == [5, 3, 6]
    assert agent.act(row(seen, 1))[0] == 3


def test_masks_may_be_parts_for_each_choice():
    for counts in ([2, 2], [2, 3]):
        agent = pg.PPO.for_spaces(NUMBERS, MultiDiscrete(counts))
        parts = tuple(np.eye(n, dtype=np.int8)[1] for n in counts)
        for _ in range(5):
            assert agent.act({"observation": [0, 0], "action_mask": parts})[0].tolist() == [1, 1]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([0, -np.inf, 0], "an action_mask that holds -inf; a mask is 1 .True. where an action is allowed"),
        ([1, 0.5, 0], "holds 0.5; a mask is"),
        ([np.nan, 1, 1], "holds nan; a mask is"),
        ("yes", "holds yes; a mask is"),
        ([0, 0, 0], "an action_mask that forbids every action"),
        ([1, 1], r"action_mask.* has.* shape \(2,\)"),
        ([[1, 1, 1]], "the same number of observations; got one and 1"),
    ],
)
def test_what_is_no_mask_is_named(inside, mask, words):
    space = Dict(observation=NUMBERS, action_mask=Box(0, 1, (3,), np.int8)) if inside else NUMBERS
    agent = pg.PPO.for_spaces(space, Discrete(3))
    with pytest.raises(ValueError, match=words):
        agent.act({"observation": [0, 0], "action_mask": mask})


def test_rows_of_a_batch_that_have_ended_may_forbid_everything():
    agent = pg.PPO.for_spaces(NUMBERS, Discrete(2))
    seen = {"observation": drawn(NUMBERS, 2), "action_mask": [[0, 0], [0, 1]]}
    assert agent.act(seen)[0][1] == 1


def test_actions_without_masks_take_none():
    with pytest.raises(ValueError, match=r"action_mask: Box.* has no masks; leave it out"):
        pg.PPO.for_spaces(NUMBERS, NUMBERS).act({"observation": [0, 0], "action_mask": [1, 1]})


# -- memory ------------------------------------------------------------------------------------------------------------
def test_a_batch_remembers_row_by_row_and_forgets_where_episodes_begin():
    agent = pg.PPO.for_spaces(NUMBERS, Box(-1, 1, (2,)), recurrent=8, seed=0)
    generator = torch.Generator().manual_seed(0)
    for parameter in agent.policy.network.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    steps = [drawn(NUMBERS, 3, seed) for seed in range(4)]
    begins = [np.array(row) for row in ([1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1])]
    memory, alone = None, [None] * 3
    for seen, episode_starts in zip(steps, begins, strict=True):
        taken, memory = agent.act(seen, memory, episode_starts=episode_starts.astype(bool), greedy=True)
        for b in range(3):
            one, alone[b] = agent.act(seen[b], None if episode_starts[b] else alone[b], greedy=True)
            np.testing.assert_allclose(one, taken[b], atol=1e-6)
    assert memory.shape == (3, 8)
    again, _ = agent.act(steps[-1], None, greedy=True)
    assert not np.allclose(again[0], taken[0], atol=1e-3)  # what is remembered matters


def test_starts_are_those_of_the_actor_in_a_vector_environment():
    """By hand as `evaluate` does it: a recurrent agent acts in three environments that reset on their own."""
    env = gym.make_vec(
        "CartPole-v1", 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.NEXT_STEP}
    )
    agent = pg.A2C.for_env(env, recurrent=4)
    stream = pg.collection.env_adapter.EnvAdapter(env, 0)
    actor = pg.collection.actor.Actor(stream, agent.policy, 0, greedy=True)
    memory = None
    for _ in range(80):
        mine, memory = agent.act(stream.observation, memory, episode_starts=stream.episode_starts, greedy=True)
        theirs, _ = actor.act()
        assert np.array_equal(mine, theirs)
        stream.step(theirs)


@pytest.mark.parametrize("episode_starts", [[True], [1, 0, 0], np.ones((3, 1), bool), "yes", True])
def test_what_says_nothing_of_each_row_is_no_start(episode_starts):
    agent = pg.PPO.for_spaces(NUMBERS, Discrete(2), recurrent=4)
    with pytest.raises(ValueError, match="episode_starts must be 3 bools, one per observation, got"):
        agent.act(drawn(NUMBERS, 3), episode_starts=episode_starts)


def test_one_observation_has_one_start():
    agent = pg.PPO.for_spaces(NUMBERS, Discrete(2), recurrent=4)
    _, memory = agent.act([0, 0])
    for episode_starts in (True, [True], torch.tensor(True)):
        assert torch.equal(agent.act([1, 1], memory, episode_starts=episode_starts)[1], agent.act([1, 1])[1])


def test_a_memory_is_of_as_many_observations():
    agent = pg.PPO.for_spaces(NUMBERS, Discrete(2), recurrent=4)
    _, memory = agent.act(drawn(NUMBERS, 3))
    for seen, count in (([0, 0], 1), (drawn(NUMBERS, 2), 2)):
        with pytest.raises(ValueError, match=f"memory: it has 3 rows for {count} observations; pass"):
            agent.act(seen, memory)


def test_independent_learners_act_on_one_each():
    agent = pg.Reinforce.for_env(gym.make_vec("pg/GridWorld-v0", 3), num_learners=3)
    with torch.no_grad():
        agent.policy.logits[range(3), :, range(3)] = 99.0
    assert agent.act(np.zeros(3, int))[0].tolist() == [0, 1, 2]
    for seen, count in ((0, 1), (np.zeros(2, int), 2)):
        with pytest.raises(
            ValueError, match=f"3 independent learners need a batch of as many observations for each; got {count}"
        ):
            agent.act(seen)


def test_texts_are_acted_on_one_by_one_or_together():
    env = gym.make_vec("pg/Copy-v0", 3)
    agent = pg.Reinforce.for_env(env, seed=0)
    seen, _ = env.reset(seed=0)
    taken, memory = agent.act(seen, greedy=True)
    assert taken.tolist() == [agent.act(row(seen, b), greedy=True)[0] for b in range(3)]
    assert agent.act(row(seen, 0), memory, greedy=True)[0] == taken[0]  # a cache of others is no harm
    with pytest.raises(ValueError, match=r"observation\['tokens'\] has the shape"):
        agent.act({"tokens": seen["tokens"][:, :2], "length": seen["length"]})


test_seeded_bugs = seeded(
    Bug(
        "of a batch of observations one is acted on",
        acting.actions_of,
        with_arguments(acting.actions_of, count=lambda _: None),
        [test_a_batch_of_every_space_is_acted_on_row_by_row],
    ),
    Bug(
        "memory goes on where an episode of a batch begins",
        acting.memory_of,
        with_arguments(acting.memory_of, episode_starts=lambda _: None),
        [test_a_batch_remembers_row_by_row_and_forgets_where_episodes_begin],
    ),
)
