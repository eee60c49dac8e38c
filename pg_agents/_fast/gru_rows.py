"""A gated recurrent unit over the rows of a sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def run_cell(cell: nn.GRUCell, inputs: Tensor, hidden: Tensor, keep: Tensor) -> Tensor:
    """Return h' of every row, [T, B, H], in less than half the time of T cells.

    Products with W are of all rows at once, and the derivative is written out. Values, first and second derivatives are
    those of `plain_run_cell` but for rounding.

    Args:
        cell: W, b, U and c.
        inputs: x, [T, B, F].
        hidden: h before row 0, [B, H].
        keep: what h is multiplied by before each row, [T, B, 1].
    """
    gates = nn.functional.linear(inputs, cell.weight_ih, cell.bias_ih)
    return Recurrence.apply(gates, keep, hidden, cell.weight_hh, cell.bias_hh)


def plain_run_cell(cell: nn.GRUCell, inputs: Tensor, hidden: Tensor, keep: Tensor) -> Tensor:
    """Return h' of every row, [T, B, H], a cell at a time."""
    rows = []
    for x, k in zip(inputs, keep, strict=True):
        hidden = cell(x, hidden * k)
        rows.append(hidden)
    return torch.stack(rows)


class Recurrence(torch.autograd.Function):
    """What of a GRU goes from row to row, with its derivative written out.

    Only what needs the row before stays in the loops; sums over all rows are one product each. `backward` is made of
    differentiable operations on inputs and outputs, so that it can be differentiated once more.
    """

    @staticmethod
    def forward(gates: Tensor, keep: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return h' of every row, [T, B, H].

        Args:
            gates: W x + b of all rows, those of r, z and n side by side, [T, B, 3H].
            keep: what h is multiplied by before each row, [T, B, 1].
            hidden: h before row 0, [B, H].
            weight: U, [3H, H].
            bias: c, [3H].
        """
        size = hidden.shape[1]
        outputs = gates.new_empty(*gates.shape[:2], size)
        for x, k, out in zip(gates.unbind(), keep.unbind(), outputs.unbind(), strict=True):
            hidden = hidden * k
            x_rz, x_n = x.split_with_sizes((2 * size, size), 1)
            u_rz, u_n = torch.addmm(bias, hidden, weight.t()).split_with_sizes((2 * size, size), 1)
            r, z = torch.sigmoid_(x_rz + u_rz).chunk(2, 1)
            hidden = torch.lerp(torch.addcmul(x_n, r, u_n).tanh_(), hidden, z, out=out)
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ANN401
        """Keep inputs and output."""
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of gates, hidden, weight and bias."""
        gates, keep, hidden, weight, bias, outputs = ctx.saved_tensors
        size = hidden.shape[1]
        before = torch.cat([hidden[None], outputs[:-1]]) * keep  # h that each row began with
        x_rz, x_n = gates.split((2 * size, size), -1)
        u_rz, u_n = (before @ weight.t() + bias).split((2 * size, size), -1)
        rz = torch.sigmoid(x_rz + u_rz)
        r, z = rz.chunk(2, -1)
        n = torch.addcmul(x_n, r, u_n).tanh()
        slope = rz * (1 - rz)
        by_n = (1 - z) * (1 - n * n)  # ∂h'/∂(x_n + r u_n)
        by_u = torch.stack([by_n * u_n * slope[..., :size], (before - n) * slope[..., size:], by_n * r], 2)  # ∂h'/∂u
        towards = [grad[-1]]  # the gradient of each row's h', from the last row to the first
        rows = (tensor.unbind()[::-1] for tensor in (grad[:-1], by_u[1:], z[1:], keep[1:]))
        for above, u, stay, k in zip(*rows, strict=True):
            below = towards[-1] * k
            towards.append(torch.addmm(torch.addcmul(above, below, stay), (below[:, None] * u).flatten(1), weight))
        outer = torch.stack(towards[::-1])  # of h', [T, B, H]
        inner = (outer[:, :, None] * by_u).flatten(2)  # of u, [T, B, 3H]
        first = torch.addmm(outer[0] * z[0], inner[0], weight) * keep[0]
        of_gates = torch.cat([inner[..., : 2 * size], outer * by_n], -1)
        inner = inner.flatten(0, 1)
        return of_gates, None, first, inner.t() @ before.flatten(0, 1), inner.sum(0)
