"""The hyperbolic tangent of many numbers is that of few."""

import pytest
import torch
from support.bugs import Bug, seeded, with_result

from pg_agents._fast.logistic_tanh import WORTH_A_LOGISTIC, _less_one, plain_tanh, tanh


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_of_many_is_torch_s_within_rounding(dtype):
    x = torch.linspace(-40, 40, 2 * WORTH_A_LOGISTIC, dtype=dtype)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(tanh(x.clone()), plain_tanh(x.clone()), rtol=0, atol=2 * eps)
    assert not tanh(torch.zeros(WORTH_A_LOGISTIC, dtype=dtype)).any()


def test_extremes():
    ones = torch.ones(WORTH_A_LOGISTIC)
    assert torch.equal(tanh(ones * torch.inf), ones) and torch.equal(tanh(-ones * torch.inf), -ones)
    assert tanh(ones * torch.nan).isnan().all()


def test_it_is_the_same_with_and_without_a_gradient():
    x = torch.linspace(-40, 40, 2 * WORTH_A_LOGISTIC)
    assert torch.equal(tanh(x.clone()), tanh(x.clone().requires_grad_().clone()))


@pytest.mark.parametrize("count", [WORTH_A_LOGISTIC - 1, WORTH_A_LOGISTIC])
def test_first_and_second_derivatives(count):
    torch.manual_seed(0)
    x = torch.randn(count, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(count, dtype=torch.float64)
    (first,) = torch.autograd.grad((weights * tanh(x.clone())).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    y = x.detach().tanh()
    torch.testing.assert_close(first.detach(), weights * (1 - y**2), rtol=0, atol=1e-14)
    torch.testing.assert_close(second, -2 * y * weights * (1 - y**2), rtol=0, atol=1e-14)


def test_it_can_be_batched_by_torch_func():
    x = torch.randn(3, WORTH_A_LOGISTIC)
    gradient = torch.func.vmap(torch.func.grad(lambda row: tanh(row * 1.0).sum()))(x)
    torch.testing.assert_close(gradient, 1 - x.tanh() ** 2)


test_seeded_bugs = seeded(
    Bug(
        "the fast tanh is a logistic function",
        _less_one,
        with_result(_less_one, lambda output: (output + 1) / 2),
        [test_tanh_of_many_is_torch_s_within_rounding],
    )
)
