"""Agents with a critic on texts: whole ones, each read once, and targets that are the score at every token."""

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.agents import A2C, PPO, TRPO, ActorCritic, NaturalPolicyGradient
from pg_agents.data.rollout import EpisodeCadence, StepCadence, TokenBlock
from pg_agents.training.loop import make_collector


@pytest.mark.parametrize("form", [PPO, TRPO, NaturalPolicyGradient])
def test_texts_are_learned_from_whole_whatever_their_number(form):
    for rows in (4, 512):  # of 2048 steps each of 512 would have 4, fewer than a text
        agent = form.for_env(gym.make_vec("pg/Reverse-v0", rows))
        assert agent.num_steps is None and agent.cadence == EpisodeCadence()
    assert form.for_env(gym.make_vec("pg/Reverse-v0", 4), num_steps=64).cadence == StepCadence(64)
    assert form.for_env(gym.make_vec("CartPole-v1", 8)).cadence == StepCadence(256)


@pytest.mark.parametrize("form", [PPO, TRPO, NaturalPolicyGradient, A2C, ActorCritic])
def test_a_rollout_is_a_whole_text_of_each_row_read_once(form):
    env = gym.make_vec("pg/Reverse-v0", 6)
    agent = form.for_env(env, num_steps=None)
    rollout = next(make_collector(agent, env, 0))
    assert isinstance(rollout.observations, TokenBlock)
    assert (rollout.terminated.sum(0) == 1).all() and len(rollout.episode_returns) == 6
    assert rollout.episode_starts[0].all() and not len(rollout.final_rows)


@pytest.mark.parametrize("form", [PPO, A2C])
def test_with_lambda_and_discount_1_the_target_is_the_score_at_every_token(form):
    env = gym.make_vec("pg/Reverse-v0", 16)
    agent = form.for_env(env, num_steps=None, discount=1.0, gae_lambda=1.0, normalize_advantages=False)
    torch.nn.init.normal_(agent.critic.head.weight)  # whatever the critic thinks
    rollout = next(make_collector(agent, env, 3))
    score = rollout.rewards.sum(0).float()
    assert score.min() < score.max()
    with torch.no_grad():
        batch, _ = agent.prepared(rollout)
        values = agent.critic(rollout.observations)
    torch.testing.assert_close(batch.targets * rollout.mask, score * rollout.mask)
    torch.testing.assert_close(batch.advantages * rollout.mask, (score - values) * rollout.mask)


def test_a_text_read_once_has_the_gradient_of_its_windows():
    env = gym.make_vec("pg/Reverse-v0", 8)
    agent = PPO.for_env(env)
    torch.nn.init.normal_(agent.critic.head.weight, std=0.1)
    rollout = next(make_collector(agent, env, 1))
    gradients = []
    for observations in (rollout.observations, rollout.observations.windows()):
        with torch.no_grad():
            batch, _ = agent.prepared(pg.Rollout(**{**vars(rollout), "observations": observations}))
        gradients.append(torch.autograd.grad(agent(batch)[0], list(agent.parameters())))
    assert sum(gradient.abs().sum() for gradient in gradients[0]) > 0
    for once, again in zip(*gradients, strict=True):
        torch.testing.assert_close(once, again, rtol=1e-4, atol=1e-6)


def test_saved_and_loaded_it_still_learns_from_whole_texts(tmp_path):
    agent = PPO.for_env(gym.make_vec("pg/Reverse-v0", 4))
    agent.save(tmp_path / "agent")
    assert pg.load(tmp_path / "agent").cadence == EpisodeCadence()


def but_for_its_steps(defaults):
    return {name: value for name, value in defaults.items() if name != "num_steps"}


test_seeded_bugs = seeded(
    Bug(
        "texts are cut by a number of steps",
        (PPO, "policy_defaults"),
        {kind: but_for_its_steps(defaults) for kind, defaults in PPO.policy_defaults.items()},
        [test_texts_are_learned_from_whole_whatever_their_number],
    )
)
