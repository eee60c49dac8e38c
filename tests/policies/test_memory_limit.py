"""Networks that do not fit into memory are refused with the arithmetic, before anything is allocated."""

import math

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import memory_limit
from pg_agents.policies.memory_limit import MemoryLimit, memory


@pytest.fixture
def sixteen(monkeypatch):
    """A machine with 16 GiB of memory."""
    monkeypatch.setattr(memory_limit, "memory", lambda: 16 * 2**30)


REAL = Box(0, 1, (4,))


@pytest.mark.parametrize(
    ("spaces", "options", "said"),
    [  # made in the test: bounds of 67 M numbers would be in the memory of all tests, and of all their forks
        (
            lambda: (Discrete(10**5), Discrete(10**5)),
            {},
            "100,000 × 100,000 float32 numbers takes 37 GiB, 4 times",
        ),
        (lambda: (Discrete(10**10), Discrete(2)), {}, "10,000,000,000 × 2 float32 numbers takes 75 GiB"),
        (lambda: (Discrete(2), Discrete(10**10)), {}, "2 × 10,000,000,000 float32"),
        (lambda: (Discrete(3), Discrete(2)), {"num_learners": 10**10}, "10,000,000,000 × 3 × 2 float32"),
        (
            lambda: (Box(0, 255, (4096, 4096, 4), "uint8"), Discrete(2)),
            {},
            "512 × 16,516,096 float32 numbers takes 32 GiB",
        ),
        (lambda: (Box(0, 1, (4096 * 4096 * 4,)), Discrete(2)), {}, "64 × 67,108,864 float32 numbers takes 16 GiB"),
        (lambda: (MultiBinary([10**5, 10**5]), Discrete(2)), {}, "64 × 10,000,000,000 float32"),
        (lambda: (Discrete(10**9), Discrete(2)), {"hidden": (64,)}, "64 × 1,000,000,000 float32"),
        (lambda: (REAL, MultiDiscrete([10**9, 10**9])), {}, "2 × 1,000,000,000 float32"),
        (lambda: (REAL, Discrete(2)), {"recurrent": 10**6}, "3,000,000 × 1,000,000 float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_with_the_arithmetic(sixteen, spaces, options, said):
    with pytest.raises(UnsupportedSpaceError, match=f"{said}.* this machine has 16 GiB"):
        pg.PPO.for_spaces(*spaces(), **options)


def test_all_that_is_made_is_counted_together(sixteen):
    with (
        pytest.raises(UnsupportedSpaceError, match=r"30,000 × 30,000 .* takes 3.4 GiB in addition to 13 GiB"),
        MemoryLimit(1),
    ):
        for _ in range(5):
            torch.empty((30_000, 30_000))


def test_what_fits_is_made(sixteen):
    assert pg.PPO.for_spaces(Discrete(1000), Discrete(100)).policy.logits.shape == (1, 1000, 100)
    with MemoryLimit(4):
        assert torch.empty(2**20, 2**10, device="meta").shape == torch.empty((2**20, 2**10), device="meta").shape
        assert torch.zeros(size=(2, 3)).shape == (2, 3) and torch.full((), 2.0) == 2
        with pytest.raises(UnsupportedSpaceError, match=r"1,048,576 × 1,024 float64 numbers takes 8 GiB"):
            torch.empty(2**20, 2**10, dtype=torch.float64)


def test_a_machine_says_how_much_it_has_or_nothing(monkeypatch):
    assert 2**28 < memory() < 2**50
    monkeypatch.delattr(memory_limit.os, "sysconf")
    assert memory() == math.inf


def test_rollouts_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(
        "pg_agents.collection.collectors.memory", lambda: 2 * 64 * 4 * 4 - 1
    )  # a byte less than 64 steps take twice
    env = gym.make("CartPole-v1")
    pg.train(pg.A2C.for_env(env, num_steps=63), env, total_steps=10, progress=False)
    with pytest.raises(ValueError, match="num_steps: the observations of 64 steps of 1 environments take .* reduce"):
        pg.train(pg.A2C.for_env(env, num_steps=64), env, total_steps=10, progress=False)


def test_kinds_of_numbers_may_be_named_in_python():
    with MemoryLimit(1):
        assert torch.ones(2, dtype=bool).dtype == torch.bool and torch.zeros(2, dtype=int).dtype == torch.int64


def counts_anew(self, size, dtype, right=MemoryLimit._count):
    self.total = 0
    right(self, size, dtype)


test_seeded_bugs = seeded(
    Bug(
        "each layer is held against the memory alone",
        MemoryLimit._count,
        counts_anew,
        [test_all_that_is_made_is_counted_together],
    )
)
