"""Many small parameters laid out as one vector, of which they are views."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout")  # of rows of a matrix: in place
LARGE = 2**20  # parameters; from there on the arithmetic takes longer than the calls
WHOLE = 16  # rows are whole multiples of what a processor computes at once: each rounds alike by itself and with others


def lay_out(members: list[nn.Parameter], num_learners: int = 1) -> dict[Tensor, list[nn.Parameter]]:
    """Return the vectors that an optimizer is to see instead of `members`, and which of them lie in each, in order.

    The parameters become views of a vector and their gradients views of another. What is done to all of them is then
    one operation instead of one for each, and those calls are most of what a step costs a small network. More than
    `LARGE` stay as they are. Steps are those of `plain_lay_out` but for the order of the sum in the gradient's norm.

    Args:
        members: parameters of one dtype, device and age (steps taken).
        num_learners: L. Several learners have a matrix with a row each, [L, P].
    """
    large = num_learners == 1 and sum(member.numel() for member in members) > LARGE
    return plain_lay_out(members) if large else in_one_vector(members, num_learners)


def in_one_vector(members: list[nn.Parameter], num_learners: int = 1) -> dict[Tensor, list[nn.Parameter]]:
    """Return one vector, or a matrix with a row for each of several learners, of which parameters have become views."""
    return {(_vector_of(members) if num_learners == 1 else _matrix_of(members, num_learners)): members}


def plain_lay_out(members: list[nn.Parameter], num_learners: int = 1) -> dict[Tensor, list[nn.Parameter]]:
    """Return the parameters as they are, each the only one in its place."""
    return {member: [member] for member in members}


@torch.no_grad()
def _vector_of(members: list[nn.Parameter]) -> Tensor:
    """Return one vector of all entries; parameters and gradients become views of it and of its gradient."""
    vector = torch.cat([member.reshape(-1) for member in members])
    vector.grad = torch.zeros_like(vector)
    sizes = [member.numel() for member in members]
    for member, part, grad in zip(members, vector.split(sizes), vector.grad.split(sizes), strict=True):
        member.data, member.grad = part.view_as(member), grad.view_as(member)
    return vector


@torch.no_grad()
def _matrix_of(members: list[nn.Parameter], num_learners: int) -> Tensor:
    """Return the entries of parameters [L, …] as a matrix [L, P]; parameters and gradients become views.

    P is a multiple of `WHOLE`: zeros follow, whose gradients are 0.
    """
    matrix = _with_zeros(torch.cat([member.reshape(num_learners, -1) for member in members], 1))
    matrix.grad = torch.zeros_like(matrix)
    for member, part, grad in zip(members, _columns(matrix, members), _columns(matrix.grad, members), strict=True):
        member.data, member.grad = part.unflatten(1, member.shape[1:]), grad.unflatten(1, member.shape[1:])
    return matrix


def _with_zeros(matrix: Tensor) -> Tensor:
    return nn.functional.pad(matrix, (0, -matrix.shape[1] % WHOLE))


def _columns(matrix: Tensor, members: Sequence[Tensor]) -> list[Tensor]:
    """Return the part of a matrix [L, P] that is each member's."""
    sizes = [member.numel() // len(matrix) for member in members]
    return list(matrix[:, : sum(sizes)].split(sizes, 1))


def part_moment(vector: Tensor, value: Any, members: Sequence[Tensor]) -> list[Any]:  # noqa: ANN401
    """Return what an optimizer remembers of a vector as what it remembers of each of its members.

    What is no moment (the count of steps) is everybody's.
    """
    if not isinstance(value, Tensor) or value.shape != vector.shape:
        return [value] * len(members)
    if vector is not members[0] and vector.ndim == 2:
        return _columns(value, members)
    return list(value.reshape(-1).split([member.numel() for member in members]))


def join_state(vector: Tensor, parts: Sequence[dict[str, Any]], members: Sequence[Tensor]) -> dict[str, Any]:
    """Return what an optimizer is to remember of a vector from what it remembered of its members."""
    return {key: _joined(vector, key, [part[key] for part in parts], members) for key in parts[0]}


def _joined(vector: Tensor, key: str, parts: list[Any], members: Sequence[Tensor]) -> Any:  # noqa: ANN401
    if not isinstance(parts[0], Tensor):
        return parts[0]
    if key == "step":
        return parts[0].clone().to(vector.device)
    if vector is not members[0] and vector.ndim == 2:
        return _with_zeros(torch.cat([part.reshape(len(vector), -1) for part in parts], 1).to(vector))
    return torch.cat([part.reshape(-1) for part in parts]).to(vector).view_as(vector)
