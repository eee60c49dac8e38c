"""PPO: hand-computed surrogates, its gradient where it acted, epochs, minibatches and their end."""

import math
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_arguments, with_result
from support.hand_made import prepare, rollout

import pg_agents as pg
from pg_agents.agents import A2C, PPO
from pg_agents.functional import losses, returns
from pg_agents.functional.losses import ratio_metrics
from pg_agents.policies import TabularCritic, TabularPolicy

VALUES = [10.0, 20.0, 30.0, 40.0]
RECORD = rollout(
    [(0, 0, 1, ""), (1, 1, 2, "T"), (2, 0, 3, ""), (3, 1, 4, "")],
    [(0, 1, 1, ""), (1, 0, 2, "X"), None, (0, 0, 4, "")],
    final={(1, 1): 3, (3, 0): 1, (3, 1): 2},
)


def agent_of(form, **arguments):
    policy, critic = TabularPolicy(4, 2).double(), TabularCritic(4).double()
    critic.values.data[0] = torch.tensor(VALUES)
    return form(policy=policy, critic=critic, discount=0.5, gae_lambda=0.5, normalize_advantages=False, **arguments)


@pytest.mark.parametrize("form", [PPO, A2C])
def test_targets_and_advantages_by_hand(form):
    """γ = λ = ½, V = (10, 20, 30, 40).

    Column 0: δ_1 = 2 − 20 = −18 (terminated), δ_0 = 1 + ½·20 − 10 = 1, Â_0 = 1 + ¼·(−18) = −3.5; cut at row 3 before
    state 1: Â_3 = 4 + 10 − 40 = −26, Â_2 = 3 + 20 − 30 + ¼·(−26) = −13.5. Column 1 is truncated before state 3:
    Â_1 = 2 + 20 − 20 = 2, Â_0 = 1 + ¼·2 = 1.5; row 3: 4 + 15 − 10 = 9.
    """
    batch, _ = prepare(agent_of(form), RECORD)
    expected = torch.tensor([[-3.5, 1.5], [-18, 2], [-13.5, 0], [-26, 9]], dtype=torch.float64)
    torch.testing.assert_close(batch.advantages * RECORD.mask, expected)
    values = torch.tensor([[10, 10], [20, 20], [30, 0], [40, 10]])
    torch.testing.assert_close(batch.targets * RECORD.mask, (expected + values) * RECORD.mask)


@pytest.mark.parametrize("form", [PPO, A2C])
def test_the_loss_by_hand(form):
    """A uniform policy, V = (1, 3), rewards 5 and 2 at the end: Â = 4 and −1, ½ (V − G)² = 8 and ½.

    A2C: ½ (4 ln 2 − 1 ln 2) + c ½ (8 + ½) − η ln 2. PPO has −½ (4 − 1) in place of the first: its ratio is 1.
    """
    critic = TabularCritic(2).double()
    critic.values.data[0] = torch.tensor([1.0, 3.0])
    weights = {"value_weight": 0.3, "entropy_weight": 0.7}
    agent = form(policy=TabularPolicy(2, 2).double(), critic=critic, normalize_advantages=False, **weights)
    record = rollout([(0, 1, 5, "T")], [(1, 0, 2, "T")])
    half = math.log(2)
    record = replace(record, log_probs=torch.full_like(record.log_probs, -half))
    loss, metrics = agent(prepare(agent, record)[0])
    policy_loss = 1.5 * half if form is A2C else -1.5
    assert float(loss.detach()) == pytest.approx(policy_loss + 0.3 * 4.25 - 0.7 * half, abs=1e-12)
    assert float(metrics["value_loss"]) == pytest.approx(4.25) and float(metrics["entropy"]) == pytest.approx(half)


def test_the_gradient_where_it_acted_is_that_of_a2c():
    ppo, a2c = agent_of(PPO, entropy_weight=0.3), agent_of(A2C, entropy_weight=0.3)
    record = RECORD
    log_probs = ppo.policy(record.observations).log_prob(record.actions).detach()
    for agent in (ppo, a2c):
        batch, _ = prepare(agent, record)
        loss, _ = agent(type(batch)(**{**vars(batch), "log_probs": log_probs}))
        loss.backward()
    for mine, theirs in zip(ppo.parameters(), a2c.parameters(), strict=True):
        assert mine.grad.abs().sum() > 0
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_an_update_takes_epochs_times_minibatches_steps():
    env = gym.make_vec("Pendulum-v1", 4)
    agent = PPO.for_env(env, num_steps=32, minibatch_size=50, epochs=3)  # 128 steps: 3 parts
    pg.train(agent, env, total_steps=128, progress=False)
    assert {int(state["step"]) for state in agent.flat_optimizer.optimizer.state.values()} == {9}


@pytest.mark.parametrize("networks", [{}, {"recurrent": 4}], ids=["rows", "columns"])
def test_advantages_can_be_standardized_over_each_minibatch(networks):
    """Mean 0 and variance 1 over n − 1 in every part of every epoch, of different parts of the raw advantages."""
    env = gym.make_vec("CartPole-v1", 6)
    arguments = {"num_steps": 20, "minibatch_size": 40, "epochs": 2, "seed": 3, **networks}
    raw = PPO.for_env(env, normalize_advantages=False, **arguments)
    agent = PPO.for_env(env, normalize_over="minibatch", **arguments)
    record = next(pg.collect_steps(env, agent.policy, 20))
    (batch, _), (expected, _) = prepare(agent, record), prepare(raw, record)
    advantages = expected.advantages[record.mask]
    torch.testing.assert_close(batch.advantages[record.mask], advantages - advantages.mean())
    parts = list(agent.parts(batch))
    assert len(parts) == 6
    for part, plain in zip(parts, raw.parts(expected), strict=True):
        valid = part.weights != 0
        found, before = part.advantages[valid], plain.advantages[valid]
        torch.testing.assert_close(found, (before - before.mean()) / (before.std() + 1e-8))


def test_advantages_far_from_zero_are_standardized_by_what_they_differ_by():
    """Rewards of 10⁶ + x, whose last digits 32 bits do not hold, over the rollout and over minibatches: as of x."""
    env = gym.make_vec("Pendulum-v1", 8)
    for over in ("rollout", "minibatch"):
        agent = PPO.for_env(env, num_steps=32, minibatch_size=256, epochs=1, gae_lambda=0.0, normalize_over=over)
        record = next(pg.collect_steps(env, agent.policy, 32))
        found = []
        for shift in (0.0, 1e6):
            (part,) = agent.parts(prepare(agent, replace(record, rewards=record.rewards + shift))[0])
            found.append(part.advantages[part.weights != 0].sort().values)
        torch.testing.assert_close(*found, rtol=0, atol=1e-5)


def test_advantages_standardized_over_a_minibatch_do_not_depend_on_its_micro_batches():
    env = gym.make_vec("CartPole-v1", 4)
    moved = []
    for size in (None, 9):
        agent = PPO.for_env(env, num_steps=16, minibatch_size=32, normalize_over="minibatch", micro_batch_size=size)
        agent.update(next(pg.collect_steps(env, agent.policy, 16)))
        moved.append(torch.cat([parameter.detach().flatten() for parameter in agent.parameters()]))
    torch.testing.assert_close(*moved, rtol=0, atol=1e-5)


def test_an_update_ends_where_the_policy_has_gone_too_far():
    env = gym.make_vec("Pendulum-v1", 4)
    steps = []
    for target in (None, 1e-6):
        agent = PPO.for_env(env, num_steps=32, minibatch_size=32, epochs=10, learning_rate=0.01, target_kl=target)
        pg.train(agent, env, total_steps=128, progress=False)
        steps.append(max(int(state["step"]) for state in agent.flat_optimizer.optimizer.state.values()))
    assert steps[0] == 40 and 1 <= steps[1] <= 3  # the first minibatch is of the policy that acted: its KL is 0


def test_ppo_stays_nearer_than_its_surrogate_without_a_clip():
    env = gym.make_vec("CartPole-v1", 8)
    distances = []
    for clip in (0.05, 1e6):
        agent = PPO.for_env(env, num_steps=64, minibatch_size=128, epochs=20, learning_rate=5e-3, clip=clip)
        kls = []
        pg.train(
            agent,
            env,
            total_steps=512,
            progress=False,
            probes=[lambda run, kls=kls: kls.append(_kl(run.agent, run.rollout))],
        )
        distances.append(kls[0])
    assert distances[0] < 0.3 * distances[1]


def _kl(agent, rollout):
    with torch.no_grad():
        log_ratio = agent.policy(rollout.observations).log_prob(rollout.actions) - rollout.log_probs
    return float(ratio_metrics(log_ratio, 0.2)["kl"][rollout.mask].mean())


def test_a_minibatch_larger_than_the_rollout_is_refused_at_construction():
    env = gym.make_vec("CartPole-v1", 4)
    with pytest.raises(ValueError, match="minibatch_size must not be above .* 8 of each of 4 environments, got 64"):
        PPO.for_env(env, num_steps=8)
    agent = PPO.for_env(gym.make_vec("CartPole-v1", 8), num_steps=8)
    with pytest.raises(ValueError, match="minibatch_size must not be above"):
        pg.train(agent, env, total_steps=100, progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clip", 0),
        ("gae_lambda", 1.1),
        ("epochs", 0),
        ("minibatch_size", 1),
        ("target_kl", 0),
        ("value_weight", -1),
        ("normalize_over", "epoch"),
    ],
)
def test_arguments_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value!r}"):
        PPO.for_env(gym.make_vec("CartPole-v1", 4), **{name: value})


def test_the_update_ends_half_as_far_again_as_the_target():
    agent = agent_of(PPO, target_kl=0.02)
    assert [agent.should_stop_early({"kl": torch.tensor(kl)}) for kl in (0.029, 0.031)] == [False, True]
    assert not agent_of(PPO).should_stop_early({"kl": torch.tensor(9.0)})


test_seeded_bugs = seeded(
    Bug(
        "the ratio is of the old policy to the new one",
        losses.clipped_surrogate,
        with_arguments(losses.clipped_surrogate, log_ratio=torch.neg),
        [test_the_gradient_where_it_acted_is_that_of_a2c],
    ),
    Bug(
        "the critic weighs twice what it is to weigh",
        losses.squared_error,
        with_result(losses.squared_error, lambda error: 2 * error),
        [test_the_loss_by_hand],
    ),
    Bug(
        "certainty is rewarded",
        losses.with_entropy,
        with_arguments(losses.with_entropy, weight=lambda weight: -weight),
        [test_the_loss_by_hand],
    ),
    Bug(
        "advantages of a minibatch are divided by the deviation over n",
        returns.standardize,
        with_arguments(returns.standardize, correction=lambda correction: 0),
        [test_advantages_can_be_standardized_over_each_minibatch],
    ),
    Bug(
        "advantages are rounded before they are standardised",
        returns.bootstrapped_returns,
        with_result(returns.bootstrapped_returns, lambda targets: targets.float()),
        [test_advantages_far_from_zero_are_standardized_by_what_they_differ_by],
    ),
)
