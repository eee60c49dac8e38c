"""A race draws what torch draws, an inversion as often."""

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents._fast.sampling import WORTH_INVERTING, inversion, plain_sample, race, sample


@pytest.mark.parametrize("actions", [2, 5, WORTH_INVERTING - 1])
def test_a_race_draws_the_same_actions_from_the_same_generator(actions):
    unnormalized = torch.randn(2000, actions, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unnormalized[::3, 0] = -torch.inf
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    for _ in range(3):
        drawn, expected = (f(unnormalized, g) for f, g in zip((race, plain_sample), generators, strict=True))
        assert torch.equal(drawn, expected)


def test_an_inversion_draws_as_often():
    """The difference of two counts of n draws each has variance at most 2 n p (1 − p); 5 deviations are allowed."""
    n, actions = 100_000, 24
    unnormalized = 2 * torch.randn(actions, generator=torch.Generator().manual_seed(0))
    unnormalized[3] = -torch.inf
    counts = [
        torch.bincount(f(unnormalized.expand(n, -1), torch.Generator().manual_seed(1)), minlength=actions)
        for f in (inversion, plain_sample)
    ]
    p = unnormalized.softmax(-1)
    assert ((counts[0] - counts[1]).abs() <= 5 * (2 * n * p * (1 - p)).sqrt()).all()
    assert counts[0][3] == 0 and counts[0].sum() == n


def test_an_inversion_by_hand(monkeypatch):
    """π = ½, 0, ¼, ¼: U = 0.5 is the first number that draws action 2."""
    draws = torch.tensor([0.0, 0.49, 0.5, 0.74, 0.76, 0.99], dtype=torch.float64)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda empty, **options: empty.copy_(draws.view(empty.shape)))
    unnormalized = torch.tensor([0.5, 0.0, 0.25, 0.25]).log().expand(6, -1)
    assert inversion(unnormalized, None).tolist() == [0, 0, 2, 2, 3, 3]


@pytest.mark.parametrize(("actions", "expected"), [(WORTH_INVERTING - 1, race), (WORTH_INVERTING, inversion)])
def test_few_race_and_many_are_inverted(actions, expected):
    unnormalized = torch.randn(50, actions, generator=torch.Generator().manual_seed(0))
    drawn = [f(unnormalized, torch.Generator().manual_seed(1)) for f in (sample, expected)]
    assert torch.equal(*drawn)
    assert sample(unnormalized.view(5, 10, actions), None).shape == (5, 10)
    assert plain_sample(unnormalized.view(5, 10, actions), None).shape == (5, 10)


def finds_the_first_that_is_no_less(*numbers, right, search=torch.searchsorted):
    return search(*numbers, right=False)


test_seeded_bugs = seeded(
    Bug(
        "the first of many actions may be drawn though it is impossible",
        (torch, "searchsorted"),
        finds_the_first_that_is_no_less,
        [test_an_inversion_by_hand],
    )
)
