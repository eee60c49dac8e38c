"""An update on several ranks, each with its own columns of a rollout, is the update of one process on the whole."""

import copy
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_arguments
from support.hand_made import columns
from support.ranks import on_ranks

import pg_agents as pg
from pg_agents.agents.common import advantages, clipping
from pg_agents.data import metrics, shares
from pg_agents.data.minibatches import weights_of_all
from pg_agents.data.rollout import TokenBlock, map_steps
from pg_agents.data.shares import Share
from pg_agents.policies import normalization
from pg_agents.training.loop import make_collector

B = 8
PPO = {"num_steps": 16, "minibatch_size": 24, "epochs": 2, "hidden": (8,)}
CASES = {
    "reinforce": ("reinforce", {"hidden": (8,), "normalize_advantages": True, "normalize_rewards": True}),
    "value": ("reinforce-baseline", {"hidden": (8,), "normalize_advantages": True}),
    "batch mean": ("reinforce-baseline", {"hidden": (8,), "baseline": "batch-mean"}),
    "running average": ("reinforce-baseline", {"hidden": (8,), "baseline": "running-average"}),
    "actor-critic": ("actor-critic", {"num_steps": 5, "hidden": (8,), "normalize_advantages": True}),
    "a2c": ("a2c", {"num_steps": 5, "hidden": (8,), "entropy_weight": 0.01}),
    "ppo": ("ppo", PPO | {"normalize_observations": True, "normalize_rewards": True}),
    "ppo, minibatches standardised": ("ppo", PPO | {"normalize_over": "minibatch"}),
    "ppo, stopped early": ("ppo", PPO | {"target_kl": 1e-4, "learning_rate": 0.01}),
    "ppo, memory": ("ppo", PPO | {"hidden": None, "recurrent": 6}),
    "ppo, micro-batches": ("ppo", PPO | {"micro_batch_size": 7}),
    "ppo, KL penalty": ("ppo", PPO | {"kl_weight": 0.1}),
    "grpo": ("grpo", {"hidden": (8,), "group_size": 2, "minibatch_size": 32, "kl_weight": 0.1}),
    "grpo, k3": ("grpo", {"hidden": (8,), "group_size": 2, "kl_weight": 0.1, "kl_penalty": "k3-loss"}),
    "rloo": ("rloo", {"hidden": (8,), "group_size": 2, "kl_weight": 0.1}),
    "npg": ("npg", {"num_steps": 16, "hidden": (8,), "fisher_fraction": 0.5}),
    "trpo": ("trpo", {"num_steps": 16, "hidden": (8,)}),
    "average-reward": ("average-reward", {"hidden": (8,)}),
    "texts, ppo": ("ppo", {"minibatch_size": 8, "epochs": 2, "micro_batch_size": 4}),
    "texts, grpo": ("grpo", {"group_size": 2, "kl_weight": 0.1, "micro_batch_size": 3}),
}
ENVS = {"average-reward": "pg/TwoStateMDP-v0", "texts, ppo": "pg/Copy-v0", "texts, grpo": "pg/Copy-v0"}


def made(case):
    name, options = CASES[case]
    env = gym.make_vec(ENVS.get(case, "CartPole-v1"), B, **({} if case in ENVS else {"vectorization_mode": "sync"}))
    return pg.AGENTS[name].for_env(env, **options).double(), env


def rollouts_of(agent, env, count=3):
    collector = make_collector(copy.deepcopy(agent), env, seed=0)
    return [next(collector) for _ in range(count)]


def learned(agent, rollouts):
    return [{name: float(value) for name, value in agent.update(one).items()} for one in rollouts]


def as_collected(rollout):
    """Return the rollout as the process that collected these columns has it.

    It ends with its longest episode, and its groups have numbers from 0.
    """
    rows, ids = int(rollout.mask.any(1).nonzero().max()) + 1, rollout.group_ids
    return replace(
        map_steps(lambda leaf: shorter(leaf, rows), rollout), group_ids=None if ids is None else ids - ids.min()
    )


def shorter(leaf, rows):
    if not isinstance(leaf, TokenBlock):
        return leaf[:rows]
    return TokenBlock(leaf.tokens, leaf.lengths[:rows], None if leaf.mask is None else leaf.mask[:rows])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_an_update_is_that_of_the_whole(case, count):
    agent, env = made(case)
    rollouts, others = rollouts_of(agent, env), [copy.deepcopy(agent) for _ in range(count)]
    expected, width = learned(agent, rollouts), B // count

    def on_one(rank):
        mine = others[rank.number]
        mine.ranks = rank
        parts = [columns(one, rank.number * width, (rank.number + 1) * width) for one in rollouts]
        return learned(mine, [as_collected(part) for part in parts])

    for mine, reported in zip(others, on_ranks(count, on_one), strict=True):
        for name, value in agent.state_dict().items():
            if value.is_floating_point():
                torch.testing.assert_close(mine.state_dict()[name], value, rtol=1e-6, atol=1e-9, msg=name)
        for found, wanted in zip(reported, expected, strict=True):
            assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9, nan_ok=True)
    for mine in others[1:]:  # bit for bit: nothing ever brings ranks together again
        for name, value in others[0].state_dict().items():
            assert torch.equal(mine.state_dict()[name], value), name


def test_ranks_that_do_not_add_up_what_they_found_learn_something_else():
    agent, env = made("ppo")
    rollouts, other = rollouts_of(agent, env, 1), copy.deepcopy(agent)
    learned(agent, rollouts)
    assert other.ranks.count == 1
    learned(other, [columns(rollouts[0], 0, B // 2)])
    change = max(
        float((one - two).abs().max()) for one, two in zip(agent.parameters(), other.parameters(), strict=True)
    )
    assert change > 1e-3


def case(name):
    return test_an_update_is_that_of_the_whole, f"{name}-2"


test_seeded_bugs = seeded(
    Bug(
        "each takes the step of its own gradient",
        clipping.gradients_of,
        lambda vectors, ranks: [vector.grad for vector in vectors if vector.grad is not None],
        [case("a2c"), case("grpo")],
    ),
    Bug(
        "the divergence that ends an update is one's own",
        metrics._mean_of_ranks,
        lambda weights, term, ranks: (weights * term).sum() / weights.sum(),
        [case("ppo, stopped early")],
    ),
    Bug(
        "minibatches are standardised by each alone",
        advantages._standardized_over_ranks,
        lambda batch, ranks: advantages.standardized(replace(batch, share=None)),
        [case("ppo, minibatches standardised")],
    ),
    Bug(
        "products with F, and what a line search looks at, are one's own",
        Share.total,
        lambda share, values: values,
        [case("trpo"), case("npg")],
    ),
    Bug(
        "groups of two ranks have one number",
        shares._apart,
        torch.cat,
        [case("grpo"), case("rloo")],
    ),
    Bug(
        "observations are scaled by one's own statistics",
        normalization._moments_of_ranks,
        with_arguments(normalization._moments_of_ranks, ranks=lambda ranks: None),
        [case("ppo")],
    ),
    Bug(
        "each makes minibatches of its own steps",
        weights_of_all,
        lambda batch: batch.weights,
        [case("ppo")],
        raises=(AssertionError, RuntimeError, IndexError),
    ),
)
