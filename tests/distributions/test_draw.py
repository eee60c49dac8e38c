"""Drawing actions from a distribution: at random, greedily, or not at all where it is none."""

import math

import pytest
import torch

from pg_agents.distributions import Categorical, DiagonalGaussian, MultiCategorical
from pg_agents.distributions.distribution import draw

LOGITS = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))


class Plain:
    """A distribution without `is_finite`."""

    def __init__(self, logits):
        self.inner = Categorical(logits)
        self.sample, self.mode, self.log_prob = self.inner.sample, self.inner.mode, self.inner.log_prob


def where(row):
    return f"in row {row}"


@pytest.mark.parametrize("form", [Categorical, Plain])
def test_the_mode_or_a_sample_of_the_generator(form):
    distribution = form(LOGITS)
    assert torch.equal(draw(distribution, where, greedy=True), LOGITS.argmax(-1))
    drawn, again = (draw(distribution, where, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    expected = Categorical(LOGITS).sample(torch.Generator().manual_seed(1))
    assert torch.equal(drawn, again) and torch.equal(drawn, expected) and not torch.equal(drawn, LOGITS.argmax(-1))


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("form", [Categorical, Plain])
def test_the_first_row_that_is_not_finite_is_named(form, greedy):
    logits = LOGITS.clone()
    logits[[3, 7], 2] = math.nan
    message = (
        rf"^policy: its distribution over actions \({form.__name__}\) is not finite in row 3: its parameters or "
        "outputs have become NaN or too large; train again with a smaller learning rate$"
    )
    with pytest.raises(FloatingPointError, match=message):
        draw(form(logits), where, greedy=greedy)


def test_rows_of_several_choices_are_looked_at_as_one():
    logits = LOGITS.reshape(10, 5, 5).clone()
    logits[4, 3] = math.nan
    with pytest.raises(FloatingPointError, match="MultiCategorical.* in row 4:"):
        draw(MultiCategorical(logits), where)


def test_where_every_row_is_wrong_the_first_is_named():
    wide = DiagonalGaussian(torch.zeros(3, 2), torch.tensor([0.0, math.nan]))
    with pytest.raises(FloatingPointError, match="DiagonalGaussian.* in row 0:"):
        draw(wide, where)
