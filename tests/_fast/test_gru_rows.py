"""All rows at once are cells one after the other, with their derivatives."""

import pytest
import torch
from support.bugs import Bug, seeded, with_arguments
from torch import nn

from pg_agents._fast.gru_rows import Recurrence, plain_run_cell, run_cell


def case(length=5, envs=3, inputs=2, size=4):
    torch.manual_seed(length)
    cell = nn.GRUCell(inputs, size).double()
    x, h = torch.randn(length, envs, inputs).double(), torch.randn(envs, size).double()
    keep = (torch.rand(length, envs, 1) < 0.7).double()
    return cell, x.requires_grad_(), h.requires_grad_(), keep


@pytest.mark.parametrize("length", [1, 2, 7])
def test_values_and_derivatives_are_those_of_cells(length):
    """In float64 within 1e-12, the second derivative too."""
    cell, x, h, keep = case(length)
    upstream = torch.randn(length, 3, 4).double()
    leaves, found = (x, h, *cell.parameters()), []
    for form in (run_cell, plain_run_cell):
        rows = form(cell, x, h, keep)
        first = torch.autograd.grad((upstream * rows).sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), leaves)
        found.append((rows, *first, *second))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_first_and_second_derivatives_by_differences():
    cell, x, h, keep = case(length=4, envs=2, size=3)
    gates = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).detach().requires_grad_()
    arguments = (gates, keep, h, cell.weight_hh, cell.bias_hh)
    assert torch.autograd.gradcheck(Recurrence.apply, arguments)
    assert torch.autograd.gradgradcheck(Recurrence.apply, arguments)


test_seeded_bugs = seeded(
    Bug(
        "a row begins with the memory of the episode before",
        run_cell,
        with_arguments(run_cell, keep=torch.ones_like),
        [test_values_and_derivatives_are_those_of_cells],
    ),
)
