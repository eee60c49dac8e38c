"""Means of what is reported: weighted, of parts as of the whole, without a gradient."""

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents._fast import means
from pg_agents.data.metrics import WeightedMetrics


def test_means_are_weighted_and_carry_no_gradient():
    """(4 · ¼ + 1 · ½) / ¾ = 2; of the flags, ½ / ¾."""
    term = torch.tensor([4.0, 1.0, 7.0], requires_grad=True)
    found = WeightedMetrics(torch.tensor([0.25, 0.5, 0]), {"term": term, "flag": torch.tensor([False, True, True])})
    assert {name: float(mean) for name, mean in found.items()} == {"term": 2, "flag": pytest.approx(2 / 3)}
    assert not found["term"].requires_grad and len(found) == 2


@pytest.mark.parametrize("many", [1, 4096])
def test_parts_and_sums_have_the_mean_of_the_whole(monkeypatch, many):
    """Parts of 5 and 3 rows with weights that count n times, also where only their sums are kept."""
    monkeypatch.setattr(means, "AVERAGED_AT_ONCE", many)
    weights, term = torch.rand(2, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8.0).view(2, 4)
    whole = float((weights * term).sum() / weights.sum())
    parts = [
        WeightedMetrics(2 * weights.flatten()[rows], {"x": term.flatten()[rows]}) for rows in (slice(5), slice(5, 8))
    ]
    joined = WeightedMetrics.joined(parts)
    assert float(WeightedMetrics(weights, {"x": term})["x"]) == pytest.approx(whole)
    assert float(joined["x"]) == pytest.approx(whole)
    assert float(joined.weights.sum()) == pytest.approx(float(weights.sum()))
    assert len(parts[0].weights) == (1 if many == 1 else 5)


def test_what_is_no_means_is_refused_by_name():
    with pytest.raises(TypeError, match=r"forward must return \(loss, batch.means\(name=term, …\)\), got dict"):
        WeightedMetrics.joined([{"policy_loss": torch.tensor(1.0)}])


class CountedAlike(WeightedMetrics):
    def __init__(self, weights, terms, num_learners=1, ranks=None):
        super().__init__(weights, terms)
        self.weights = torch.ones_like(self.weights)


test_seeded_bugs = seeded(
    Bug(
        "metrics of micro-batches count alike, however much they weigh",
        WeightedMetrics,
        CountedAlike,
        [test_parts_and_sums_have_the_mean_of_the_whole],
    ),
    Bug(
        "a minibatch that was differentiated in many parts counts more in the metrics",
        WeightedMetrics.joined,
        lambda cls, several: cls(
            torch.cat([part.weights for part in several]),
            {name: torch.cat([part.terms[name] for part in several]) for name in several[0]},
        ),
        [test_parts_and_sums_have_the_mean_of_the_whole],
    ),
)
