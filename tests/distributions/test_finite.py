"""What a distribution may be made of: −∞ for what is impossible, and nothing else that is not finite."""

import math

import pytest
import torch
from support.bugs import Bug, seeded
from torch import nn

from pg_agents.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    Sampling,
    SquashedGaussian,
    TokenCategorical,
)

NAN, INF = math.nan, math.inf


def test_what_a_distribution_may_be_made_of():
    def tensor(*values):
        return torch.tensor([values])

    three = torch.full((1, 3), 3e38)  # whose sum is not finite
    for logits, expected in (
        (tensor(0.0, 1.0), True),
        (tensor(0.0, -INF), True),
        (three, True),
        (tensor(0.0, NAN), False),
        (tensor(NAN, -INF), False),
        (tensor(0.0, INF), False),
        (tensor(INF, -INF), False),
    ):
        assert Categorical(logits).is_finite() is MultiCategorical(logits[:, None]).is_finite() is expected
    for bits, expected in (
        (tensor(0.0, -INF), True),
        (tensor(INF, -INF), True),
        (three, True),
        (tensor(NAN, 0), False),
    ):
        assert Bernoulli(bits).is_finite() is expected
    zero = torch.zeros(3)
    for mean, log_std, expected in (
        (three, zero, True),
        (three, zero + 1, True),
        (three * -INF, zero, False),
        (three * 0, zero - INF, False),
        (three * NAN, zero, False),
        (three * 0, tensor(0.0, NAN, 0), False),
    ):
        assert DiagonalGaussian(mean, log_std).is_finite() is expected
        assert SquashedGaussian(mean, log_std, zero).is_finite() is expected


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_k=3), Sampling(top_p=0.9)], ids=str)
@pytest.mark.parametrize("draw", ["sample", "mode"])
@pytest.mark.parametrize("row", [0, 4])
def test_logits_of_texts_are_looked_at_before_they_are_cut(sampling, draw, row):
    head = nn.Linear(4, 30)
    hidden = torch.randn(5, 4)
    for value, expected in ((0.0, True), (NAN, False)):
        hidden[row, 0] = value
        distribution = TokenCategorical(hidden, torch.ones(5, dtype=torch.bool), head, sampling, chunk=2)
        getattr(distribution, draw)()
        assert distribution.is_finite() is expected
    head.bias.data[:] = -INF
    head.bias.data[5:] = 0  # a model's own way to say that there are no such tokens
    distribution = TokenCategorical(torch.randn(5, 4), torch.ones(5, dtype=torch.bool), head, sampling, chunk=2)
    assert bool((distribution.sample() >= 5).all()) and distribution.is_finite()


test_seeded_bugs = seeded(
    Bug(
        "logits of +∞ are taken for a distribution",
        Categorical.is_finite,
        lambda distribution: not bool(distribution.unnormalized.isnan().any()),
        [test_what_a_distribution_may_be_made_of],
    ),
    Bug(
        "logits of tokens are looked at once they are cut",
        TokenCategorical.is_finite,
        lambda distribution: Categorical(distribution.sampling(distribution.head(distribution.hidden))).is_finite(),
        [
            (
                test_logits_of_texts_are_looked_at_before_they_are_cut,
                "0-sample-Sampling(temperature=1.0, top_k=3, top_p=None)",
            )
        ],
    ),
)
