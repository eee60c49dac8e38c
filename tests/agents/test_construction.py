"""How agents are made: configurations, ids, habits of other libraries, loading by class."""

import copy

import gymnasium as gym
import pytest
import torch

import pg_agents as pg
from pg_agents.policies import TabularCritic, TabularPolicy

NETWORKS = {"policy": TabularPolicy(2, 2), "critic": TabularCritic(2)}


def test_options_take_precedence_over_a_configuration_and_that_over_defaults():
    env = gym.make_vec("CartPole-v1", 4)
    plain = pg.PPO.for_env(env)
    assert plain.config.num_steps == 512 and plain.config.epochs == 10
    given = pg.PPO.for_env(env, config=pg.PPOConfig(epochs=3), clip=0.1)
    assert given.config == pg.PPOConfig(num_steps=512, epochs=3, clip=0.1)  # 2048 steps of 4 environments
    assert given.config == pg.PPO.for_env(env, epochs=3, clip=0.1).config
    table = pg.Reinforce.for_env("pg/GridWorld-v0", config=pg.ReinforceConfig(discount=0.9))
    assert table.config.learning_rate == 0.1  # as tables have it
    spaces = env.single_observation_space, env.single_action_space
    assert pg.PPO.for_spaces(*spaces, config=pg.PPOConfig(clip=0.3), network=pg.NetworkConfig()).clip == 0.3
    made = pg.PPO(**NETWORKS, config=pg.PPOConfig(epochs=3), epochs=2)
    assert made.config.epochs == made.epochs == made.arguments["epochs"] == 2


def test_networks_have_a_configuration_too():
    env = gym.make_vec("CartPole-v1", 2)
    agent = pg.PPO.for_env(env, network=pg.NetworkConfig(hidden=(5,)), activation="relu")
    sizes = [tuple(parameter.shape) for parameter in agent.policy.parameters()]
    assert sizes == [(5, 4), (5,), (2, 5), (2,)] and agent.networks == {"hidden": (5,), "activation": "relu"}
    for wrong, needed in (
        ({"policy": "hf:nowhere", "network": pg.NetworkConfig()}, "Language"),
        ({"network": 3}, "Network"),
    ):
        with pytest.raises(TypeError, match=rf"network must be a {needed}Config\(...\), got"):
            pg.PPO.for_env(env, **wrong)
    for wrong in ({"clip": 0.1}, pg.PPOConfig, pg.GRPOConfig()):
        for make in (
            lambda wrong=wrong: pg.PPO.for_env(env, config=wrong),
            lambda wrong=wrong: pg.PPO(**NETWORKS, config=wrong),
        ):
            with pytest.raises(TypeError, match=r"config must be a PPOConfig\(...\), got"):
                make()


def test_groups_are_as_large_as_the_environment_makes_them():
    assert pg.GRPO.for_env(gym.make_vec("CartPole-v1", 12)).config.group_size == 6
    assert pg.GRPO.for_env(gym.make_vec("pg/Copy-v0", 12, group_size=3)).config.group_size == 3


def test_an_environments_id_stands_for_eight_of_it():
    ours, theirs = pg.PPO.for_env("CartPole-v1", seed=3), pg.PPO.for_env(gym.make_vec("CartPole-v1", 8), seed=3)
    assert ours.config == theirs.config and ours.spaces == theirs.spaces
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    assert pg.PPO.for_env("CartPole-v1", num_envs=2).config.num_steps == 1024
    three = pg.Reinforce.for_env("pg/BernoulliBandit-v0", env_args={"probabilities": (0.1, 0.2, 0.9)})
    assert three.policy.logits.shape == (1, 1, 3)
    with pytest.raises(pg.UserError, match="CartPole-v1"):
        pg.PPO.for_env("CartPool-v1")
    with pytest.raises(ValueError, match="num_envs=4: env is made already"):
        pg.PPO.for_env(gym.make_vec("CartPole-v1", 2), num_envs=4)


def test_options_are_read_from_the_agent_and_changed_by_a_new_configuration():
    agent = pg.PPO(**NETWORKS, clip="0.2:0.1")
    assert agent.clip == pg.LinearSchedule(0.2, 0.1) and agent.current("clip") == 0.2
    with pytest.raises(AttributeError, match=r"clip is an option: set agent.config = agent.config.replace\(clip=0.3\)"):
        agent.clip = 0.3
    agent.config = agent.config.replace(clip=0.3)
    assert agent.clip == 0.3 and copy.deepcopy(agent).clip == 0.3


@pytest.mark.parametrize(
    ("use", "answer"),
    [
        (lambda agent: agent.learn(100), r"PPO has no learn: write pg_agents.train\(agent, env, total_steps=…\)"),
        (lambda agent: agent.predict(0), r"PPO has no predict: write actions, memory = agent.act"),
        (
            lambda agent: pg.PPO("MlpPolicy", "CartPole-v1"),
            r"PPO takes no 'MlpPolicy': write PPO.for_env\(env\)",
        ),
        (lambda agent: pg.PPO.for_env("CartPole-v1", clip_range=0.1), "clip_range: .* did you mean clip?"),
        (lambda agent: pg.PPO.for_env("CartPole-v1", clipp=0.1), "clipp: PPO has no such argument; did you mean clip?"),
    ],
)
def test_habits_of_other_libraries_are_answered_with_the_line_to_write(use, answer):
    with pytest.raises((AttributeError, TypeError), match=answer):
        use(pg.PPO(**NETWORKS))


def test_networks_that_an_agent_does_not_have_or_lacks_are_named():
    for options, message in (
        ({"policy": TabularPolicy(2, 2)}, "critic: PPO with these options needs one"),
        ({**NETWORKS, "kl": None}, "kl: PPO has no such argument"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            pg.PPO(**options)
    with pytest.raises(ValueError, match="critic: Reinforce with these options has no critic: leave it out"):
        pg.Reinforce(**NETWORKS)
    frozen = TabularPolicy(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="reference: TRPO has no KL penalty: leave it out"):
        pg.TRPO(**NETWORKS, reference=frozen)


def test_a_class_loads_agents_of_its_own_and_agent_those_of_all(tmp_path):
    agent = pg.A2C.for_env("CartPole-v1", hidden=(4,))
    agent.save(tmp_path / "agent")
    for load in (pg.load, pg.Agent.load, pg.A2C.load):
        loaded = load(tmp_path / "agent")
        assert type(loaded) is pg.A2C and loaded.config == agent.config
    with pytest.raises(pg.SavedAgentError, match="an agent called 'a2c', known are ppo"):
        pg.PPO.load(tmp_path / "agent")


def test_update_is_final_and_former_methods_are_refused():
    for agent in pg.AGENTS.values():
        assert "update" not in vars(agent)
    with pytest.raises(TypeError, match="Old.forward is called loss now"):
        type("Old", (pg.Agent,), {"forward": lambda self, batch: None})
    methods = {"name": "bare", "prepare": lambda self, rollout: None, "loss": lambda self, batch: None}
    with pytest.raises(TypeError, match="Bare: state its configuration"):
        type("Bare", (pg.Agent,), methods)(policy=TabularPolicy(2, 2))


def test_a_reward_of_another_class_of_policies_is_no_default():
    """Defaults go by class, also of a class derived from it."""

    class Derived(TabularPolicy):
        pass

    form = pg.PPO.form()
    assert form.defaults_for(Derived) == form.defaults_for(TabularPolicy) != form.defaults_for(pg.Policy) == {}


@pytest.mark.parametrize(
    ("form", "made", "changes"),
    [
        (pg.PPO, {}, {"optimizer": "sgd"}),
        (pg.PPO, {}, {"adam_epsilon": 1.0}),
        (pg.PPO, {}, {"normalize_rewards": True}),
        (pg.PPO, {"normalize_rewards": True}, {"discount": 0.5}),
        (pg.PPO, {}, {"kl_weight": 0.5}),
        (pg.PPO, {}, {"critic_learning_rate": 0.1}),
        (pg.ReinforceBaseline, {}, {"baseline": "constant"}),
        (pg.A2C, {}, {"optimizer": "adam"}),
    ],
)
def test_options_that_an_agent_is_made_of_do_not_change(form, made, changes):
    agent = form.for_env("CartPole-v1", **made)
    (name,) = changes
    with pytest.raises(ValueError, match=f"{name} is fixed when an agent is made"):
        agent.config = agent.config.replace(**changes)
    with pytest.raises(TypeError, match="config must be a"):
        agent.config = pg.TRPOConfig()
    agent.config = agent.config.replace(learning_rate=0.7)
    assert agent.current("learning_rate") == 0.7


def test_a_penalty_can_be_turned_on_where_there_is_a_reference():
    frozen = TabularPolicy(2, 2).requires_grad_(False)
    agent = pg.PPO(policy=TabularPolicy(2, 2), critic=TabularCritic(2), reference=frozen)
    agent.config = agent.config.replace(kl_weight=0.5)
    assert agent.current("kl_weight") == 0.5
    with pytest.raises(KeyError, match="clipp"):
        agent.current("clipp")


def test_a_penalty_may_begin_at_0():
    agent = pg.PPO.for_env("CartPole-v1", num_envs=2, kl_weight="0:0.1", num_steps=8, minibatch_size=8)
    assert agent.reference is not None and agent.current("kl_weight") == 0
    pg.train(agent, "CartPole-v1", num_envs=2, total_steps=64, progress=False)


def test_classes_derived_from_an_agent_leave_its_files_alone(tmp_path):
    pg.PPO.for_env("CartPole-v1").save(tmp_path / "agent")

    class Derived(pg.PPO):
        def __init__(self, *, extra, **given):
            super().__init__(**given)

    assert type(pg.PPO.load(tmp_path / "agent")) is type(pg.Agent.load(tmp_path / "agent")) is pg.PPO
