"""The recurrent layer against cells in a loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_agents.policies.gru import GRU


def by_cells(gru, inputs, hidden, episode_starts):
    """Return h' of every row, [T, B, H], a cell at a time."""
    rows = []
    for x, begins in zip(inputs, episode_starts, strict=True):
        hidden = gru.step(x, torch.where(begins[:, None], 0.0, hidden))
        rows.append(hidden)
    return torch.stack(rows)


def random_case(seed, length=6, envs=3, density=0.3, inputs=2, size=4):
    torch.manual_seed(seed)
    gru = GRU(inputs, size).double()
    for parameter in gru.parameters():
        torch.nn.init.normal_(parameter)
    x, h = torch.randn(length, envs, inputs).double(), torch.randn(envs, size).double()
    return gru, x.requires_grad_(), h.requires_grad_(), torch.rand(length, envs) < density


def all_gradients(outputs, *tensors):
    upstream = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(9)).to(outputs.dtype)
    return torch.autograd.grad(outputs, tensors, upstream)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), length=st.integers(1, 9), envs=st.integers(1, 4), density=st.floats(0, 1))
def test_outputs_and_gradients_are_those_of_cells(seed, length, envs, density):
    gru, x, h, episode_starts = random_case(seed, length, envs, density)
    whole, loop = gru(x, h, episode_starts), by_cells(gru, x, h, episode_starts)
    torch.testing.assert_close(whole, loop, rtol=1e-12, atol=1e-12)
    leaves = (x, h, *gru.parameters())
    for mine, theirs in zip(all_gradients(whole, *leaves), all_gradients(loop, *leaves), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_it_is_torch_s_gru():
    torch.manual_seed(0)
    gru, theirs = GRU(3, 5), torch.nn.GRU(3, 5)
    theirs.load_state_dict({f"{name}_l0": value for name, value in gru.cell.state_dict().items()})
    x, h = torch.randn(7, 2, 3), torch.randn(2, 5)
    torch.testing.assert_close(gru(x, h), theirs(x, h[None])[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(gru(x), theirs(x)[0], rtol=0, atol=1e-6)


def test_gradients_end_at_starts():
    gru, x, h, episode_starts = random_case(2, length=5, envs=2, density=0.0)
    episode_starts[2, 0] = True  # the first environment's second episode
    by_input, by_memory = torch.autograd.grad(gru(x, h, episode_starts)[2:].sum(), (x, h))
    assert not by_input[:2, 0].any() and not by_memory[0].any()
    assert by_input[2:, 0].all() and by_input[:, 1].all() and by_memory[1].all()


@pytest.mark.parametrize("weight", ["weight_ih", "weight_hh"])
def test_it_begins_orthogonal_with_biases_of_0(weight):
    cell = GRU(6, 6).cell
    for part in getattr(cell, weight).chunk(3):
        torch.testing.assert_close(part @ part.T, torch.eye(6), rtol=0, atol=1e-5)
    assert not cell.bias_ih.any() and not cell.bias_hh.any()
