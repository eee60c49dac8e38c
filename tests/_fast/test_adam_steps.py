"""Steps that go past torch's preparations are torch's steps."""

from copy import deepcopy

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents._fast import adam_steps
from pg_agents._fast.adam_steps import plain_take_step, take_step
from pg_agents.agents.common.optimizers import OPTIMIZERS


def optimizer_of(name="adam", **options):
    torch.manual_seed(0)
    vectors = [torch.randn(50), torch.randn(2, 30)]
    groups = [{"params": [vector], "lr": rate} for vector, rate in zip(vectors, (0.1, 0.01), strict=True)]
    return OPTIMIZERS[name](groups, **options)


def stepped(take, optimizer, steps=4):
    """Return the parameters and the state after some steps, in one of which the second vector has no gradient."""
    vectors = [group["params"][0] for group in optimizer.param_groups]
    for step in range(steps):
        for vector in vectors:
            vector.grad = vector.sin() * (step + 1)
        if step == 2:
            vectors[1].grad = None
        take(optimizer)
    return vectors, optimizer.state_dict()["state"]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"maximize": True}])
def test_steps_are_torch_s_bit_for_bit(name, options):
    """Of Adam without options past torch, of the others its own."""
    one, other = (stepped(take, optimizer_of(name, **options)) for take in (take_step, plain_take_step))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_only_the_first_step_of_adam_goes_torch_s_way(monkeypatch):
    taken = []
    monkeypatch.setattr(adam_steps, "plain_take_step", lambda optimizer: taken.append(1) or plain_take_step(optimizer))
    stepped(take_step, optimizer_of())
    assert len(taken) == 1


def test_hooks_are_called():
    optimizer, calls = optimizer_of(), []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    stepped(take_step, optimizer, steps=3)
    assert len(calls) == 3


def test_a_step_of_an_optimizer_that_goes_on_from_a_state_is_torch_s():
    before = optimizer_of()
    stepped(take_step, before, steps=2)
    one, other = deepcopy(before), deepcopy(before)
    torch.testing.assert_close(stepped(take_step, one), stepped(plain_take_step, other), rtol=0, atol=0)


test_seeded_bugs = seeded(
    Bug(
        "every group takes steps of the first group's size",
        take_step,
        lambda optimizer: (
            [group.update(lr=optimizer.param_groups[0]["lr"]) for group in optimizer.param_groups],
            plain_take_step(optimizer),
        ),
        [test_steps_are_torch_s_bit_for_bit],
    )
)
