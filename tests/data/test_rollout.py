"""The record: what it counts, how it moves."""

from dataclasses import replace

import torch
from support.records import record

from pg_agents.data.rollout import Batch, TokenBlock


def test_only_valid_rows_are_transitions():
    assert record().num_transitions == 5


def test_moving_to_where_it_is_returns_itself_and_elsewhere_moves_every_leaf():
    block = TokenBlock(torch.zeros(2, 4, dtype=torch.int64), torch.ones(3, 2, dtype=torch.int64))
    for observations in (None, {"a": torch.zeros(3, 2, 1), "b": {"c": torch.zeros(3, 2)}}, block):
        here = record(observations)
        assert here.to("cpu") is here
        there = here.to("meta")
        assert there.rewards.device.type == there.final_rows.device.type == there.mask.device.type == "meta"
    assert there.observations.tokens.device.type == there.observations.lengths.device.type == "meta"
    nested = record({"a": torch.zeros(3, 2, 1), "b": {"c": torch.zeros(3, 2)}}).to("meta").observations
    assert nested["b"]["c"].device.type == nested["a"].device.type == "meta"
    assert there.memory is None and there.group_ids is None


def test_batch_of_a_rollout_with_its_weighted_sum_and_mean():
    """Weights ¼, ½: of 4 and 1 the sum is 1.5 and the mean 1.5 / ¾ = 2."""
    whole = record()
    weights = torch.tensor([[0.25, 0.5], [0, 0], [0, 0]])
    batch = Batch.of(whole, advantages=whole.rewards, weights=weights)
    assert batch.observations is whole.observations and batch.log_probs is whole.log_probs
    assert batch.episode_starts is whole.episode_starts and batch.targets is None
    term = torch.tensor([[4.0, 1.0], [7, 7], [7, 7]], requires_grad=True)
    assert batch.sum(term).requires_grad and float(batch.sum(term).detach()) == 1.5
    means = batch.means(term=term, double=2 * term)
    assert {name: float(mean) for name, mean in means.items()} == {"term": 2, "double": 4}
    assert not means["term"].requires_grad
    assert batch.sum(term.double()).dtype == batch.means(term=term.double())["term"].dtype == torch.float64


def test_a_batch_holds_what_its_rollout_does_in_the_precision_of_the_policy():
    """Advantages, targets and the reference's log-probabilities come in 64 bits; of a policy in 16, 32 are taken."""
    whole = record()
    wide = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)
    for given, expected in ((torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2):
        rollout = replace(whole, log_probs=wide.to(given), memory="memory", reference_log_probs=3 * wide)
        batch = Batch.of(rollout, advantages=wide + 1, weights=wide + 2, targets=wide + 4)
        numbers = {"advantages": wide + 1, "weights": wide + 2, "targets": wide + 4, "reference_log_probs": 3 * wide}
        for name, values in numbers.items():
            held = getattr(batch, name)
            assert held.dtype == expected and torch.equal(held, values.to(expected)), name
        for name in ("observations", "actions", "log_probs", "episode_starts", "memory"):
            assert getattr(batch, name) is getattr(rollout, name)
    bare = Batch.of(whole, advantages=wide, weights=wide)
    assert bare.targets is None and bare.reference_log_probs is None


def test_windows_of_a_block_by_hand():
    block = TokenBlock(torch.tensor([[5, 6, 7], [8, 9, 1]]), torch.tensor([[1, 2], [2, 3]]))
    windows = block.windows()
    assert windows["tokens"].tolist() == [[[5, 0, 0], [8, 9, 0]], [[5, 6, 0], [8, 9, 1]]]
    assert windows["length"].tolist() == [[1, 2], [2, 3]]


def test_a_block_moves_with_its_mask():
    block = TokenBlock(torch.zeros(2, 4), torch.ones(3, 2), torch.ones(3, 2, dtype=torch.bool))
    assert block.to("cpu").mask.all() and block.to("meta").mask.device.type == "meta"
    assert replace(block, mask=None).to("cpu").mask is None
