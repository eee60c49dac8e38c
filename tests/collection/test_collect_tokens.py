"""Token episodes: blocks equal windows, and the log-probabilities are those of the policy that acted."""

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode
from pg_envs import TokenEnv, TokenVectorEnv

from pg_agents.agents import ActorCritic, Reinforce
from pg_agents.collection.collectors import EpisodeCollector, collect_episodes, collect_steps
from pg_agents.data.rollout import TokenBlock
from pg_agents.policies import TransformerCritic, TransformerPolicy

PROMPTS = [[1, 4], [2, 5, 4], [4, 4, 1, 2]]
TASK = {
    "prompts": PROMPTS,
    "score": lambda prompt, completion: float(len(completion)) + completion[0],
    "vocabulary": 6,
    "eos": 3,
    "max_new_tokens": 5,
}


def token_env(num_envs=6, **form):
    return TokenVectorEnv(num_envs, **{**TASK, **form})


def transformer(window=9, seed=0):
    torch.manual_seed(seed)
    policy = TransformerPolicy(6, window, width=16, layers=2, heads=2)
    torch.nn.init.normal_(policy.head.weight, std=0.3)
    return policy


def unblocked(collector):
    """Return the collector's next rollout with observations stacked, as if the environment were not append-only."""
    collector.append_only = False
    return next(collector)


@pytest.mark.parametrize("mode", [AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("cap", [None, 3])
def test_blocks_hold_the_stacked_windows(mode, cap):
    policy = transformer()
    forms = [{"max_episode_steps": cap, "seed": seed} for seed in range(3)]
    blocks, stacks = ([EpisodeCollector(token_env(autoreset_mode=mode), policy, **f) for f in forms] for _ in range(2))
    later = mode is AutoresetMode.DISABLED  # else rows that wait do one thing or another, and their next prompts differ
    for blocked, stacked in zip(blocks * (1 + later), stacks * (1 + later), strict=True):
        block, stack = next(blocked), unblocked(stacked)
        assert isinstance(block.observations, TokenBlock) and torch.equal(block.mask, stack.mask)
        windows, mask = block.observations.windows(), block.mask
        width = windows["tokens"].shape[-1]
        lengths = stack.observations["length"]
        assert torch.equal(windows["length"][mask], lengths[mask])
        assert torch.equal(windows["tokens"][mask], stack.observations["tokens"][..., :width][mask])
        assert lengths[mask].max() <= width
        assert torch.equal(block.actions[mask], stack.actions[mask])
        assert cap or not mask.all()  # some wait for others


def test_absorbing_rows_wait_for_the_others_and_all_begin_together():
    collector = collect_steps(token_env(), transformer(), 12)
    rollout = next(collector)
    begun = rollout.episode_starts.nonzero()[:, 0].unique().tolist()
    assert len(begun) >= 2
    for first, last in zip(begun, begun[1:], strict=False):
        mask, ends = rollout.mask[first:last], (rollout.terminated | rollout.truncated)[first:last]
        assert rollout.episode_starts[first].all() and (ends.sum(0) == 1).all()
        assert torch.equal(mask, ends.flip(0).long().cumsum(0).flip(0).bool())  # valid until the episode's end
        assert mask[-1].any()  # nobody waits once all have ended
    assert not rollout.rewards[~rollout.mask].any()


@pytest.mark.parametrize("cadence", ["episodes", "steps"])
@pytest.mark.parametrize("window", [None, 4])
def test_log_probs_are_of_the_policy_that_acted_also_after_an_update(cadence, window):
    """Parameters change between two rollouts: nothing computed from the old ones may be used in the second.

    One prompt: every episode begins with tokens that were read in the one before.
    """
    env = token_env(prompts=[[4, 4, 1, 2]], window=window)
    policy = transformer(window or 9)
    collector = collect_episodes(env, policy) if cadence == "episodes" else collect_steps(env, policy, 2)
    for _ in range(4):
        rollout = next(collector)
        with torch.no_grad():
            expected = policy(rollout.observations).log_prob(rollout.actions)
            torch.testing.assert_close(rollout.log_probs[rollout.mask], expected[rollout.mask], rtol=1e-4, atol=1e-5)
            for parameter in policy.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))


def test_gradient_through_the_block_is_that_through_the_windows():
    env = token_env()
    policy = transformer()
    agent = Reinforce(policy=policy, discount=0.9, entropy_weight=0.1)
    block, stack = (read(EpisodeCollector(token_env(), policy, seed=3)) for read in (next, unblocked))
    gradients = []
    for rollout in (block, stack):
        with torch.no_grad():
            batch, _ = agent.prepared(rollout)
        agent.zero_grad()
        agent(batch)[0].backward()
        gradients.append([parameter.grad.clone() for parameter in agent.parameters()])
    assert sum(gradient.norm() for gradient in gradients[0]) > 1
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    env.close()


def test_values_at_the_cut_of_token_episodes():
    """Cut after two tokens: the targets of the last row are the value of the window with both of them."""
    policy = transformer()
    torch.manual_seed(1)
    critic = TransformerCritic(6, 9, width=16, layers=1, heads=2)
    torch.nn.init.normal_(critic.head.weight)
    agent = ActorCritic(policy=policy, critic=critic, discount=0.5)
    rollout = next(collect_episodes(token_env(), policy, max_episode_steps=2))
    with torch.no_grad():
        batch, _ = agent.prepared(rollout)
        values = critic(rollout.final_observations)
    cut = rollout.truncated.nonzero().tolist()
    assert len(cut) >= 3
    for k, (t, b) in enumerate(cut):
        assert t == 1
        prompt = int(rollout.observations.lengths[0, b])
        assert rollout.final_observations["length"][k] == prompt + 2
        assert rollout.final_observations["tokens"][k, prompt : prompt + 2].tolist() == rollout.actions[:, b].tolist()
        assert float(batch.targets[t, b]) == pytest.approx(float(rollout.rewards[t, b] + 0.5 * values[k]), abs=1e-5)


def test_groups_share_their_prompt_and_single_token_environments_work():
    rollout = next(collect_episodes(token_env(group_size=3), transformer()))
    assert rollout.group_ids.tolist() == [0, 0, 0, 1, 1, 1]
    first = rollout.observations.windows()["tokens"][0]
    assert torch.equal(first[0], first[1]) and torch.equal(first[0], first[2])
    single = next(collect_episodes(TokenEnv(**TASK), transformer()))
    assert single.mask.all() and single.mask.shape[1] == 1 and isinstance(single.observations, TokenBlock)
    assert float(single.rewards.sum()) == float(len(single.mask) + single.actions[0, 0])


def test_registered_task_in_its_own_vector_form():
    env = gym.make_vec("pg/Copy-v0", 4, vectorization_mode="vector_entry_point")
    agent = Reinforce.for_env(env)
    rollout = next(collect_episodes(env, agent.policy))
    assert (
        torch.isfinite(agent.update(rollout)["grad_norm"]) and rollout.num_transitions == rollout.episode_lengths.sum()
    )
