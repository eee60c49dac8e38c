"""Rollouts hold the same transitions in every autoreset mode, and agents the same gradients from them."""

from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_result
from support.tiny_envs import ACTIONS, MODES, Dice, Faulty, OneStep, chosen, dice, transitions

import pg_agents.collection.collectors
from pg_agents.agents import ActorCritic, Reinforce, ReinforceBaseline
from pg_agents.collection.actor import Actor
from pg_agents.collection.collectors import collect_episodes, collect_steps
from pg_agents.collection.rollout_builder import RolloutBuilder, _texts
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.policies import MLPCritic, TabularPolicy
from pg_agents.spaces import environments

NAMES = [mode.name for mode in MODES]


def step_rollouts(env, num_steps=7, count=4, seed=0):
    collector = collect_steps(env, chosen(env), num_steps, seed=seed)
    rollouts = [next(collector) for _ in range(count)]
    env.close()
    return rollouts


def assert_same(lives, at_least=12):
    for other in lives[1:]:
        for mine, theirs in zip(lives[0], other, strict=True):
            n = min(len(mine), len(theirs))
            assert n >= at_least and mine[:n] == theirs[:n]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.one_of(st.none(), st.integers(1, 5)),
    num_steps=st.integers(1, 8),
    observation=st.sampled_from(["box", "discrete", "dict"]),
    action=st.sampled_from(list(ACTIONS)),
)
def test_modes_give_the_same_rollouts(seed, limit, num_steps, observation, action):
    form = {"limit": limit, "observation": observation, "action": action}
    lives = []
    for mode in MODES:
        lives.append(transitions(step_rollouts(dice(mode, **form), num_steps, 1 + 28 // num_steps, seed)))
    assert_same(lives)


def test_async_cartpole_and_reused_arrays_give_the_same_rollouts():
    safe = [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED]
    lives = [transitions(step_rollouts(dice(mode, observation="buffer"))) for mode in safe]
    lives += [transitions(step_rollouts(dice(mode, form={"copy": False}))) for mode in MODES[:2]]
    assert_same([*lives, transitions(step_rollouts(dice(MODES[1], vector=AsyncVectorEnv)))])
    envs = [
        gym.make_vec("CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": m}) for m in MODES
    ]
    cartpole = [collect_steps(env, chosen(env), 40) for env in envs]
    assert_same([transitions([next(collector), next(collector)]) for collector in cartpole], at_least=60)


def agents_for(env):
    policy, critic = chosen(env), MLPCritic(env.single_observation_space, hidden=(8,))
    yield Reinforce(policy=policy, discount=0.9, signal="discounted-reward-to-go", entropy_weight=0.1)
    yield Reinforce(policy=policy, discount=0.9, signal="whole-return", normalize_advantages=True)
    yield ReinforceBaseline(policy=policy, critic=critic, discount=0.9)
    yield ReinforceBaseline(policy=policy, baseline="batch-mean", discount=0.9)
    yield ReinforceBaseline(policy=policy, baseline="running-average", discount=0.9)
    yield ActorCritic(policy=policy, critic=critic, discount=0.9, entropy_weight=0.1)
    yield ActorCritic(policy=policy, critic=critic, discount=0.9, discounted_time=True, normalize_advantages=True)


def gradient(agent, rollout):
    with torch.no_grad():
        batch, _ = agent.prepared(rollout)
    agent.zero_grad()
    agent(batch)[0].backward()
    return torch.cat([parameter.grad.flatten() for parameter in agent.parameters()])


def first_episodes(rollout, count):
    """Return the rollout with all but the first `count` episodes of each environment masked, all of them complete."""
    episode = rollout.episode_starts.long().cumsum(0) - 1
    mask = rollout.mask & (episode < count)
    ends = (rollout.terminated | rollout.truncated) & mask
    assert (ends.sum(0) == count).all()
    return replace(rollout, mask=mask)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("action", ["discrete", "box"])
def test_modes_give_the_same_gradients(index, action):
    """From the first four episodes of three environments in 40 steps, and from one whole episode of each."""
    by_steps, by_episodes = [], []
    for mode in MODES:
        env = dice(mode, action=action)
        agent = list(agents_for(env))[index]
        by_steps.append(gradient(agent, first_episodes(next(collect_steps(env, agent.policy, 40)), 4)))
        env = dice(mode, action=action)
        agent = list(agents_for(env))[index]
        by_episodes.append(gradient(agent, next(collect_episodes(env, agent.policy))))
    for grads in (by_steps, by_episodes):
        assert grads[0].norm() > 0.01
        for other in grads[1:]:
            torch.testing.assert_close(other, grads[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_num_transitions_counts_what_was_decided(mode):
    """Bandits in NEXT_STEP: of ten rows, the five at even steps are decisions; every arm pays 1."""
    env = SyncVectorEnv([OneStep] * 3, autoreset_mode=mode)
    rollout = next(collect_steps(env, TabularPolicy(1, 2), 10))
    count = 15 if mode is AutoresetMode.NEXT_STEP else 30
    assert rollout.num_transitions == count == len(rollout.episode_returns)
    assert float(rollout.rewards[rollout.mask].mean()) == 1.0
    assert rollout.episode_returns.tolist() == [1.0] * count and rollout.episode_lengths.tolist() == [1] * count
    assert not rollout.rewards[~rollout.mask].any() and len(rollout.final_rows) == 0


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_columns_of_episodes(mode):
    """Each column is one episode from its start to its end; what comes after is masked and worth nothing."""
    env = dice(mode, num_envs=6)
    collector = collect_episodes(env, chosen(env))
    for _ in range(4):
        rollout = next(collector)
        lengths = rollout.mask.sum(0)
        row = torch.arange(len(rollout.mask))[:, None]
        ends = rollout.terminated | rollout.truncated
        assert torch.equal(rollout.mask, row < lengths) and lengths.max() == len(rollout.mask)
        assert torch.equal(ends, row == lengths - 1) and not (rollout.terminated & rollout.truncated).any()
        assert torch.equal(rollout.episode_starts, (row == 0).expand_as(ends))
        assert torch.equal(rollout.times[rollout.mask], row.expand_as(ends)[rollout.mask])
        assert torch.equal(rollout.observations[..., 0][rollout.mask], rollout.times[rollout.mask].float())
        assert not rollout.rewards[~rollout.mask].any()
        assert sorted(rollout.episode_lengths.tolist()) == sorted(lengths.tolist())
        assert rollout.episode_returns.sum() == pytest.approx(float(rollout.rewards.sum()), abs=1e-4)
        assert rollout.final_rows.tolist() == rollout.truncated.nonzero().tolist()
        assert (rollout.final_observations[:, 0] == 4).all()  # the clock after four steps, the time limit


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_cap_truncates_and_keeps_the_final_observation(mode):
    env = dice(mode, num_envs=5, limit=None, ends=0.15)
    collector = collect_episodes(env, chosen(env), max_episode_steps=3)
    for _ in range(3):
        rollout = next(collector)
        assert len(rollout.mask) <= 3
        cut = rollout.mask[2] & ~rollout.terminated[2]
        assert torch.equal(rollout.truncated.nonzero(), rollout.final_rows) and cut.any()
        assert torch.equal(rollout.truncated[2], cut) and not rollout.truncated[:2].any()
        assert (rollout.final_observations[:, 0] == 3).all()
        assert len(rollout.episode_lengths) == 5
        assert (rollout.observations[0, :, 0] == 0).all()  # the next rollout begins with new episodes


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_steps_end_in_the_middle_of_episodes(mode):
    """The rollout's last row keeps what followed it; the next rollout goes on from there."""
    env = dice(mode, limit=None, ends=0.0)
    collector = collect_steps(env, chosen(env), 3)
    first, second = next(collector), next(collector)
    assert first.final_rows.tolist() == [[2, 0], [2, 1], [2, 2]]
    assert torch.equal(first.final_observations, second.observations[0])
    assert first.episode_starts.tolist() == [[True] * 3, [False] * 3, [False] * 3] and not second.episode_starts.any()
    assert second.times.tolist() == [[3] * 3, [4] * 3, [5] * 3]
    assert len(first.episode_returns) == 0


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_endless_episodes_without_a_cap_are_an_error(mode, monkeypatch):
    monkeypatch.setattr(pg_agents.collection.collectors, "EPISODE_LIMIT", 20)
    env = SyncVectorEnv([OneStep, lambda: OneStep(endless=True)], autoreset_mode=mode)
    with pytest.raises(ValueError, match="(?s)not ended after 20 steps"):
        next(collect_episodes(env, TabularPolicy(1, 2)))


def test_log_prob_is_of_the_action_as_sampled():
    """Box(-1, 1): the environment asserts that it gets actions inside; the record keeps those outside."""
    env = dice(AutoresetMode.SAME_STEP, action="box", num_envs=8)
    policy = chosen(env)
    policy.__class__ = policy.__class__.__mro__[1]  # samples as it should
    rollout = next(collect_steps(env, policy, 20))
    outside = rollout.actions.abs() > 1
    assert 0.2 < outside.float().mean() < 0.5  # N(0, 1): 0.317, standard error 0.026
    normal = torch.distributions.Normal(*(lambda d: (d.mean, d.log_std.exp()))(policy(rollout.observations)))
    expected = normal.log_prob(rollout.actions).sum(-1)
    torch.testing.assert_close(rollout.log_probs, expected, rtol=1e-5, atol=1e-5)


def test_discrete_spaces_that_start_at_five():
    """Observations 5 … 11 index rows 0 … 6, actions 0 … 2 reach the environment as 5 … 7 (it asserts so)."""
    env = dice(AutoresetMode.SAME_STEP, observation="discrete", action="shifted")
    policy = TabularPolicy(7, 3, start=5)
    with torch.no_grad():
        policy.logits[0] = 50 * torch.nn.functional.one_hot(torch.arange(7) % 3, 3)
    rollout = next(collect_steps(env, policy, 30))
    assert set(rollout.observations.unique().tolist()) == set(range(5, 12))
    assert torch.equal(rollout.actions, (rollout.observations - 5) % 3)


@pytest.mark.parametrize("collect", [partial(collect_steps, num_steps=20), collect_episodes], ids=["steps", "episodes"])
def test_seeds_decide_everything_and_the_global_generators_are_left_alone(collect):
    def run(seed):
        env = dice(AutoresetMode.NEXT_STEP)
        policy = chosen(env)
        policy.__class__ = policy.__class__.__mro__[1]
        state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
        lived = transitions([next(collect(env, policy, seed=seed))])
        assert torch.equal(torch.get_rng_state(), state) and (np.random.get_state()[1] == numbers).all()
        return lived

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize("fault", ["nan reward", "inf reward", "nan observation", "long reward", "long observation"])
def test_faults_leave_the_agent_as_it_was(fault):
    env = SyncVectorEnv([Faulty, lambda: Faulty(fault, at=5)])
    agent = ActorCritic.for_env(env, num_steps=3)
    collector = collect_steps(env, agent.policy, 3)
    agent.update(next(collector))
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    with pytest.raises(FaultyEnvironmentError, match="at step 6"):  # step 4 was the automatic reset
        agent.update(next(collector))
    changed = [name for name, value in agent.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == []


def test_single_environments_are_collected_from():
    rollout = next(collect_steps(gym.wrappers.TimeLimit(Dice(), 4), chosen(dice(MODES[0])), 30))
    assert rollout.mask.shape == (30, 1) and rollout.num_transitions == 30 - int((~rollout.mask).sum())
    assert (
        rollout.episode_starts.sum() - 1
        <= (rollout.terminated | rollout.truncated).sum()
        == len(rollout.episode_lengths)
    )


def test_rewards_are_as_precise_as_the_environment_gives_them():
    env = SyncVectorEnv([lambda: OneStep(1e6 + 1e-3)] * 2)
    for policy in (chosen(env), chosen(env).to(torch.bfloat16)):
        rewards = next(collect_steps(env, policy, 3)).rewards
        assert rewards.dtype == torch.float64 and set(rewards.unique().tolist()) == {0.0, 1e6 + 1e-3}


# -- environments by their ids -----------------------------------------------------------------------------------------
def some_steps(env, **given):
    return collect_steps(env, TabularPolicy(12, 4), 7, **given)


def episodes(env, **given):
    return collect_episodes(env, TabularPolicy(12, 4), **given)


@pytest.mark.parametrize("collect", [some_steps, episodes])
def test_an_id_is_collected_from_as_its_environment_is_and_closed_with_the_collector(collect):
    torch.manual_seed(0)
    by_id = collect("pg/GridWorld-v0", num_envs=3, env_args={"slip": 0.5}, seed=2)
    torch.manual_seed(0)
    made = gym.make_vec("pg/GridWorld-v0", 3, slip=0.5)
    assert torch.equal(next(by_id).actions, next(collect(made, seed=2)).actions)
    env = by_id.adapter.env
    assert env.num_envs == 3 and not env.closed
    del by_id
    assert env.closed and not made.closed


def test_an_id_whose_environment_does_not_fit_is_closed_too(monkeypatch):
    made, make = [], environments.make_env
    monkeypatch.setattr(environments, "make_env", lambda *a, **named: made.append(make(*a, **named)) or made[-1])
    with pytest.raises(ValueError, match="num_steps must be a whole number, 1 or above, got 0"):
        collect_steps("pg/Chain-v0", TabularPolicy(5, 2), 0)
    assert [env.closed for env in made] == [True]


def test_groups_in_environments_of_an_id_begin_alike():
    policy = TabularPolicy(16, 4)
    rollout = next(collect_episodes("FrozenLake-v1", policy, num_envs=4, group_size=2, max_episode_steps=5))
    assert rollout.mask.shape[1] == 4
    policy = Reinforce.for_env(gym.make("CartPole-v1")).policy
    first = next(collect_episodes("CartPole-v1", policy, num_envs=4, group_size=2)).observations[0]
    assert torch.equal(first[0], first[1]) and torch.equal(first[2], first[3]) and not torch.equal(first[0], first[2])


def test_reasons_are_those_of_rows_that_are_done():
    done = np.array([True, False, True])
    assert _texts(np.array(["eos", "length", "verifier"]), done) == ["eos", "verifier"]
    assert _texts(["eos", "length", "verifier"], done) == ["eos", "verifier"]
    assert _texts(np.array(["eos", None, None], dtype=object), done) == ["eos", ""]
    assert _texts(np.array(["eos", "length"]), done) == [] and _texts(np.array([1, 2, 3]), done) == []


def of_the_clipped_action(acted):
    actions, step = acted
    return actions, step._replace(actions=torch.from_numpy(actions))


def without_the_end(builder, decision, step, mask, *rest, right=RolloutBuilder.add):
    right(builder, decision, step, mask & ~step.terminated, *rest)


test_seeded_bugs = seeded(
    Bug(
        "the end-of-sequence action is left out of the loss",
        RolloutBuilder.add,
        without_the_end,
        [test_columns_of_episodes],
    ),
    Bug(
        "the log-probability is of the clipped action",
        Actor.act,
        with_result(Actor.act, of_the_clipped_action),
        [test_log_prob_is_of_the_action_as_sampled],
    ),
    Bug(
        "rewards are rounded to 32 bits",
        RolloutBuilder.rollout,
        with_result(RolloutBuilder.rollout, lambda rollout: replace(rollout, rewards=rollout.rewards.float())),
        [test_rewards_are_as_precise_as_the_environment_gives_them],
    ),
)
