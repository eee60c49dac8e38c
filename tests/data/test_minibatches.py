"""Parts of a batch: they partition it, and the mean of their losses is the loss of the whole."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from support.bugs import Bug, seeded, with_result

from pg_agents.data import minibatches as module
from pg_agents.data.minibatches import Unit, columns_of, minibatches, without_idle_columns
from pg_agents.data.rollout import Batch, TokenBlock

T, B = 6, 5
UNITS = get_args(Unit)


def a_batch(observations=None, memory=None):
    torch.manual_seed(0)
    mask = torch.rand(T, B) > 0.3
    number = torch.arange(T * B).reshape(T, B).double()
    return Batch(
        observations=number[..., None] if observations is None else observations,
        actions=number.long(),
        weights=mask / mask.sum(),
        advantages=number + 0.5,
        log_probs=-number,
        targets=2 * number,
        episode_starts=torch.zeros(T, B, dtype=torch.bool),
        memory=memory,
        reference_log_probs=3 * number,
    )


def parts(batch, size, *, seed=0, unit="step"):
    return list(minibatches(batch, size, torch.Generator().manual_seed(seed), unit=unit))


@pytest.mark.parametrize("size", [2, 4, 7, 100])
@pytest.mark.parametrize("unit", UNITS)
def test_every_valid_step_comes_once_and_the_mean_of_the_losses_is_the_whole_s(size, unit):
    batch = a_batch()
    found = parts(batch, size, unit=unit)
    seen = torch.cat([part.actions[part.weights != 0] for part in found])
    assert seen.sort().values.tolist() == batch.actions[batch.weights != 0].sort().values.tolist()
    losses = torch.stack([(part.weights * part.advantages).sum() for part in found])
    torch.testing.assert_close(losses.mean(), (batch.weights * batch.advantages).sum())


@pytest.mark.parametrize("unit", UNITS)
def test_fields_stay_together(unit):
    for part in parts(a_batch(), 4, unit=unit):
        number = part.actions.double()
        assert torch.equal(part.observations[..., 0], number) and torch.equal(part.advantages, number + 0.5)
        assert torch.equal(part.log_probs, -number) and torch.equal(part.targets, 2 * number)
        assert torch.equal(part.reference_log_probs, 3 * number)


def test_rows_are_dealt_out_evenly_without_those_that_weigh_nothing():
    batch = a_batch()
    valid = int((batch.weights != 0).sum())
    sizes = [len(part.weights) for part in parts(batch, 4)]
    assert sum(sizes) == valid and max(sizes) - min(sizes) <= 1 and max(sizes) <= 4
    assert all(bool((part.weights != 0).all()) for part in parts(batch, 4))


@pytest.mark.parametrize("unit", UNITS)
def test_the_order_is_the_generator_s(unit):
    batch = a_batch()
    first, again, other = (parts(batch, 4, seed=seed, unit=unit)[0].actions for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("unit", UNITS)
def test_without_a_generator_they_stay_in_order(unit):
    batch = a_batch()
    found = list(minibatches(batch, 4, None, unit=unit))
    seen = [part.actions.flatten()[part.weights.flatten() != 0].tolist() for part in found]
    if unit == "environment":
        seen = [sorted(part, key=lambda number: number % B) for part in seen]
        assert [number % B for part in seen for number in part] == sorted(number % B for number in sum(seen, []))
    else:
        assert sum(seen, []) == batch.actions[batch.weights != 0].tolist()
    assert len(found) > 2


def test_columns_keep_memory_and_tokens():
    memory = {"h": torch.arange(B)[:, None]}
    block = TokenBlock(torch.arange(B)[:, None].repeat(1, 4), torch.arange(B).repeat(T, 1))
    for part in parts(a_batch(block, memory), 6, unit="environment"):
        columns = (part.actions[0] % B).tolist()
        assert part.memory["h"][:, 0].tolist() == columns and part.observations.tokens[:, 0].tolist() == columns
        assert part.observations.lengths[0].tolist() == columns and part.episode_starts.shape == part.actions.shape


def test_environments_that_weigh_nothing_are_left_out():
    batch = a_batch()
    batch = replace(batch, weights=(batch.weights != 0) * (torch.arange(B) % 2).double())  # 1 where it weighs
    found = parts(batch, 4, unit="environment")
    assert sorted(column for part in found for column in (part.actions[0] % B).tolist()) == [1, 3]


def test_trees_of_observations_are_dealt_out_leaf_by_leaf():
    number = torch.arange(T * B).reshape(T, B)
    tree = {"a": number, "b": (number[..., None],)}
    for part in parts(a_batch(tree), 4):
        assert torch.equal(part.observations["a"], part.actions)
        assert torch.equal(part.observations["b"][0][:, 0], part.actions)


def test_idle_texts_are_left_out():
    block = TokenBlock(torch.arange(B)[:, None].repeat(1, 4), torch.arange(B).repeat(T, 1), torch.ones(T, B).bool())
    batch = a_batch(block)
    weights = batch.weights * (torch.arange(B) % 2)
    part = without_idle_columns(replace(batch, weights=weights))
    assert part.actions[0].tolist() == [1, 3] and part.observations.tokens[:, 0].tolist() == [1, 3]
    assert part.observations.lengths[0].tolist() == [1, 3] and part.observations.mask.shape == (T, 2)
    assert torch.equal(part.sum(part.advantages), replace(batch, weights=weights).sum(batch.advantages))
    assert without_idle_columns(batch) is batch and without_idle_columns(a_batch()).actions.shape == (T, B)


def weighing_their_share(*args, right=minibatches, **options):
    found = list(right(*args, **options))
    return [replace(part, weights=part.weights / len(found)) for part in found]


test_seeded_bugs = seeded(
    Bug(
        "a minibatch weighs as little as its part of the batch",
        minibatches,
        weighing_their_share,
        [test_every_valid_step_comes_once_and_the_mean_of_the_losses_is_the_whole_s],
    ),
    Bug(
        "minibatches weigh as if they were the batch",
        columns_of,
        with_result(columns_of, lambda part: replace(part, weights=part.weights / part.weights.sum())),
        [test_every_valid_step_comes_once_and_the_mean_of_the_losses_is_the_whole_s],
    ),
    Bug(
        "texts that weigh nothing are learned from",
        without_idle_columns,
        lambda batch: batch,
        [test_idle_texts_are_left_out],
    ),
    Bug(
        "the reference's log-probabilities stay behind when a batch is dealt out",
        (module, "SINGLE"),
        tuple(name for name in module.SINGLE if name != "reference_log_probs"),
        [test_fields_stay_together],
        raises=TypeError,
    ),
)
