"""Rows that are kept have the mean that is taken of them."""

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents._fast.means import AVERAGED_AT_ONCE, plain_summary, summary, weighted_mean


@pytest.mark.parametrize("count", [6, AVERAGED_AT_ONCE])
def test_a_summary_has_the_means_and_the_weight_of_its_rows(count):
    """To 1e-12 in float64; many rows become one."""
    generator = torch.Generator().manual_seed(0)
    weights, term = torch.rand(2, 2, count // 2, dtype=torch.float64, generator=generator)
    kept, terms = summary(weights, {"x": term})
    plain, plain_terms = plain_summary(weights, {"x": term})
    assert plain.shape == plain_terms["x"].shape == (1,)
    assert kept.numel() == (1 if count == AVERAGED_AT_ONCE else count)
    torch.testing.assert_close(kept.sum(), weights.sum(), rtol=1e-12, atol=0)
    torch.testing.assert_close(plain.sum(), weights.sum(), rtol=1e-12, atol=0)
    expected = (weights * term).sum() / weights.sum()
    for mean in (weighted_mean(kept, terms["x"]), weighted_mean(plain, plain_terms["x"])):
        torch.testing.assert_close(mean, expected, rtol=1e-12, atol=0)


test_seeded_bugs = seeded(
    Bug(
        "rows that become one count once",
        plain_summary,
        lambda weights, terms: (
            weights.new_ones(1),
            {name: weighted_mean(weights, x)[None] for name, x in terms.items()},
        ),
        [test_a_summary_has_the_means_and_the_weight_of_its_rows],
    ),
)
