"""What all agents share: independent learners, refused arguments, gradients that are not finite."""

import math
import re
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode
from support.bugs import Bug, seeded, with_arguments
from support.hand_made import column, rollout

import pg_agents as pg
from pg_agents.agents import ActorCritic, Reinforce, ReinforceBaseline
from pg_agents.collection.collectors import collect_episodes, collect_steps
from pg_agents.data.learners import by_learner
from pg_agents.functional import losses
from pg_agents.gradients.simulation import estimate_gain
from pg_agents.policies import TabularActionCritic, TabularCritic, TabularPolicy
from pg_agents.training.loop import make_collector


def make(kind, learners, **arguments):
    policy = TabularPolicy(5, 2, num_learners=learners).double()
    critic = TabularCritic(5, num_learners=learners).double()
    if kind is Reinforce:
        return Reinforce(policy=policy, **arguments)
    if kind is ReinforceBaseline and arguments.get("baseline", "value") != "value":
        return ReinforceBaseline(policy=policy, **arguments)
    return kind(policy=policy, critic=critic, **arguments)


LEARNERS = [
    (Reinforce, {"signal": "whole-return", "entropy_weight": 0.1}),
    (Reinforce, {"signal": "discounted-reward-to-go"}),
    (ReinforceBaseline, {"baseline": "value", "critic_learning_rate": 0.2}),
    (ReinforceBaseline, {"baseline": "running-average"}),
    (ReinforceBaseline, {"baseline": "constant", "constant": 0.3}),
    (ActorCritic, {"num_steps": 3, "entropy_weight": 0.1}),
    (ActorCritic, {"num_steps": 1, "discounted_time": True}),
]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("kind", "arguments"), LEARNERS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.name)
def test_independent_learners_are_single_learners_run_side_by_side(kind, arguments, optimizer, mode):
    """Learner b of four, after 25 updates, against an agent that saw column b alone."""
    __import__("pg_envs")
    arguments = {"optimizer": optimizer, "learning_rate": 0.1, "discount": 0.9, **arguments}
    together = make(kind, 4, **arguments)
    alone = [make(kind, 1, **arguments) for _ in range(4)]
    steps = arguments.get("num_steps")
    if steps == 1:  # an update without a decision is another matter: see the actor-critic's tests
        mode = AutoresetMode.SAME_STEP
    form = {"vectorization_mode": "vector_entry_point", "autoreset_mode": mode}
    env = gym.make_vec("pg/Chain-v0", 4, num_states=5, max_episode_steps=6, **form)
    collector = collect_steps(env, together.policy, steps) if steps else collect_episodes(env, together.policy)
    for _ in range(25):
        record = next(collector)
        together.update(record)
        for b, agent in enumerate(alone):
            agent.update(column(record, b))
    assert len({tuple(row.flatten().tolist()) for row in together.policy.logits}) == 4
    for b, agent in enumerate(alone):
        torch.testing.assert_close(together.policy.logits[b], agent.policy.logits[0], rtol=0, atol=1e-12)
        if agent.critic is not None:
            torch.testing.assert_close(together.critic.values[b], agent.critic.values[0], rtol=0, atol=1e-12)


NATURAL = ("trpo", "npg")  # agents that refuse independent learners as such


def learning(name, learners, **given):
    """Return an agent with its defaults, but for what it says that would couple the learners, and its environment."""
    rows = learners * (2 if "group_size" in pg.AGENTS[name].argument_names() else 1)
    env = gym.make_vec("pg/TwoStateMDP-v0" if pg.AGENTS[name].continuing else "pg/Chain-v0", rows)
    for _ in range(5):
        try:
            return pg.AGENTS[name].for_env(env, num_learners=learners, **given), env
        except ValueError as error:
            found = re.match(r"(\w+) would couple the \d+ independent learners: leave it off", str(error))
            if found is None:
                raise
            given[found[1]] = None if found[1] in ("max_grad_norm", "target_kl") else False
    raise AssertionError(given)


def rows_of(agent):
    """Return all tensors of an agent whose first dimension is that of four learners."""
    return {name: value.clone() for name, value in agent.state_dict().items() if len(value) == 4}


SPLITS = [{}, {"minibatch_size": 6}, {"minibatch_size": 40}, {"micro_batch_size": 5}, {"target_kl": 0.01}]
SPLIT = [
    (name, split) for name, agent in pg.AGENTS.items() for split in SPLITS if {*split} <= {*agent.argument_names()}
]


@pytest.mark.parametrize(("name", "split"), [pair for pair in SPLIT if pair[0] not in NATURAL], ids=str)
def test_rewards_of_one_learner_move_its_own_parameters_alone(name, split):
    steps = {"num_steps": 40, "minibatch_size": 40} | split if name == "ppo" else split
    (agent, env), (other, _) = (learning(name, 4, **steps) for _ in range(2))
    collector = make_collector(agent, env, 0)
    for _ in range(8):
        record = next(collector)
        changed = record.rewards.clone()
        first = by_learner(changed, 4)[:, 2, 0]
        first += torch.randn(len(changed), generator=torch.Generator().manual_seed(3))
        agent.update(record)
        other.update(replace(record, rewards=changed * record.mask))
    before, after = rows_of(agent), rows_of(other)
    assert {"policy.logits"} <= before.keys()
    for key, value in before.items():
        moved = (value != after[key]).flatten(1).any(1) if value.ndim > 1 else value != after[key]
        assert moved.tolist() == [False, False, True, False], key


@pytest.mark.parametrize("name", NATURAL)
def test_natural_gradients_refuse_independent_learners(name):
    with pytest.raises(ValueError, match=r"num_learners must be 1, got 4: .* line search .* train seeds in processes"):
        pg.AGENTS[name].for_env(gym.make_vec("pg/Chain-v0", 4), num_learners=4)


@pytest.mark.parametrize("learners", [(3, 1), (1, 3), (2, 3)])
def test_a_critic_is_of_as_many_learners_as_the_policy(learners):
    mine, its = learners
    with pytest.raises(ValueError, match=f"critic has {its} learners, the policy {mine}"):
        ActorCritic(policy=TabularPolicy(5, 2, num_learners=mine), critic=TabularCritic(5, num_learners=its))
    with pytest.raises(ValueError, match=f"critic has {its} learners, the policy {mine}"):
        critic = TabularActionCritic(5, 2, num_learners=its)
        pg.AGENTS["average-reward"](policy=TabularPolicy(5, 2, num_learners=mine), critic=critic)


@pytest.mark.parametrize("num_envs", [1, 3, 5])
def test_learners_act_in_as_many_environments(num_envs):
    agent, _ = learning("reinforce", 4)
    env = gym.make_vec("pg/Chain-v0", num_envs) if num_envs > 1 else gym.make("pg/Chain-v0")
    message = f"{num_envs} environments cannot be shared out among num_learners=4; make 4 of them, or a multiple"
    for use in (
        lambda: pg.evaluate(agent, env, episodes=4),
        lambda: pg.train(agent, env, total_steps=10, progress=False),
        lambda: pg.collect_steps(env, agent.policy, 3),
        lambda: pg.collect_episodes(env, agent.policy),
        lambda: estimate_gain(env, 0, agent.policy, steps=3, seed=0),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    theirs = gym.make_vec("pg/Chain-v0", 4)
    with pytest.raises(ValueError, match="eval_env: " + message):
        pg.train(agent, theirs, total_steps=10, eval_env=env, progress=False)
    assert len(pg.evaluate(agent, theirs, episodes=4).returns) == 4


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        *[(Reinforce, {"learning_rate": value}) for value in (0, -1.0, math.nan, math.inf, "fast", None)],
        *[(ActorCritic, {"critic_learning_rate": value}) for value in (0.0, -1.0, math.nan)],
        *[(kind, {"discount": 1.5}) for kind in (Reinforce, ReinforceBaseline, ActorCritic)],
        *[(ActorCritic, {"discount": value}) for value in (-0.1, math.nan, None)],
        *[(Reinforce, {"entropy_weight": value}) for value in (-0.1, math.nan, math.inf)],
        *[(Reinforce, {"max_grad_norm": value}) for value in (0, -1.0, math.nan)],
        *[(ActorCritic, {"num_steps": value}) for value in (0, -1, 1.5, math.nan, math.inf, "3", 2.0)],
        *[(Reinforce, {"max_episode_steps": value}) for value in (0, -1, 1.5, math.nan)],
        (Reinforce, {"optimizer": "lion"}),
        *[(ActorCritic, {"adam_epsilon": value}) for value in (0, -1e-8, math.inf, math.nan)],
        (Reinforce, {"signal": "whole_return"}),
        (ReinforceBaseline, {"signal": "to-go"}),
    ],
)
def test_hyperparameters_out_of_range_are_refused_by_name(kind, arguments):
    name, value = next(iter(arguments.items()))
    shown = str(value) if not isinstance(value, str) else value
    with pytest.raises(ValueError, match=f"{name} must be .*{shown}"):
        make(kind, 1, **arguments)


@pytest.mark.parametrize("kind", [Reinforce, ReinforceBaseline, ActorCritic])
@pytest.mark.parametrize("limit", [None, 0.5])
@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_gradients_that_are_not_finite_change_nothing(kind, limit, reward):
    agent = make(kind, 1, max_grad_norm=limit, learning_rate=0.1)
    agent.update(rollout([(0, 0, 1, "T")]))
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    moments = [value.clone() for state in agent.flat_optimizer.optimizer.state.values() for value in state.values()]
    with pytest.raises(FloatingPointError, match="learning_rate"):
        agent.update(rollout([(0, 0, reward, "T")]))
    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())
    after = [value for state in agent.flat_optimizer.optimizer.state.values() for value in state.values()]
    assert all(torch.equal(old, new) for old, new in zip(moments, after, strict=True))
    agent.update(rollout([(0, 0, 1, "T")]))
    assert all(torch.isfinite(parameter).all() for parameter in agent.parameters())


def test_statistics_survive_a_gradient_that_is_not_finite():
    """The running average and the scale of rewards are part of the agent: a bad rollout may not spoil them for good."""
    for form in ({"kind": ReinforceBaseline, "baseline": "running-average"}, {"kind": Reinforce}):
        agent = make(form.pop("kind"), 1, normalize_rewards=True, **form)
        agent.update(rollout([(0, 0, 1, ""), (0, 0, 2, "T")]))
        with pytest.raises(FloatingPointError):
            agent.update(rollout([(0, 0, math.inf, "T")]))
        agent.update(rollout([(0, 0, 1, "T")]))


@pytest.mark.parametrize("kind", [Reinforce, ReinforceBaseline, ActorCritic])
def test_scales_of_rewards_can_be_copied_to_an_agent_that_saw_nothing_yet(kind):
    agent, other = make(kind, 1, normalize_rewards=True), make(kind, 1, normalize_rewards=True)
    agent.update(rollout(*[[(0, 0, reward, "T")] for reward in (1, 2, 4)]))
    other.load_state_dict(agent.state_dict())
    pull = rollout(*[[(0, 0, reward, "T")] for reward in (1, 5, 4)])
    assert torch.equal(other.reward_scale(pull).rewards, agent.reward_scale(pull).rewards)


def test_scales_of_rewards_follow_to_another_number_of_environments():
    agent = make(Reinforce, 1, normalize_rewards=True)
    agent.update(rollout(*[[(0, 0, reward, "T")] for reward in (1, 2, 4)]))
    assert torch.isfinite(agent.update(rollout([(0, 0, 1, "T")], [(0, 0, 2, "T")]))["grad_norm"])


@pytest.mark.parametrize(("kind", "arguments"), LEARNERS)
def test_the_loss_is_additive_over_parts_of_the_batch(kind, arguments):
    """Weights are made once for the whole batch, so that losses of its rows add up to its loss."""
    agent = make(kind, 1, **arguments)
    record = rollout([(0, 0, 1, ""), (1, 0, 2, "T")], [(2, 1, 3, "T")], [(1, 1, 5, ""), (0, 0, 1, "T")])
    with torch.no_grad():
        batch, _ = agent.prepared(record)
        parts = [agent(replace(batch, weights=batch.weights * part)) for part in torch.eye(3, dtype=torch.float64)]
        torch.testing.assert_close(sum(loss for loss, _ in parts), agent(batch)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("gamma", "did you mean discount?"),
        ("n_steps", "did you mean num_steps?"),
        ("learnin_rate", "did you mean learning_rate?"),
        ("zzz", "it takes adam_epsilon, learning_rate, "),
    ],
)
def test_arguments_of_other_libraries_are_answered_with_ours(name, way_out):
    with pytest.raises(TypeError, match=rf"^{name}: PPO has no such argument; {re.escape(way_out)}"):
        pg.PPO.for_env(gym.make("CartPole-v1"), **{name: 1})


@pytest.mark.parametrize("form", [form for form in pg.AGENTS.values() if "entropy_weight" in form.argument_names()])
def test_entropy_is_rewarded_with_its_weight(form):
    """A uniform policy between two actions, H = ln 2: the loss falls by η ln 2 times the weights."""
    networks = {"policy": TabularPolicy(5, 2).double()}
    if form.needs_critic(form.config_class()):
        networks["critic"] = (TabularActionCritic(5, 2) if form.action_values else TabularCritic(5)).double()
    end = "" if form.continuing else "T"
    record = rollout([(0, 1, 5, ""), (1, 0, 1, end)], [(1, 0, 2, end), (0, 0, 2, end)][: 1 + form.continuing])
    losses = []
    for weight in (0.0, 0.7):
        agent = form(**networks, entropy_weight=weight)
        with torch.no_grad():
            batch, _ = agent.prepared(record)
            losses.append(agent(batch)[0])
    assert float(losses[0] - losses[1]) == pytest.approx(0.7 * math.log(2) * float(batch.weights.sum()), abs=1e-12)
    assert float(batch.weights.sum()) > 0.9


def test_networks_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"^policy must be a pg_agents.Policy, got torch.*Linear; subclass it"):
        pg.Reinforce(policy=torch.nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"^critic must be a pg_agents.Critic, got torch.*Linear; subclass it"):
        pg.A2C(policy=TabularPolicy(2, 2), critic=torch.nn.Linear(4, 1))


test_seeded_bugs = seeded(
    Bug(
        "certainty is rewarded",
        losses.with_entropy,
        with_arguments(losses.with_entropy, weight=lambda weight: -weight),
        [test_entropy_is_rewarded_with_its_weight],
    ),
)
