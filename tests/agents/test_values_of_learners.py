"""Learners with values of their own: each is the run that its seed and its values would have been alone."""

import json

import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded, with_result
from test_learners import SEEDS, difference_of_metrics, learned, several

import pg_agents as pg
from pg_agents.agents.common import clipping
from pg_agents.agents.common.config import AgentConfig
from pg_agents.agents.common.configured import Configured
from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.data.learners import of_columns
from pg_agents.functional.losses import ratio_metrics

RATES = {
    "learning_rate": [1e-3, "1e-2:0", 3e-2],
    "entropy_weight": ["0.1:0", 0.0, 0.02],
    "max_grad_norm": [0.05, float("inf"), 0.5],
    "discount": [0.9, 1.0, 0.5],
}
CRITIC = {"critic_learning_rate": [3e-2, 1e-3, "1e-2:1e-3"]}
ADVANTAGES = CRITIC | {"gae_lambda": [0.0, 0.8, 1.0], "value_weight": [0.5, 0.0, 2.0]}
# At the rates above a memory amplifies rounding, by ten in as many updates.
SLOW = {"learning_rate": [1e-3, "3e-3:0", 3e-4], "critic_learning_rate": [1e-3, 3e-4, "3e-3:1e-3"]}
WHOLE = {"hidden": (8,), "max_episode_steps": 12}  # all episodes are equally long
GROUPS = {"hidden": (8,), "group_size": 2, "epochs": 2, "minibatch_size": 32}
CLIPS = {"clip": [0.3, "0.2:0.1", 0.01], "clip_high": [0.4, 0.2, float("inf")]}
CASES = {  # an agent, its environment, options of all learners, and the options of which each has its own
    "reinforce": ("reinforce", "Pendulum-v1", WHOLE | {"signal": "discounted-reward-to-go"}, RATES),
    "reinforce, whole returns": ("reinforce", "Pendulum-v1", WHOLE | {"signal": "whole-return"}, RATES),
    "reinforce-baseline": ("reinforce-baseline", "Pendulum-v1", WHOLE, RATES | CRITIC),
    "actor-critic": ("actor-critic", "CartPole-v1", {"hidden": (8,), "discounted_time": True}, RATES | CRITIC),
    "a2c": ("a2c", "CartPole-v1", {"num_steps": 8, "hidden": (8,)}, RATES | ADVANTAGES),
    "a2c, scaled rewards": (
        "a2c",
        "Pendulum-v1",
        {"num_steps": 8, "hidden": (8,), "normalize_rewards": True, "optimizer": "sgd"},
        RATES,
    ),
    "a2c, kl": ("a2c", "CartPole-v1", {"num_steps": 8, "hidden": (8,)}, RATES | {"kl_weight": [0.5, "0.1:0", 0.01]}),
    "ppo": (
        "ppo",
        "CartPole-v1",
        {"num_steps": 16, "minibatch_size": 16, "epochs": 2, "hidden": (8,)},
        RATES | ADVANTAGES | {"clip": [0.3, "0.2:0.1", 0.01], "target_kl": [0.01, 1e-4, float("inf")]},
    ),
    "ppo, a memory": (
        "ppo",
        "CartPole-v1",
        {"num_steps": 16, "minibatch_size": 32, "epochs": 2, "recurrent": 6},
        RATES | ADVANTAGES | SLOW | {"clip": [0.3, 0.2, 0.01]},
    ),
    "a2c, kl in the loss": (
        "a2c",
        "CartPole-v1",
        {"num_steps": 8, "hidden": (8,), "kl_penalty": "k2-loss"},
        {"learning_rate": [1e-3, 1e-2, 1e-2], "kl_weight": [0.5, "0.1:0", 1.0]},
    ),
    "grpo": ("grpo", "CartPole-v1", GROUPS, RATES | CLIPS | {"kl_weight": [0.5, "0.1:0", 0.01]}),
    "grpo, one upper clip": ("grpo", "CartPole-v1", GROUPS | {"clip_high": 0.25}, {"clip": [0.3, "0.2:0.1", 0.01]}),
    "grpo, groups of equal returns": (
        "grpo",
        "pg/GridWorld-v0",
        {"group_size": 2, "epochs": 2, "minibatch_size": 16},
        {"learning_rate": [0.03, 0.1, 0.01], "entropy_weight": [0.1, 0.0, "0.1:0"]},
    ),
    "rloo": ("rloo", "CartPole-v1", {"hidden": (8,), "group_size": 2}, RATES | {"kl_weight": [0.5, "0.1:0", 0.01]}),
    "average-reward": (
        "average-reward",
        "pg/TwoStateMDP-v0",
        {},
        {"learning_rate": [0.1, "0.03:0", 0.01], "gain_learning_rate": [0.1, 0.01, 0.003], "initial_gain": [0, 1, 5.5]}
        | CRITIC,
    ),
}
ALONE = [(case, option) for case in ("ppo", "average-reward", "reinforce-baseline") for option in CASES[case][3]]


def differences(case, updates, only=None):
    """Return the largest difference of parameters and buffers, and of metrics, of learners from their single runs."""
    name, env_id, options, each = CASES[case]
    each = each if only is None else {only: each[only]}
    together, found = learned(name, env_id, options | each, updates, seeds=list(SEEDS))
    worst = of_metrics = 0.0
    for i, seed in enumerate(SEEDS):
        alone, metrics = learned(
            name, env_id, options | {key: value[i] for key, value in each.items()}, updates, seed=seed
        )
        mine, its = alone.state_dict(), together.learner(i).state_dict()
        worst = max([worst, *(float((its[key] - mine[key]).abs().max()) for key in mine if mine[key].numel())])
        of_metrics = max(of_metrics, difference_of_metrics(metrics, found, i))
    return worst, of_metrics


@pytest.mark.parametrize("case", CASES)
def test_each_learner_is_the_run_that_its_values_would_have_been(case):
    parameters, metrics = differences(case, 10)
    assert parameters < 1e-6 and metrics < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_learner_is_that_run_over_100_updates(case):
    parameters, metrics = differences(case, 100)
    assert parameters < 1e-6 and metrics < 1e-6


@pytest.mark.parametrize(("case", "option"), ALONE)
def test_each_option_may_be_the_only_list(case, option):
    parameters, metrics = differences(case, 3, option)
    assert parameters < 1e-6 and metrics < 1e-6


@pytest.mark.parametrize(
    "name", ["reinforce", "reinforce-baseline", "actor-critic", "a2c", "ppo", "average-reward", "grpo", "rloo"]
)
def test_every_agent_of_several_learners_has_such_options(name):
    options = pg.AGENTS[name].config_class.options()
    wanted = {name for _, _, _, each in CASES.values() for name in each} & options.keys()
    assert {name for name in options if options[name].each} == wanted


def a2c(**options):
    return pg.A2C.for_env(several("CartPole-v1", 6), hidden=(8,), **options)


def test_one_value_stays_a_number_and_values_are_arrays_of_learners_or_of_columns():
    agent = a2c(
        num_learners=3, learning_rate=np.array([1e-3, 1e-2, 1e-1]), discount=0.5, entropy_weight=["0.2:0", 0, 1]
    )
    rollout = next(pg.collect_steps(several("CartPole-v1", 6), agent.policy, 2, seed=0))
    assert agent.current("discount") == agent.current("discount", rollout) == 0.5
    assert agent.current("learning_rate").tolist() == [1e-3, 1e-2, 1e-1]
    assert agent.current("learning_rate", rollout).tolist() == [1e-3, 1e-3, 1e-2, 1e-2, 1e-1, 1e-1]
    agent.progress = 0.5
    assert agent.current("entropy_weight").tolist() == [0.1, 0, 1]
    assert a2c(learning_rate=[1e-3]).current("learning_rate") == 1e-3


def test_a_learner_has_its_own_value_and_files_have_the_list(tmp_path):
    agent = a2c(num_learners=2, learning_rate=["1e-3:0", 0.5], gae_lambda=[0.5, 1.0])
    agent.save(tmp_path / "all")
    agent.learner(0).save(tmp_path / "one")
    again = pg.load(tmp_path / "all")
    assert again.config == agent.config and again.config.gae_lambda == (0.5, 1.0)
    for one in (agent.learner(0), again.learner(0), pg.load(tmp_path / "one")):
        assert (one.config.learning_rate, one.config.gae_lambda) == (pg.LinearSchedule(1e-3, 0.0), 0.5)
    assert agent.learner(1).config.learning_rate == 0.5


def test_a_run_says_the_values_in_its_folder_and_goes_on_with_them(tmp_path):
    options = {"num_learners": 3, "learning_rate": ["1e-3:1e-4", 1e-2, 1e-1], "target_kl": [0.1, 1.0, float("inf")]}
    options |= {"num_steps": 16, "minibatch_size": 16, "hidden": (8,), "epochs": 2}

    def run(folder, total_steps, **how):
        env = several("CartPole-v1", 6)
        agent = pg.PPO.for_env(env, **options)
        pg.train(agent, env, total_steps=total_steps, run_dir=tmp_path / folder, log_every=96, progress=False, **how)
        return agent

    run("parts", 400)
    config = json.loads((tmp_path / "parts" / "config.json").read_text())
    assert config["arguments"]["learning_rate"] == ["0.001:0.0001", 0.01, 0.1]
    rows = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["train/learning_rate"] == pytest.approx((1e-3 + 1e-2 + 1e-1) / 3, rel=0.01)
    resumed = run("parts", 800, resume=True)
    assert resumed.config == run("new", 10).config


def test_a_run_that_is_resumed_has_the_bits_of_one_that_was_not_stopped(tmp_path):
    options = {"num_learners": 3, "learning_rate": [1e-3, 1e-2, 1e-1], "num_steps": 16, "hidden": (8,)}
    states = []
    for folder, ends in {"whole": [800], "parts": [400, 800]}.items():
        for total_steps in ends:
            env = several("CartPole-v1", 6)
            agent = pg.A2C.for_env(env, **options)
            pg.train(
                agent,
                env,
                total_steps=total_steps,
                run_dir=tmp_path / folder,
                log_every=96,
                resume=True,
                progress=False,
            )
        states.append(agent.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"num_learners": 2, "learning_rate": [0.1, 0.2, 0.3]},
            r"learning_rate: 3 values are given for num_learners=2, \[0.1, 0.2, 0.3\]; give one for each learner, or",
        ),
        (
            {"discount": [0.5, 0.9]},
            r"discount: 2 values are given for num_learners=1, \[0.5, 0.9\]; give num_learners=2",
        ),
        ({"num_learners": 2, "discount": [0.5, 1.5]}, "discount of learner 1 must be between 0 and 1, got 1.5"),
        (
            {"num_learners": 2, "learning_rate": ["fast", 1]},
            "learning_rate of learner 0 must be a number, or a schedule",
        ),
        (
            {"num_learners": 2, "max_grad_norm": [None, 1]},
            "max_grad_norm of learner 0 must be a number above 0, got None",
        ),
        ({"learning_rate": []}, r"learning_rate must be a finite number above 0, got \(\)"),
        ({"num_steps": [5, 6]}, r"num_steps must be a whole number, 1 or above, or None, got \(5, 6\)"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_agent_is_made(options, said):
    with pytest.raises(ValueError, match=said):
        a2c(**options)


def test_a_new_configuration_needs_as_many_values():
    agent = a2c(num_learners=2)
    with pytest.raises(ValueError, match="learning_rate: 3 values are given for num_learners=2"):
        agent.config = agent.config.replace(learning_rate=[1, 2, 3])
    agent.config = agent.config.replace(learning_rate=[1, 2])
    assert agent.current("learning_rate").tolist() == [1, 2]


def first_of(values):
    return float(values[0]) if isinstance(values, torch.Tensor) else values


def first_for_all(values):
    return values[:1].expand_as(values)


EXACT = test_each_learner_is_the_run_that_its_values_would_have_been
test_seeded_bugs = seeded(
    Bug(
        "the first value is used for all",
        Configured._of_each,
        with_result(Configured._of_each, first_for_all),
        [(EXACT, "ppo"), (EXACT, "average-reward"), (EXACT, "reinforce")],
    ),
    Bug(
        "learners have each other's values",
        Configured._of_each,
        with_result(Configured._of_each, lambda values: values.flip(0)),
        [(EXACT, "a2c"), (EXACT, "actor-critic")],
    ),
    Bug(
        "values of columns alternate",
        of_columns,
        lambda values, columns: values.repeat(columns // len(values), *[1] * (values.ndim - 1)),
        [(EXACT, "reinforce")],
    ),
    Bug(
        "a learner that leaves has the first one's value",
        AgentConfig.of_learners,
        lambda self, learners: {n: v[0] if isinstance(v, tuple) else v for n, v in self.as_dict().items()},
        [test_a_learner_has_its_own_value_and_files_have_the_list],
    ),
    Bug(
        "all gradients are clipped to the least norm",
        clipping.clip_each,
        lambda gradients, most, clip_each=clipping.clip_each: clip_each(gradients, min(most)),
        [(EXACT, "a2c")],
    ),
    Bug(
        "rewards are scaled with the first discount",
        RewardScale.__init__,
        lambda self, discount, learners, init=RewardScale.__init__: init(self, first_of(discount), learners),
        [(EXACT, "a2c, scaled rewards")],
    ),
    Bug(
        "the clipped fraction is that of the first clip",
        ratio_metrics,
        lambda log_ratio, clip, ratio_metrics=ratio_metrics: ratio_metrics(log_ratio, first_of(clip)),
        [(EXACT, "ppo")],
    ),
)  # fmt: skip
