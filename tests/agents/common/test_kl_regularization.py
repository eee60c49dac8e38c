"""Staying near a reference policy: each place of the KL divergence by hand, and what a reference must not do."""

import math
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from support.bugs import Bug, seeded, with_arguments, with_result
from support.hand_made import gradients, prepare, rollout

import pg_agents as pg
from pg_agents.agents import A2C, GRPO, PPO, RLOO, ActorCritic, Reinforce, ReinforceBaseline
from pg_agents.agents.common import advantages, kl_regularization
from pg_agents.agents.common.kl_regularization import beside_reference
from pg_agents.functional import comparisons, losses, returns
from pg_agents.policies import GRUPolicy, MLPPolicy, Policy, TabularCritic, TabularPolicy
from pg_agents.policies.normalization import scales_of
from pg_agents.training.loop import make_collector

EPISODIC = [Reinforce, ReinforceBaseline, RLOO, GRPO]
AGENTS = [*EPISODIC, PPO, A2C, ActorCritic]
REFERENCE = torch.tensor([[math.log(0.25), math.log(0.75)]], dtype=torch.float64)  # of its one state
RECORD = replace(
    rollout([(0, 1, 3, ""), (0, 0, 5, "T")], [(0, 0, 1, "T")]),
    log_probs=torch.tensor([[0.5, 0.5], [0.5, 0.0]], dtype=torch.float64).log().clamp(min=-9),
)
X = [[math.log(0.5 / 0.75), math.log(0.5 / 0.25)], [math.log(0.5 / 0.25), 0.0]]  # ln π − ln π_ref


def tabular(logits, frozen=False):
    policy = TabularPolicy(*logits.shape).double()
    policy.logits.data.copy_(logits)
    return policy.requires_grad_(not frozen)


def made(agent, policy=None, **arguments):
    """Return the agent with the reference above and γ = 1; a baseline of 0, a critic of 0 and Monte-Carlo returns."""
    own = {"reference": tabular(REFERENCE, frozen=True), "kl_weight": 0.1, "discount": 1.0}
    if agent in (PPO, A2C, ActorCritic):
        own["critic"] = TabularCritic(1).double()
        own |= {"gae_lambda": 1.0, "normalize_advantages": False} if agent is not ActorCritic else {"num_steps": 2}
    if agent is ReinforceBaseline:
        own |= {"baseline": "constant"}
    return agent(policy=policy or tabular(torch.zeros(1, 2, dtype=torch.float64)), **own | arguments)


# -- by hand -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("agent", [Reinforce, ReinforceBaseline, PPO, A2C])
def test_a_penalty_in_the_rewards_is_summed_to_the_end(agent):
    batch, metrics = prepare(made(agent), RECORD)
    later = 5 - 0.1 * X[1][0]
    expected = [[3 - 0.1 * X[0][0] + later, 1 - 0.1 * X[0][1]], [later, 0]]
    assert (batch.advantages * RECORD.mask).flatten().tolist() == pytest.approx(sum(expected, []), abs=1e-12)
    if agent is not Reinforce:
        assert (batch.targets * RECORD.mask).flatten().tolist() == pytest.approx(sum(expected, []), abs=1e-12)
    assert float(metrics["kl_reference"]) == pytest.approx((X[0][0] + X[0][1] + X[1][0]) / 3, abs=1e-12)


def test_the_one_step_actor_critic_pays_for_its_own_step():
    batch, _ = prepare(made(ActorCritic, critic=TabularCritic(1).double()), RECORD)
    assert float(batch.advantages[1, 0]) == pytest.approx(5 - 0.1 * X[1][0], abs=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others(discount):
    """R = 3 + 5γ and 1. K_0 = x_0 + γ x_1 against the other's; at the second step the other has none left."""
    first, second = 3 + 5 * discount, 1
    later = discount * X[1][0]
    rest = [X[0][0] + later, X[0][1]]
    kl = [[rest[0] - rest[1], rest[1] - rest[0]], [later, 0]]
    std = (first - second) / math.sqrt(2) + 1e-4
    for agent, scores in ((RLOO, [first - second, second - first]),
                          (GRPO, [(first - second) / 2 / std, (second - first) / 2 / std])):  # fmt: skip
        batch, _ = prepare(made(agent, discount=discount), RECORD)
        expected = [scores[0] - 0.1 * kl[0][0], scores[1] - 0.1 * kl[0][1], scores[0] - 0.1 * kl[1][0], 0]
        assert (batch.advantages * RECORD.mask).flatten().tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("form", ["k2", "k3"])
def test_a_penalty_in_the_loss_by_hand(agent, form):
    """Of a policy (½, ½) that has moved to (0.2, 0.8): the term and its gradient, weighted as the loss is."""
    moved = tabular(torch.tensor([[0.2, 0.8]], dtype=torch.float64).log())
    plain, with_kl = (made(agent, moved, kl_weight=b, kl_penalty=f"{form}-loss") for b in (0.0, 0.1))
    batch, _ = prepare(with_kl, RECORD)
    assert torch.equal(batch.advantages, prepare(plain, RECORD)[0].advantages)
    x = {0: math.log(0.2 / 0.25), 1: math.log(0.8 / 0.75)}
    terms = {a: x[a] ** 2 / 2 if form == "k2" else math.exp(-x[a]) - 1 + x[a] for a in x}
    slopes = {a: x[a] if form == "k2" else 1 - math.exp(-x[a]) for a in x}  # ∂k/∂ ln π
    value, slope = 0.0, torch.zeros(2, dtype=torch.float64)
    pi = torch.tensor([0.2, 0.8], dtype=torch.float64)
    for t, b in RECORD.mask.nonzero().tolist():
        action, weight = int(RECORD.actions[t, b]), float(batch.weights[t, b])
        value += 0.1 * weight * terms[action]
        slope += 0.1 * weight * slopes[action] * (torch.eye(2, dtype=torch.float64)[action] - pi)
    found = [float(one(batch)[0].detach()) for one in (plain, with_kl)]
    assert found[1] - found[0] == pytest.approx(value, abs=1e-12)
    steep = [gradients(one, RECORD)["policy.logits"].flatten() for one in (plain, with_kl)]
    torch.testing.assert_close(steep[1] - steep[0], slope, rtol=0, atol=1e-12)
    assert slope.abs().max() > 1e-3


def test_the_penalty_is_not_scaled_with_the_rewards():
    agents = [made(Reinforce, kl_weight=b, normalize_rewards=True, optimizer="sgd") for b in (0.0, 0.1)]
    found = []
    for agent in agents:
        seen = []
        agent.optimize = lambda batch, seen=seen: seen.append(batch) or {}
        agent.update(replace(RECORD, rewards=100 * RECORD.rewards))
        found.append(seen[0].advantages)
    expected = torch.tensor([[X[0][0] + X[1][0], X[0][1]], [X[1][0], 0]], dtype=torch.float64)
    torch.testing.assert_close(((found[0] - found[1]) * RECORD.mask), 0.1 * expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("penalty", ["reward", "k2-loss", "k3-loss"])
def test_groups_of_equal_scores_still_feel_the_penalty(penalty):
    equal = replace(RECORD, rewards=torch.zeros_like(RECORD.rewards))
    agent = made(GRPO, kl_penalty=penalty)
    assert prepare(agent, equal)[0].weights.any() and gradients(agent, equal)["policy.logits"].norm() > 1e-3
    batch, metrics = prepare(made(GRPO, kl_weight=0.0), equal)
    assert not batch.weights.any() and "kl_reference" in metrics  # a reference without weight is looked at, and no more


def test_the_weight_may_change_over_a_run():
    agent = made(Reinforce, kl_weight="0.2:0")
    agent.progress = 0.5
    torch.testing.assert_close(prepare(agent, RECORD)[0].advantages, prepare(made(Reinforce), RECORD)[0].advantages)
    agent.progress = 1.0
    assert prepare(agent, RECORD)[0].advantages[0, 0] == 8


# -- what it comes to --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("agent", "arguments"),
    [(RLOO, {}), (RLOO, {"kl_penalty": "k2-loss"}), (Reinforce, {}), (ReinforceBaseline, {}), (PPO, {"epochs": 1})],
)
def test_a_bandit_ends_where_theory_says(agent, arguments):
    """max E R − β KL(π‖π_ref) is at π ∝ π_ref e^{R/β}: 1 : 2 at the start, rewards 0.2 and 0.5, β = ½."""
    env = gym.make_vec("pg/BernoulliBandit-v0", 400, probabilities=(0.2, 0.5))
    policy = TabularPolicy(1, 2)
    policy.logits.data[0, 0, 1] = math.log(2)
    more = {"critic": TabularCritic(1), "num_steps": 1, "minibatch_size": 400} if agent is PPO else {}
    more |= {"baseline": "constant", "constant": 0.4} if agent is ReinforceBaseline else {}
    learner = agent(policy=policy, kl_weight=0.5, learning_rate="0.05:0", discount=1.0, **more, **arguments)
    pg.train(learner, env, total_steps=40_000, seed=0, progress=False)
    odds = 2 * math.exp(0.3 / 0.5)
    assert float(policy.probabilities()[0, 0, 1]) == pytest.approx(odds / (1 + odds), abs=0.02)
    assert learner.reference.probabilities()[0, 0].tolist() == pytest.approx([1 / 3, 2 / 3])


# -- the reference -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("agent", AGENTS)
def test_it_is_the_policy_as_it_was_and_stays(agent):
    """Also what it knows of observations; it is asked once a rollout, without gradients."""
    env = gym.make_vec("CartPole-v1", 8, vectorization_mode="sync")
    learner = agent.for_env(env, kl_weight=0.1, hidden=(8,), normalize_observations=True)
    begun = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    asked = []
    learner.reference.register_forward_hook(lambda module, args, output: asked.append(torch.is_grad_enabled()))
    pg.train(learner, env, total_steps=1500, progress=False)
    after = learner.policy.state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in learner.reference.state_dict().items())
    assert any(not torch.equal(after[name], begun[name]) for name in begun if name.startswith("encoder"))
    assert any(not torch.equal(after[name], begun[name]) for name in begun if name.startswith("network"))
    assert not any(parameter.requires_grad for parameter in learner.reference.parameters())
    asked.clear()
    learner.update(next(make_collector(learner, env, 0)))
    assert asked == [False]


def test_without_a_weight_there_is_none():
    assert Reinforce(policy=tabular(REFERENCE)).reference is None
    assert "kl_reference" not in prepare(Reinforce(policy=tabular(REFERENCE)), RECORD)[1]


def test_a_policy_says_what_its_copy_is():
    """Adapters: the same network with them turned off, instead of a second one."""

    class Adapted(TabularPolicy):
        def frozen_copy(self):
            return tabular(REFERENCE, frozen=True)

    agent = Reinforce(policy=Adapted(1, 2).double(), kl_weight=0.1, discount=1.0)
    assert prepare(agent, RECORD)[1]["kl_reference"] == prepare(made(Reinforce), RECORD)[1]["kl_reference"]


@pytest.mark.parametrize("agent", AGENTS)
def test_it_is_saved_and_loaded(agent, tmp_path):
    env = gym.make_vec("pg/GridWorld-v0", 2)
    learner = agent.for_env(env, kl_weight="0.1:0.05", kl_penalty="k3-loss")
    torch.nn.init.normal_(learner.reference.logits)
    learner.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert torch.equal(loaded.reference.logits, learner.reference.logits) and not loaded.reference.logits.requires_grad
    assert loaded.arguments == learner.arguments and str(loaded.kl_weight) == "0.1:0.05"


def test_one_of_another_make_is_saved_and_given_back(tmp_path):
    space, actions = Box(-1, 1, (3,)), Discrete(2)

    def other():
        return MLPPolicy(space, actions, hidden=(5, 5)).double().requires_grad_(False)

    learner = RLOO.for_spaces(space, actions, reference=other(), kl_weight=0.1)
    learner.save(tmp_path / "agent")
    with pytest.raises(pg.agents.SavedAgentError, match="do not fit the networks"):
        pg.load(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent", reference=other().float())
    state = learner.reference.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.reference.state_dict().items())
    assert next(loaded.policy.parameters()).dtype == torch.float32


def test_one_that_remembers_reads_whole_episodes():
    torch.manual_seed(0)
    env = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync")
    learner = Reinforce.for_env(env, recurrent=8, kl_weight=0.1)
    record = next(pg.collect_episodes(env, learner.policy, seed=0))
    found, _ = beside_reference(record, learner.reference, None)
    mask = record.mask
    torch.testing.assert_close(found.reference_log_probs[mask].float(), record.log_probs[mask], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": tabular(REFERENCE)}, "reference must be frozen"),
        ({"reference": tabular(torch.zeros(1, 3), frozen=True)}, "it has 3 outputs, the policy 2"),
        ({"reference": TabularPolicy(1, 2, num_learners=4).requires_grad_(False)}, "has 4 learners, the policy 1"),
        ({"kl_weight": -0.1}, "kl_weight must be a finite number, 0 or above, got -0.1"),
        ({"kl_penalty": "k1-loss"}, "kl_penalty must be one of reward, k2-loss, k3-loss, got 'k1-loss'"),
    ],
)
@pytest.mark.parametrize("agent", AGENTS)
def test_bad_input(agent, arguments, message):
    with pytest.raises(ValueError, match=message):
        made(agent, **arguments)


def test_a_reference_that_does_not_suit_what_was_seen():
    other = MLPPolicy(Box(-1, 1, (3,)), Discrete(2), hidden=(4,)).requires_grad_(False)
    with pytest.raises(ValueError, match="reference: it does not fit the observations"):
        prepare(made(Reinforce, reference=other), RECORD)
    never = tabular(torch.tensor([[0.0, -math.inf]], dtype=torch.float64), frozen=True)
    with pytest.raises(ValueError, match="reference must give every action some probability"):
        prepare(made(Reinforce, reference=never), RECORD)


def test_a_memory_that_begins_within_an_episode_is_not_known():
    policy = GRUPolicy(Box(-1, 1, (3,)), Discrete(2), size=4)
    with pytest.raises(ValueError, match="has a memory, which is unknown where a rollout of steps begins"):
        PPO(policy=policy, critic=TabularCritic(1), kl_weight=0.1)


def test_a_reference_that_is_no_policy():
    with pytest.raises(TypeError, match=r"reference must be a Policy, got 'hf:x'; .* HuggingFacePolicy\(model\)"):
        Reinforce(policy=tabular(REFERENCE), reference="hf:x")


def test_what_rounding_makes_of_equal_policies_is_no_divergence():
    """REINFORCE++ standardises rewards that have the penalty in them: among equal scores it would be noise alone."""
    env = gym.make_vec("pg/Copy-v0", 16)
    agent = pg.PUBLISHED["REINFORCE++"].for_env(env)
    record = next(make_collector(agent, env, 0))
    record = replace(record, rewards=torch.where(record.terminated, 1.0, 0.0).double())
    noise = 1e-6 * torch.randn(record.log_probs.shape, generator=torch.Generator().manual_seed(0))
    record = replace(record, log_probs=record.log_probs + noise)
    batch, metrics = agent.prepared(record)
    assert metrics["kl_reference"] == 0 and not batch.advantages.any()
    moved = replace(record, log_probs=record.log_probs + 1e-3)
    assert agent.prepared(moved)[1]["kl_reference"] > 5e-4


def unrounded(rollout):
    return (rollout.log_probs - rollout.reference_log_probs) * rollout.mask


def prepares_scores_less_the_penalty(self, rollout, right=GRPO.prepare):
    less = kl_regularization.penalized(rollout, self.kl_penalty, self.current("kl_weight"))
    return right(self, replace(rollout, rewards=less.rewards))


def prepares_groups_that_differ(self, rollout, right=GRPO.prepare):
    batch, metrics = right(self, rollout)
    _, std = comparisons.group_centre(rollout.rewards.sum(0), rollout.group_ids)
    return replace(batch, weights=batch.weights * (std > 0)), metrics


def updates_its_reference(self, rollout, right=pg.agents.Agent.update):
    for scale in scales_of(self.reference):
        scale.update(rollout.observations, rollout.mask)
    return right(self, rollout)


test_seeded_bugs = seeded(
    Bug(
        "the policy is pushed away from the reference",
        kl_regularization.penalized,
        with_arguments(kl_regularization.penalized, weight=lambda weight: -weight),
        [test_a_penalty_in_the_rewards_is_summed_to_the_end, test_a_bandit_ends_where_theory_says],
    ),
    Bug(
        "the reference's ratio is upside down",
        kl_regularization.log_ratios,
        with_result(kl_regularization.log_ratios, torch.neg),
        [test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others],
    ),
    Bug(
        "the penalty of a step is not that of what follows it",
        returns.reward_to_go,
        lambda rewards, terminated, truncated, discount: rewards,
        [test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others],
    ),
    Bug(
        "the divergence to go forgets the time that has passed",
        advantages.time_weights,
        with_result(advantages.time_weights, torch.ones_like),
        [test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others],
    ),
    Bug(
        "the divergence of the whole group is compared, one's own too",
        comparisons.leave_one_out,
        lambda scores, group_ids=None: comparisons.group_centre(scores, group_ids)[0],
        [test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others],
    ),
    Bug(
        "what rounding makes of equal policies is a divergence",
        kl_regularization.log_ratios,
        unrounded,
        [test_what_rounding_makes_of_equal_policies_is_no_divergence],
    ),
    Bug(
        "the reference is asked with gradients",
        beside_reference,
        torch.enable_grad()(beside_reference.__wrapped__),
        [test_it_is_the_policy_as_it_was_and_stays],
    ),
    Bug(
        "k2 and k3 are mistaken for each other",
        losses.kl_term,
        with_arguments(losses.kl_term, form={"k2": "k3", "k3": "k2"}.get),
        [test_a_penalty_in_the_loss_by_hand],
    ),
    Bug(
        "a penalty in the loss is in the rewards as well",
        kl_regularization.penalized,
        with_arguments(kl_regularization.penalized, penalty=lambda penalty: "reward"),
        [test_a_penalty_in_the_loss_by_hand],
    ),
    Bug(
        "the reference learns",
        Policy.frozen_copy,
        lambda self: self,
        [test_it_is_the_policy_as_it_was_and_stays],
    ),
    Bug(
        "the penalty is part of the scores that a group standardises",
        GRPO.prepare,
        prepares_scores_less_the_penalty,
        [test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others],
    ),
    Bug(
        "groups of equal scores do not feel the penalty",
        GRPO.prepare,
        prepares_groups_that_differ,
        [test_groups_of_equal_scores_still_feel_the_penalty],
    ),
    Bug(
        "the reference's statistics of observations move",
        pg.agents.Agent.update,
        updates_its_reference,
        [test_it_is_the_policy_as_it_was_and_stays],
    ),
)
