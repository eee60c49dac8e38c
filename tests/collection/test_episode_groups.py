"""Groups of environments begin alike, act on their own, and say why where they cannot."""

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.collection.collectors import collect_episodes
from pg_agents.collection.episode_groups import Groups
from pg_agents.policies import MLPPolicy, TabularPolicy
from pg_agents.spaces.environments import make_env

SPACES = gym.spaces.Box(-5, 5, (4,)), gym.spaces.Discrete(2)


def cartpoles(count, **arguments):
    return SyncVectorEnv([lambda: gym.make("CartPole-v1")] * count, **arguments)


def policy():
    torch.manual_seed(0)
    return MLPPolicy(*SPACES, hidden=(8,))


def unlike(columns):
    """Return whether no two of the columns [N, …] are equal."""
    return len({column.numpy().tobytes() for column in columns}) == len(columns)


MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_a_group_begins_alike_and_acts_on_its_own(mode):
    """In every rollout, also the later ones, whose episodes follow those of other lengths."""
    collector = collect_episodes(cartpoles(8, autoreset_mode=mode), policy(), group_size=4, seed=3)
    seen = []
    for _ in range(4):
        rollout = next(collector)
        assert rollout.group_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
        assert rollout.episode_starts[0].all() and rollout.mask[0].all() and not rollout.episode_starts[1:].any()
        first = rollout.observations[0].reshape(2, 4, 4)
        assert (first == first[:, :1]).all()
        seen += [first[0, 0], first[1, 0]]
        assert unlike(rollout.actions.T)
    assert unlike(seen), "groups and rollouts begin in different states"


def test_workers_without_shared_memory_are_refused():
    env = AsyncVectorEnv([lambda: gym.make("CartPole-v1")] * 4, shared_memory=False)
    try:
        with pytest.raises(ValueError, match="group_size=2.*shared_memory=True"):
            collect_episodes(env, policy(), group_size=2)
    finally:
        env.close()


def test_the_same_seed_gives_the_same_bits():
    def play(seed):
        collector = collect_episodes(cartpoles(4), policy(), group_size=2, seed=seed)
        return [next(collector) for _ in range(3)]

    one, again, other = play(5), play(5), play(6)
    for a, b, c in zip(one, again, other, strict=True):
        assert torch.equal(a.observations, b.observations) and torch.equal(a.actions, b.actions)
        assert not torch.equal(a.observations[0], c.observations[0])


def test_seeds_never_repeat_and_are_not_those_of_other_runs():
    drawn = [Groups(6, 2, seed) for seed in (0, 1)]
    seeds = [groups.seeds() for groups in drawn for _ in range(50)]
    assert all(s[0] == s[1] and s[2] == s[3] and s[4] == s[5] for s in seeds)
    assert len({seed for s in seeds for seed in s}) == 2 * 50 * 3
    assert all(type(seed) is int and 0 <= seed < 2**31 for s in seeds for seed in s)


def test_each_of_several_learners_has_the_groups_that_its_seed_makes_alone():
    together, alone = Groups(12, 2, [7, 3, 11]), Groups(4, 2, 3)
    assert together.ids.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    drawn = [together.seeds() for _ in range(3)]
    assert [seeds[4:8] for seeds in drawn] == [alone.seeds() for _ in range(3)]
    resumed = Groups(12, 2, [0, 1, 2])
    resumed.set_state(together.get_state())
    assert resumed.seeds() == together.seeds() and resumed.seeds()[4:8] != alone.seeds()
    again = together.seeded([5, 3, 6]).seeds()
    assert again[4:8] == drawn[0][4:8] != again[:4]


def test_groups_of_all_learners_fit_into_one_learners_environments():
    table = TabularPolicy(16, 4, num_learners=2)
    envs = SyncVectorEnv([lambda: gym.make("FrozenLake-v1")] * 8)
    with pytest.raises(ValueError, match="group_size must divide .*, of each learner, got 8 for 4 of FrozenLake-v1"):
        collect_episodes(envs, table, group_size=8)
    assert next(collect_episodes(envs, table, group_size=4)).group_ids.tolist() == [0] * 4 + [1] * 4


def test_episodes_that_act_alike_share_the_noise_of_their_dynamics():
    """A policy without chance on slippery ice: a group's episodes are one, other groups' are others."""
    table = TabularPolicy(16, 4)
    table.logits.data[..., 1] = 100.0
    envs = SyncVectorEnv([lambda: gym.make("FrozenLake-v1")] * 12)
    rollout = next(collect_episodes(envs, table, group_size=3, seed=1))
    states = rollout.observations * rollout.mask
    assert (states.reshape(-1, 4, 3) == states.reshape(-1, 4, 3)[..., :1]).all()
    assert unlike(states.T[::3])


@pytest.mark.parametrize(("num_envs", "size"), [(4, 3), (2, 4), (1, 8)])
def test_a_size_that_does_not_divide_is_refused(num_envs, size):
    message = f"group_size must divide the number of environments, got {size} for {num_envs}"
    with pytest.raises(ValueError, match=message):
        collect_episodes(cartpoles(num_envs), policy(), group_size=size)


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_native_vector_environments_that_take_one_seed_are_refused(name):
    env = gym.make_vec("CartPole-v1", 8)
    agent = pg.AGENTS[name].for_env(env)
    with pytest.raises(ValueError, match='group_size=8.*takes one seed.*vectorization_mode="sync"'):
        pg.train(agent, env, total_steps=10, progress=False)


def texts(**arguments):
    return gym.make_vec("pg/Shorter-v0", 8, **arguments)


def test_groups_that_the_environment_makes_itself_are_used():
    agent = pg.GRPO.for_env(texts(), group_size=4)
    rollout = next(collect_episodes(texts(group_size=4), agent.policy, group_size=4))
    assert rollout.group_ids.tolist() == [0] * 4 + [1] * 4
    with pytest.raises(ValueError, match="group_size must be 4, the size of the groups .* makes, got 2"):
        collect_episodes(texts(group_size=4), agent.policy, group_size=2)


def test_prompts_are_shared_where_the_environment_makes_no_groups():
    env = gym.make_vec("pg/Reverse-v0", 8)
    agent = pg.GRPO.for_env(env, group_size=4)
    rollout = next(collect_episodes(env, agent.policy, group_size=4, seed=2))
    length = int(rollout.observations.lengths[0].max())
    prompts = rollout.observations.windows()["tokens"][0, :, :length].reshape(2, 4, length)
    assert (prompts == prompts[:, :1]).all() and not torch.equal(prompts[0], prompts[1])


@pytest.mark.parametrize(("num_envs", "size"), [(16, 8), (12, 6), (7, 7), (4, 4), (2, 2), (22, 2), (1, 8)])
def test_for_env_takes_the_largest_size_that_divides(num_envs, size):
    for agent in (pg.GRPO, pg.RLOO):
        assert agent.for_env(cartpoles(num_envs)).group_size == size
        assert agent.for_env(cartpoles(num_envs), group_size=size).cadence == pg.EpisodeCadence(None, size)


@pytest.mark.parametrize("agent", [pg.GRPO, pg.RLOO])
def test_for_env_refuses_groups_that_cannot_be_complete(agent):
    with pytest.raises(ValueError, match=r"group_size must divide the number of environments, got 8 for 11$"):
        agent.for_env(cartpoles(11))
    with pytest.raises(ValueError, match="got 3 for 16"):
        agent.for_env(cartpoles(16), group_size=3)


def test_the_command_line_makes_environments_that_take_a_seed_each(tmp_path):
    assert isinstance(make_env("CartPole-v1", 2, {}, a_seed_each=True).unwrapped, SyncVectorEnv)
    assert isinstance(make_env("pg/GridWorld-v0", 2, {}, a_seed_each=True).unwrapped, pg_envs.MDPVectorEnv)
    for name in ("grpo", "rloo"):
        typed = ["--total-steps", "50", "--quiet", "--run-dir", str(tmp_path / name)]
        assert main(["train", name, "CartPole-v1", *typed]) == 0
        assert main(["evaluate", str(tmp_path / name), "--episodes", "2", "--json"]) == 0


def test_group_seeds_leave_the_distribution_of_starts_as_it_is():
    """CartPole begins uniformly in ±0.05: mean 0, standard deviation 0.1/√12."""
    collector = collect_episodes(cartpoles(16), policy(), group_size=8, max_episode_steps=1, seed=4)
    episode_starts = np.concatenate([next(collector).observations[0, ::8].numpy() for _ in range(200)])
    assert np.abs(episode_starts).max() < 0.05
    assert (np.abs(episode_starts.mean(0)) < 4 * 0.1 / np.sqrt(12 * len(episode_starts))).all()
    assert episode_starts.std(0) == pytest.approx(0.1 / np.sqrt(12), rel=0.1)


test_seeded_bugs = seeded(
    Bug(
        "each environment of a group has a seed of its own",
        Groups.seeds,
        with_result(Groups.seeds, lambda seeds: [seed + row for row, seed in enumerate(seeds)]),
        [
            test_a_group_begins_alike_and_acts_on_its_own,
            test_episodes_that_act_alike_share_the_noise_of_their_dynamics,
        ],
    ),
    Bug(
        "every rollout begins where the first did",
        Groups.seeds,
        lambda groups: groups.ids.tolist(),
        [test_a_group_begins_alike_and_acts_on_its_own, test_seeds_never_repeat_and_are_not_those_of_other_runs],
    ),
)
