"""The record: what it counts, how it moves."""

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
