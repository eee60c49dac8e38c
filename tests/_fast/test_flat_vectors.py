"""Parameters that are parts of a vector are the parameters that they were."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from pg_agents._fast import flat_vectors
from pg_agents._fast.flat_vectors import join_state, lay_out, part_moment, plain_lay_out
from pg_agents.agents.common.optimizers import OPTIMIZERS


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_the_same_bits(name):
    flat, plain = network(), network()
    x = torch.randn(5, 3)
    for module, form in ((flat, lay_out), (plain, plain_lay_out)):
        vectors = form(list(module.parameters()))
        assert sum(vectors.values(), []) == list(module.parameters())
        optimizer = OPTIMIZERS[name](list(vectors), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            module(x).square().sum().backward()
            optimizer.step()
    for one, other in zip(flat.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_parameters_and_gradients_are_views_and_many_stay_as_they_are(monkeypatch):
    module = network()
    before = deepcopy(module.state_dict())
    parameters = list(module.parameters())
    ((vector, members),) = lay_out(parameters).items()
    assert members == parameters
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    vector += 1
    vector.grad.fill_(2)
    assert torch.equal(module[0].bias, before["0.bias"] + 1) and (module[2].weight.grad == 2).all()
    monkeypatch.setattr(flat_vectors, "LARGE", vector.numel() - 1)
    assert lay_out(parameters) == plain_lay_out(parameters) == {p: [p] for p in parameters}


def test_moments_are_parted_and_joined():
    parameters = list(network().parameters())
    vector = torch.cat([parameter.detach().flatten() for parameter in parameters])
    moment = torch.arange(len(vector), dtype=torch.float32)
    parts = part_moment(vector, moment, parameters)
    assert [len(part) for part in parts] == [parameter.numel() for parameter in parameters]
    count = torch.tensor(7.0)
    assert part_moment(vector, count, parameters) == [count] * 4
    joined = join_state(vector, [{"step": count, "exp_avg": part} for part in parts], parameters)
    assert torch.equal(joined["exp_avg"], moment) and joined["step"] == 7
