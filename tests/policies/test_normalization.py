"""Running statistics against those of all the numbers at once."""

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from gymnasium.vector import SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded
from support.records import record

import pg_agents as pg
from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.policies import normalization
from pg_agents.policies.normalization import ObservationScale, RunningMoments


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    shift=st.sampled_from([0.0, 3.0, 1e6]),
)
def test_moments_merged_batch_by_batch_are_those_of_everything(seed, sizes, shift):
    generator = torch.Generator().manual_seed(seed)
    batches = [shift + torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    moments = RunningMoments()
    for batch in batches:
        moments.update(batch)
    everything = torch.cat(batches)
    assert int(moments.count) == len(everything)
    if len(everything) > 1:
        assert float(moments.mean) == pytest.approx(float(everything.mean()), rel=1e-9)
        assert float(moments.std()) == pytest.approx(float(everything.std(correction=0)), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
@pytest.mark.parametrize("sizes", [[1], [7], [1000], [3, 7, 11], [1] * 10])
def test_the_deviation_is_1_before_two_different_numbers_were_seen(value, sizes, dtype):
    """Also where the mean of equal numbers is rounded: what divides rewards may not be a rounding error."""
    moments = RunningMoments()
    for size in sizes:
        moments.update(torch.full((size,), value, dtype=dtype))
    assert float(moments.std()) == 1


def test_reward_scale_by_hand():
    """γ = ½. Rewards 0, 2 | then masked; and 1, 3, 5.

    Sums C: 0, 2 and 1, 3.5, 6.75; mean 2.65, squares 0 + 4 + 1 + 12.25 + 45.5625 = 62.8125, variance
    12.5625 − 7.0225 = 5.54.
    """
    scale = RewardScale(0.5)
    scaled = scale(record())
    torch.testing.assert_close(scaled.rewards, torch.arange(6.0).reshape(3, 2) / 5.54**0.5)
    assert int(scale.moments.count) == 5 and float(scale.moments.mean) == pytest.approx(2.65, abs=1e-12)


def test_sums_go_on_from_rollout_to_rollout_until_the_next_start():
    """C after the first rollout: 4 + ½(2 + ½·0) = 5 and 6.75; the second begins with ½·C, then starts clear it."""
    scale = RewardScale(0.5)
    scale(record())
    assert scale.accumulated.tolist() == [5, 6.75]
    going_on = replace(record(), episode_starts=torch.tensor([[0, 1], [0, 0], [0, 0]]).bool())
    scale(going_on)
    # 0 + 2.5, 2 + 1.25, 4 + 1.625 = 5.625; started anew: 1, 3.5, 6.75
    assert scale.accumulated.tolist() == [5.625, 6.75]


def test_statistics_are_saved_with_the_agent():
    scale, other = RewardScale(0.5), RewardScale(0.5)
    scale(record())
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other(record()).rewards, scale(record()).rewards)


# -- observations ------------------------------------------------------------------------------------------------------
def test_observations_are_standardised_by_what_was_taken_in():
    scale = ObservationScale(Box(-np.inf, np.inf, (2,)))
    x = torch.tensor([[[1.0, 10.0]], [[3.0, 10.0]], [[99.0, 99.0]]])  # [T, B, 2]
    assert torch.equal(scale(x), x.clamp(-10, 10))  # nothing seen: as it is
    scale.update(x, torch.tensor([[True], [True], [False]]))
    torch.testing.assert_close(scale(x[:2, 0]), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))  # σ: 1, none
    assert scale(x[2, 0]).tolist() == [10.0, 10.0]


def test_observation_statistics_do_not_depend_on_how_they_came():
    torch.manual_seed(0)
    x, whole, parts = torch.randn(40, 3, 4) * 5 + 2, *(ObservationScale(Box(-1, 1, (4,))) for _ in range(2))
    mask = torch.ones(40, 3, dtype=torch.bool)
    whole.update(x, mask)
    for i in range(0, 40, 10):
        parts.update(x[i : i + 10], mask[i : i + 10])
    torch.testing.assert_close(whole(x), parts(x))
    flat = x.flatten(0, 1)
    torch.testing.assert_close(whole(x).flatten(0, 1), (flat - flat.mean(0)) / flat.std(0, correction=0))


class Side(gym.Env):
    """One step: which side of `offset` is x? What is seen is offset + 60 x, x ~ N(0, 1), beside offset + x."""

    action_space = Discrete(2)

    def __init__(self, offset, dtype=np.float64):
        self.offset, self.dtype = offset, dtype
        self.observation_space = Dict(far=Box(-np.inf, np.inf, (1,), dtype), near=Box(-np.inf, np.inf, (), dtype))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.normal()
        far, near = self.offset + 60 * self.x, self.offset + self.x
        return {"far": np.array([far], self.dtype), "near": np.array(near, self.dtype)}, {}

    def step(self, action):
        right = float(action == (self.x > 0))
        return self.reset()[0], right, True, False, {}


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "dtype"), [(1.7e9, np.float64), (-1e5, np.float64), (1e4, np.float32)])
def test_a_task_far_from_zero_is_learned_as_it_is_at_zero(offset, dtype):
    found = []
    for place in (0.0, offset):
        env = SyncVectorEnv([lambda place=place: Side(place, dtype)] * 8)
        agent = pg.PPO.for_env(env, seed=1, hidden=(16,), num_steps=32, normalize_observations=True, learning_rate=0.01)
        pg.train(agent, env, total_steps=4_000, seed=1, progress=False)
        found.append(pg.evaluate(agent, env, episodes=400).mean_return)
    assert min(found) > 0.95 and abs(found[0] - found[1]) < 0.04


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-6), (np.float32, 0.1)])
def test_the_mean_comes_off_in_the_precision_of_the_space(dtype, error):
    """10⁶ + x; float32 has steps of 1/16 there, of which the input has lost a half."""
    x = torch.randn(4096, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scale = ObservationScale(Box(-np.inf, np.inf, (1,), dtype))
    seen = torch.from_numpy((1e6 + x.numpy()).astype(dtype))
    scale.update(seen, torch.ones(4096, 1, dtype=torch.bool))
    torch.testing.assert_close(scale(seen).double(), (x - x.mean()) / x.std(correction=0), rtol=0, atol=error)


def test_statistics_of_earlier_versions_are_read():
    """Files of theirs hold −mean/std and 1/std in 32 bits, too few where |mean| ≫ std."""
    space = Box(-1, 1, (2,), np.float64)
    scale, other = ObservationScale(space), ObservationScale(space)
    x = torch.randn(50, 2, 2, dtype=torch.float64) + 1e8
    scale.update(x, torch.ones(50, 2, dtype=torch.bool))
    mean, std = scale.moments.mean, scale.moments.std()
    earlier = {**scale.state_dict(), "shift": (-mean / std).float(), "factor": (1 / std).float()}
    other.load_state_dict(earlier)
    assert torch.equal(other(x), scale(x)) and torch.equal(copy.deepcopy(other)(x), scale(x))


def test_only_what_is_real_is_standardised():
    space = Dict({"a": Box(-1, 1, (2,)), "n": Discrete(3), "image": Box(0, 255, (8, 8, 3), np.uint8)})
    scale = ObservationScale(space)
    seen = {
        "a": torch.randn(5, 2, 2) + 7,
        "n": torch.randint(3, (5, 2)),
        "image": torch.randint(256, (5, 2, 8, 8, 3)),
    }
    scale.update(seen, torch.ones(5, 2, dtype=torch.bool))
    after = scale(seen)
    assert torch.equal(after["n"], seen["n"]) and torch.equal(after["image"], seen["image"])
    assert after["a"].mean().abs() < 1e-5


KEYS = ["x", "robot.pos", "", "keys", "type", "forward", "pop", "training", "0", "others.0"]


@pytest.mark.parametrize("keys", [KEYS, [0, 1, "1", None]])
def test_every_key_that_a_dict_may_have_is_standardised_and_survives_a_file(keys):
    space = Dict({key: Box(-1, 1, (2,)) for key in keys})
    scale, other = ObservationScale(space), ObservationScale(space)
    seen = {key: torch.randn(50, 2, 2) + 7 * i for i, key in enumerate(keys)}
    scale.update(seen, torch.ones(50, 2, dtype=torch.bool))
    after = scale(seen)
    assert all(leaf.mean().abs() < 1e-5 and (leaf.std() - 1).abs() < 0.1 for leaf in after.values())
    other.load_state_dict(scale.state_dict())
    assert all(torch.equal(leaf, other(seen)[key]) for key, leaf in after.items())
    assert len({value.data_ptr() for value in scale.state_dict().values()}) == 5 * len(keys)


def test_the_names_of_saved_statistics_are_those_of_earlier_versions():
    """What is saved goes by the key where torch takes it, by the position of a Tuple; the rest is numbered."""
    real = Box(-1, 1, (2,))
    scale = ObservationScale(Dict({"x": real, "in": Dict(y=real), "both": Tuple([Discrete(2), real]), "a.b": real}))
    names = {name.removesuffix(".shift") for name in scale.state_dict() if name.endswith(".shift")}
    assert names == {"parts.x", "parts.in.parts.y", "parts.both.parts.1", "others.0"}


def test_an_agent_learns_with_the_statistics_that_it_acted_with(tmp_path):
    env = gym.make_vec("Pendulum-v1", 4)
    agent = pg.PPO.for_env(env, num_steps=32, normalize_observations=True)
    assert agent.policy.encoder.scale is agent.critic.encoder.scale
    collector = pg.collect_steps(env, agent.policy, 32)
    for _ in range(3):
        rollout = next(collector)
        log_probs = agent.policy(rollout.observations).log_prob(rollout.actions)
        torch.testing.assert_close(log_probs, rollout.log_probs)
        before = agent.policy.encoder.scale.moments.count.clone()
        agent.update(rollout)
        assert agent.policy.encoder.scale.moments.count - before == 128
    agent.save(tmp_path / "a")
    again = pg.load(tmp_path / "a")
    x = rollout.observations
    assert torch.equal(again.policy(x).mean, agent.policy(x).mean) and torch.equal(again.critic(x), agent.critic(x))


def test_nothing_to_standardise_is_refused():
    with pytest.raises(ValueError, match="normalize_observations: it needs observations with real numbers"):
        pg.PPO.for_env(gym.make_vec("pg/GridWorld-v0", 2), normalize_observations=True)


@pytest.mark.parametrize("name", ["a2c", "trpo"])
def test_the_parts_of_a_dict_are_updated_once(name):
    space = gym.spaces.Dict(x=gym.spaces.Box(-1, 1, (2,)), inner=gym.spaces.Dict(y=gym.spaces.Box(-9, 9, (1,))))

    class Parts(gym.Env):
        observation_space, action_space = space, gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.step(0)[0], {}

        def step(self, action):
            x, y = self.np_random.random(2).astype(np.float32), self.np_random.random(1).astype(np.float32)
            return {"x": x, "inner": {"y": 5 + y}}, 1.0, bool(self.np_random.random() < 0.2), False, {}

    env = Parts()
    agent = pg.AGENTS[name].for_env(env, normalize_observations=True)
    pg.train(agent, env, total_steps=512, progress=False)
    (scale,) = agent.observation_scales
    rows = [int(part.moments.count) for part in scale.modules() if getattr(part, "real", False)]
    assert rows[0] == rows[1] >= 512 and abs(float(scale.parts["inner"].parts["y"].moments.mean) - 5.5) < 0.1


def test_rewards_that_differ_by_the_last_of_32_bits_are_not_scaled_up():
    sign = torch.tensor([[torch.inf, -torch.inf], [-torch.inf, torch.inf], [torch.inf, -torch.inf]])
    rewards = torch.nextafter(torch.full((3, 2), 700.0), sign).double()
    every = torch.ones(3, 2, dtype=torch.bool)  # episodes of one step
    scaled = RewardScale(0.5)(replace(record(), rewards=rewards, episode_starts=every, terminated=every, mask=every))
    assert len(rewards.unique()) == 2 and scaled.rewards.max() < 701


def forward_in_32_bits(self, observations, right=ObservationScale.forward):
    return right(self, observations.float() if self.real else observations)


def scales_what_differs_from_the_mean(self, rollout, right=RewardScale.forward):
    scaled = right(self, rollout)
    return replace(scaled, rewards=scaled.rewards - self.moments.mean / self.moments.std())


def scales_as_one_episode(self, rollout, right=RewardScale.forward):
    joined = replace(rollout, episode_starts=torch.zeros_like(rollout.episode_starts))
    return replace(rollout, rewards=right(self, joined).rewards)


def prepares_what_it_has_taken_in(self, rollout, right=pg.PPO.prepare):
    for scale in self.observation_scales:
        scale.update(rollout.observations, rollout.mask)
    return right(self, rollout)


test_seeded_bugs = seeded(
    Bug(
        "observations are rounded before their mean comes off",
        ObservationScale.forward,
        forward_in_32_bits,
        [
            test_a_task_far_from_zero_is_learned_as_it_is_at_zero,
            test_the_mean_comes_off_in_the_precision_of_the_space,
        ],
    ),
    Bug(
        "the mean of observations stays in the 32 bits that it was saved in",
        normalization._refresh,
        lambda scale, _: None,
        [test_statistics_of_earlier_versions_are_read],
    ),
    Bug(
        "rewards are standardised with their mean taken off in the scale",
        RewardScale.forward,
        scales_what_differs_from_the_mean,
        [test_reward_scale_by_hand],
    ),
    Bug(
        "episodes flow into each other in the scale of rewards",
        RewardScale.forward,
        scales_as_one_episode,
        [test_sums_go_on_from_rollout_to_rollout_until_the_next_start],
    ),
    Bug(
        "statistics of observations change before what was seen is learned from",
        pg.PPO.prepare,
        prepares_what_it_has_taken_in,
        [test_an_agent_learns_with_the_statistics_that_it_acted_with],
    ),
)
