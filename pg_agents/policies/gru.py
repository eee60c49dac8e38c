"""The gated recurrent unit over whole sequences that restart where episodes begin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pg_agents._fast.gru_rows import run_cell
from pg_agents.data.learners import learner_first, learner_last
from pg_agents.policies.layers import together


class GRU(nn.Module):
    """A layer of gated recurrent units, with orthogonal matrices and biases of 0 before training.

        r = σ(W_r x + b_r + U_r h + c_r),   z = σ(W_z x + b_z + U_z h + c_z)
        n = tanh(W_n x + b_n + r ∘ (U_n h + c_n)),   h' = n + z ∘ (h − n)

    Args:
        inputs: F, the size of x.
        size: H, the size of h.

    Reference: Cho et al. (2014), in the variant of `torch.nn.GRU`, where r multiplies U_n h + c_n.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.cell = nn.GRUCell(inputs, size)
        for weight in (*self.cell.weight_ih.chunk(3), *self.cell.weight_hh.chunk(3)):
            nn.init.orthogonal_(weight)
        nn.init.zeros_(self.cell.bias_ih)
        nn.init.zeros_(self.cell.bias_hh)

    def step(self, inputs: Tensor, hidden: Tensor | None) -> Tensor:
        """Return h' [B, H] for inputs [B, F] and h [B, H]; None stands for zeros."""
        return self.cell(inputs, hidden)

    def forward(self, inputs: Tensor, hidden: Tensor | None = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return h' of every row, [T, B, H].

        Args:
            inputs: x, [T, B, F].
            hidden: h before row 0, [B, H]; None: zeros.
            episode_starts: rows before which h is set to 0, bool [T, B]; None: none.
        """
        cell, shape = self.cell, inputs.shape[:2]
        if hidden is None:
            hidden = inputs.new_zeros(shape[1], self.size)
        keep = inputs.new_ones(*shape, 1) if episode_starts is None else (~episode_starts)[..., None].to(inputs.dtype)
        return run_cell(cell, inputs, hidden, keep)

    @staticmethod
    def stacked(layers: Sequence[GRU]) -> StackedGRU:
        """Return the layers of several learners as one."""
        return StackedGRU(layers)


class StackedGRU(nn.Module):
    """A `GRU` of each of L learners, whose columns stand side by side.

    Args:
        layers: of the learners, of equal sizes.
    """

    def __init__(self, layers: Sequence[GRU]) -> None:
        super().__init__()
        self.size, self.num_learners = layers[0].size, len(layers)
        self.cell = StackedCell([layer.cell for layer in layers])

    def step(self, inputs: Tensor, hidden: Tensor | None) -> Tensor:
        """Return h' [L · b, H] for inputs [L · b, F] and h [L · b, H]; None stands for zeros."""
        return self(inputs[None], hidden)[0]

    def forward(self, inputs: Tensor, hidden: Tensor | None = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return h' of every row, [T, L · b, H]; arguments as of `GRU.forward`."""
        gates = learner_last(self.cell.of_inputs(learner_first(inputs, self.num_learners)), inputs)
        gates = gates.unflatten(1, (self.num_learners, -1))  # [T, L, b, 3H]
        h = gates.new_zeros(*gates.shape[1:3], self.size) if hidden is None else hidden.view(*gates.shape[1:3], -1)
        rows = []
        for t, x in enumerate(gates.unbind()):
            if episode_starts is not None:
                h = h * (~episode_starts[t]).to(h.dtype).view(*h.shape[:2], 1)
            h = self.cell(x, h)
            rows.append(h.flatten(0, 1))
        return torch.stack(rows)


class StackedCell(nn.Module):
    """A `torch.nn.GRUCell` of each of L learners.

    Args:
        cells: of the learners, of equal sizes.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, cells: Sequence[nn.GRUCell]) -> None:
        super().__init__()
        for name, parts in together(cells):
            self.register_parameter(name, nn.Parameter(torch.stack(parts)))

    def of_inputs(self, inputs: Tensor) -> Tensor:
        """Return W x + b, [L, n, 3H], for inputs [L, n, F]."""
        return torch.baddbmm(self.bias_ih[:, None], inputs, self.weight_ih.mT)

    def forward(self, gates: Tensor, hidden: Tensor) -> Tensor:
        """Return h' [L, b, H] for W x + b, [L, b, 3H], and h."""
        size = hidden.shape[-1]
        x_rz, x_n = gates.split_with_sizes((2 * size, size), -1)
        u_rz, u_n = torch.baddbmm(self.bias_hh[:, None], hidden, self.weight_hh.mT).split_with_sizes(
            (2 * size, size), -1
        )
        r, z = torch.sigmoid(x_rz + u_rz).chunk(2, -1)
        return torch.lerp(torch.addcmul(x_n, r, u_n).tanh(), hidden, z)
