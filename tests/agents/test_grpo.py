"""GRPO and Dr. GRPO by hand, and what their expectations are."""

import math
from dataclasses import replace
from typing import get_args

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_arguments, with_result
from support.grouped_episodes import EPISODES, PROBLEM, TABLE, grouped, tabular
from support.hand_made import gradients, padded, prepare, rollout

import pg_agents as pg
from pg_agents.agents import GRPO
from pg_agents.functional import comparisons, losses
from pg_agents.functional.comparisons import Comparison
from pg_agents.gradients.catalogue import LENGTH, estimators_of
from pg_agents.gradients.instrument import Instrument

UNIFORM = torch.zeros(1, 2, dtype=torch.float64)
EQUAL = grouped(  # four episodes of 2, 1, 1 and 2 steps; the second group's returns are equal
    rollout(
        [(0, 1, 1, ""), (0, 0, 2, "T")],
        [(0, 0, 1, "T")],
        [(0, 0, 5, "T")],
        [(0, 1, 2, ""), (0, 1, 3, "T")],
    ),
    *(0, 0, 1, 1),
)


def test_standardized_advantages_by_hand():
    """γ = ½: 3, 7, 1: mean 11/3, deviations −2/3, 10/3, −8/3, std √(28/3); 2, 10: ∓4 and √32."""
    batch, metrics = prepare(GRPO(policy=tabular(), discount=0.5), EPISODES)
    first, second = math.sqrt(28 / 3) + 1e-4, math.sqrt(32) + 1e-4
    expected = [-2 / 3 / first, -4 / second, 10 / 3 / first, 4 / second, -8 / 3 / first]
    assert batch.advantages[0].tolist() == pytest.approx(expected, abs=1e-12)
    assert (batch.advantages == batch.advantages[0]).all()
    assert float(metrics["zero_variance_groups"]) == 0


def test_centred_advantages_by_hand():
    batch, _ = prepare(GRPO(policy=tabular(), discount=0.5, advantage="centred"), EPISODES)
    assert batch.advantages[0].tolist() == pytest.approx([-2 / 3, -4, 10 / 3, 4, -8 / 3], abs=1e-12)


def test_advantages_standardized_over_the_batch_by_hand():
    """The same deviations over that of 3, 2, 7, 10 and 1: mean 4.6, squares 2.56 + 6.76 + 5.76 + 29.16 + 12.96."""
    batch, _ = prepare(GRPO(policy=tabular(), discount=0.5, advantage="batch-standardized"), EPISODES)
    scale = math.sqrt(57.2 / 4) + 1e-4
    expected = [deviation / scale for deviation in (-2 / 3, -4, 10 / 3, 4, -8 / 3)]
    assert batch.advantages[0].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("aggregation", "column"),  # the weights of a step of the five episodes, of 3, 1, 2, 1 and 1 steps
    [
        ("sequence-mean", [1 / 15, 1 / 5, 1 / 10, 1 / 5, 1 / 5]),
        ("token-mean", [1 / 8] * 5),
        ("constant-length", [1 / 35] * 5),
    ],
)
def test_weights_by_hand(aggregation, column):
    agent = GRPO(policy=tabular(), aggregation=aggregation, max_episode_steps=7)
    batch, _ = prepare(agent, EPISODES)
    expected = torch.tensor(column, dtype=torch.float64) * EPISODES.mask
    torch.testing.assert_close(batch.weights, expected, rtol=0, atol=1e-15)


def test_groups_of_equal_returns_weigh_nothing_and_the_others_no_more():
    """Returns 3 and 1, 5 and 5: the first group's steps keep the weights they have among four episodes."""
    batch, metrics = prepare(GRPO(policy=tabular(UNIFORM)), EQUAL)
    assert batch.weights.tolist() == [[1 / 8, 1 / 4, 0, 0], [1 / 8, 0, 0, 0]]
    assert float(metrics["zero_variance_groups"]) == 0.5
    assert batch.advantages[0].tolist() == pytest.approx([1 / (2**0.5 + 1e-4), -1 / (2**0.5 + 1e-4), 0, 0], abs=1e-12)


def test_where_all_returns_are_equal_nothing_moves():
    """Also with Adam, whose momentum would go on without a gradient, and without a metric that is not a number."""
    agent = GRPO(policy=tabular(UNIFORM))
    agent.update(replace(EQUAL, log_probs=torch.full((2, 4), math.log(0.5), dtype=torch.float64)))
    before = agent.policy.logits.detach().clone()
    metrics = agent.update(rollout([(0, 1, 0.1, ""), (0, 1, 0.2, "T")], [(0, 0, 0.2, ""), (0, 0, 0.1, "T")]))
    assert torch.equal(agent.policy.logits, before) and before.abs().max() > 0
    assert {name: float(value) for name, value in metrics.items()} == {"zero_variance_groups": 1.0}


def test_an_entropy_bonus_acts_on_groups_of_equal_returns():
    """A policy that is nearly certain gets the same every time: what the bonus is there for."""
    certain = torch.tensor([[0.0, 3.0]], dtype=torch.float64)
    agent = GRPO(policy=tabular(certain), entropy_weight=0.1)
    equal = rollout([(0, 1, 2, "T")], [(0, 1, 2, "T")])
    batch, metrics = prepare(agent, equal)
    assert batch.weights.tolist() == [[0.5, 0.5]] and float(metrics["zero_variance_groups"]) == 1
    p, q = math.e**3 / (1 + math.e**3), 1 / (1 + math.e**3)
    slope = 0.1 * p * q * 3  # ∂H/∂θ_0 = −p q (θ_0 − θ_1)
    found = gradients(agent, equal)["policy.logits"].flatten()
    assert found.tolist() == pytest.approx([-slope, slope], abs=1e-12)


@pytest.mark.parametrize(
    ("clip_high", "good", "bad"),
    # ρ = 1.5 for both actions. A = 1: 1.5, or what it is clipped to; A = −1: −1.5 is less than −1.2, and stays.
    [(None, 1.2, -1.5), (0.3, 1.3, -1.5), (0.6, 1.5, -1.5)],
)
def test_loss_by_hand(clip_high, good, bad):
    record = rollout([(0, 1, 3, "T")], [(0, 0, 1, "T")])
    record = replace(record, log_probs=torch.full((1, 2), math.log(0.5 / 1.5), dtype=torch.float64))
    agent = GRPO(policy=tabular(UNIFORM), advantage="centred", clip_high=clip_high, entropy_weight=0.1)
    loss, metrics = agent(prepare(agent, record)[0])
    assert float(loss.detach()) == pytest.approx(-(good + bad) / 2 - 0.1 * math.log(2), abs=1e-12)
    assert float(metrics["clip_fraction"]) == (0 if clip_high == 0.6 else 1)
    assert float(metrics["kl"]) == pytest.approx(0.5 - math.log(1.5), abs=1e-12)
    # Only what is not clipped has a gradient: ρ (1_a − ½) for each action; the entropy is at its top.
    slope = (1.5 if clip_high == 0.6 else 0) * 0.5 * torch.tensor([0.5, -0.5]) + 1.5 * 0.5 * torch.tensor([0.5, -0.5])
    torch.testing.assert_close(gradients(agent, record)["policy.logits"].flatten(), slope.double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "constant-length"])
@pytest.mark.parametrize("advantage", get_args(Comparison))
def test_padding_changes_nothing(aggregation, advantage):
    agent = GRPO(policy=tabular(), aggregation=aggregation, advantage=advantage, max_episode_steps=9, discount=0.5)
    plain, more = (gradients(agent, form)["policy.logits"] for form in (EPISODES, padded(EPISODES, 4)))
    torch.testing.assert_close(more, plain, rtol=0, atol=1e-12)
    assert plain.norm() > 0.001


@pytest.mark.parametrize(("minibatch_size", "steps"), [(None, 3), (2, 6), (3, 3)])
def test_every_epoch_goes_through_the_steps_that_teach(minibatch_size, steps, monkeypatch):
    """Three steps are of groups that differ, three of one that does not and are not looked at."""
    agent = GRPO(policy=tabular(UNIFORM), epochs=3, minibatch_size=minibatch_size)
    taken, optimizer_step = [], agent.optimizer_step
    monkeypatch.setattr(agent, "optimizer_step", lambda loss: taken.append(loss) or optimizer_step(loss))
    metrics = agent.update(EQUAL)
    assert len(taken) == steps and all(math.isfinite(value) for value in metrics.values())


def test_minibatches_of_whole_episodes_leave_out_those_that_teach_nothing():
    """Texts are learned from as wholes; a minibatch of equal returns alone would have metrics 0/0."""
    env = gym.make_vec("pg/Shorter-v0", 8, length=1, symbols=1, max_new_tokens=2)
    agent = GRPO.for_env(env, group_size=2, minibatch_size=2)
    collector = pg.collect_episodes(env, agent.policy, group_size=2, seed=0)
    partly = 0
    for _ in range(12):
        metrics = agent.update(next(collector))
        assert all(math.isfinite(value) for value in metrics.values())
        partly += 0 < metrics["zero_variance_groups"] < 1
    assert partly > 3


# -- expectations ------------------------------------------------------------------------------------------------------
def test_its_expectation_is_not_the_gradient_and_dr_grpos_is_a_multiple():
    """All batches of two episodes of unequal lengths: (n − 1)/n · 1/L of ∇J without deviation and lengths."""
    instrument = Instrument(PROBLEM, tabular(TABLE), batch_size=2)
    rows = {estimator.name: instrument.measure(estimator) for estimator in estimators_of(PROBLEM)}
    grpo, doctor = rows["GRPO"], rows["Dr. GRPO"]
    assert grpo.enumerated and not grpo.unbiased and grpo.cosine < 0.98 and grpo.z > 4
    assert doctor.enumerated and not doctor.unbiased
    torch.testing.assert_close(doctor.expected, doctor.exact / 2 / LENGTH, rtol=0, atol=1e-10)
    assert doctor.cosine == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group_size": 1}, "group_size must be a whole number, 2 or above, got 1"),
        ({"advantage": "z"}, "advantage must be one of standardized, batch-standardized, centred, got 'z'"),
        ({"aggregation": "mean"}, "aggregation must be one of token-mean, sequence-mean, constant-length, got 'mean'"),
        ({"aggregation": "constant-length"}, "needs max_episode_steps: give"),
        ({"clip_high": 0}, "clip_high must be a number above 0, or None, got 0"),
        ({"minibatch_size": 1}, "minibatch_size must be a whole number, 2 or above"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GRPO.for_spaces(gym.spaces.Discrete(2), gym.spaces.Discrete(2), **arguments)


test_seeded_bugs = seeded(
    Bug(
        "groups of equal returns weigh what the others do",
        comparisons.compare,
        with_result(comparisons.compare, lambda compared: (compared[0], compared[1] + 1)),
        [
            test_groups_of_equal_returns_weigh_nothing_and_the_others_no_more,
            test_where_all_returns_are_equal_nothing_moves,
        ],
    ),
    Bug(
        "what is beyond ε is reported as clipped, whatever ε_high is",
        losses.ratio_metrics,
        with_arguments(losses.ratio_metrics, clip_high=lambda clip: None),
        [test_loss_by_hand],
    ),
    Bug(
        "tokens are counted with their padding",
        losses.aggregation_weights,
        with_arguments(losses.aggregation_weights, mask=torch.ones_like),
        [test_weights_by_hand, test_padding_changes_nothing],
    ),
)
