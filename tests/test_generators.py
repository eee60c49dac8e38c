"""Each learner draws what it would draw alone, also where numbers are drawn ahead."""

import pytest
import torch
from support.bugs import Bug, seeded
from torch import Tensor

from pg_agents import generators as module
from pg_agents.generators import AHEAD, Generators, filled, make_generators

SEEDS = [4, 7, 1]
FILLS = {"exponential": Tensor.exponential_, "uniform": Tensor.uniform_, "normal": Tensor.normal_}


def drawn(source, fill, times, shape=(6, 5), dtype=torch.float32):
    return [filled(fill, torch.empty(shape, dtype=dtype), source).clone().log_() for _ in range(times)]


@pytest.mark.parametrize("times", [1, AHEAD - 1, AHEAD, 2 * AHEAD + 3])
@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_each_draws_what_it_would_alone_and_its_generator_is_where_it_would_be(fill, times):
    together = make_generators(SEEDS)
    found = torch.stack(drawn(together, fill, times))
    for i, seed in enumerate(SEEDS):
        alone = torch.Generator().manual_seed(seed)
        expected = torch.stack(drawn(alone, fill, times, (2, 5)))
        torch.testing.assert_close(found[:, 2 * i : 2 * i + 2], expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(together.get_state()[i], alone.get_state())


@pytest.mark.parametrize("times", [0, 1, AHEAD - 1, AHEAD, AHEAD + 3])
def test_the_state_of_one_is_where_it_would_be_and_all_draw_on(times):
    together, alone, undisturbed = Generators(SEEDS), torch.Generator().manual_seed(SEEDS[1]), Generators(SEEDS)
    drawn(together, Tensor.exponential_, times), drawn(undisturbed, Tensor.exponential_, times)
    drawn(alone, Tensor.exponential_, times, (2, 5))
    assert torch.equal(together.state_of(1), alone.get_state())
    for a, b in zip(*(drawn(each, Tensor.exponential_, 5) for each in (together, undisturbed)), strict=True):
        assert torch.equal(a, b)
    together[1].set_state(alone.get_state())
    assert torch.equal(drawn(together, Tensor.exponential_, 1)[0][2:4], drawn(alone, Tensor.exponential_, 1, (2, 5))[0])


def test_kinds_of_numbers_may_alternate():
    together, alone = Generators(SEEDS), torch.Generator().manual_seed(SEEDS[2])
    for fill, shape in [
        (Tensor.exponential_, (6, 5)), (Tensor.exponential_, (3, 2)), (Tensor.normal_, (6, 4)), (Tensor.uniform_, (6,)),
        (Tensor.exponential_, (6, 5)),
    ]:  # fmt: skip
        found, (expected,) = drawn(together, fill, 1, shape)[0], drawn(alone, fill, 1, (shape[0] // 3, *shape[1:]))
        torch.testing.assert_close(found[-len(expected) :], expected, rtol=0, atol=0, equal_nan=True)
    found, expected = (
        drawn(together, Tensor.uniform_, 2, (3,), torch.float64),
        drawn(alone, Tensor.uniform_, 2, (1,), torch.float64),
    )
    assert [one[2] for one in found] == [one[0] for one in expected]


@pytest.mark.parametrize("times", [0, 5, AHEAD])
def test_it_goes_on_from_a_state(times):
    one, other = Generators(SEEDS), Generators([0, 0, 0])
    drawn(one, Tensor.exponential_, times)
    drawn(other, Tensor.exponential_, 3)
    other.set_state(one.get_state())
    for a, b in zip(*(drawn(each, Tensor.exponential_, AHEAD + 2) for each in (one, other)), strict=True):
        assert torch.equal(a, b)


def test_one_learner_has_a_generator_and_what_is_not_given_is_torchs():
    assert type(make_generators([3])) is torch.Generator
    with torch.random.fork_rng():
        torch.manual_seed(3)
        found = drawn(None, Tensor.normal_, 1)[0]
    torch.testing.assert_close(found, drawn(make_generators([3]), Tensor.normal_, 1)[0], rtol=0, atol=0, equal_nan=True)


test_seeded_bugs = seeded(
    Bug(
        "what was drawn ahead and not used is lost",
        module._Ahead.take_back,
        lambda self, generators: None,
        [
            test_each_draws_what_it_would_alone_and_its_generator_is_where_it_would_be,
            test_kinds_of_numbers_may_alternate,
        ],
    ),
    Bug(
        "numbers of another shape are taken for those that are wanted",
        module._Ahead.serves,
        lambda self, fill, empty: self.used < AHEAD and fill is self.fill,
        [test_kinds_of_numbers_may_alternate],
    ),
)
