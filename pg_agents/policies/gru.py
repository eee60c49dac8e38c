"""The gated recurrent unit over whole sequences that restart where episodes begin."""

from __future__ import annotations

from torch import Tensor, nn

from pg_agents._fast.gru_rows import run_cell


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
