"""Arrays and tensors on a device: pinned and not waited for on their way to a GPU, as they are elsewhere."""

import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents.data import devices
from pg_agents.data.devices import on_device
from pg_agents.data.token_block import TokenBlock

TREE = {
    "picture": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1].copy(),
    "both": (np.array([True, False]), torch.tensor([[1.5], [2.5]], dtype=torch.float64)),
    "none": np.zeros((0, 3), np.float32),
}


def test_on_the_processor_a_tree_keeps_form_dtypes_and_memory():
    found = on_device(TREE, "cpu")
    assert list(found) == list(TREE) and isinstance(found["both"], tuple)
    for one, given in ((found["picture"], TREE["picture"]), (found["both"][0], TREE["both"][0])):
        assert one.numpy().dtype == given.dtype and np.array_equal(one.numpy(), given)
        assert one.data_ptr() == given.ctypes.data
    assert found["both"][1] is TREE["both"][1] and found["none"].shape == (0, 3)


class Fetched:
    """A pinned buffer: what was copied into it, and how it was sent on."""

    def __init__(self, like):
        self.numbers = torch.zeros_like(like)

    def copy_(self, tensor):
        self.numbers.copy_(tensor)
        return self

    def to(self, target, non_blocking):
        assert target == torch.device("cuda") and non_blocking
        return self


class Elsewhere(torch.Tensor):
    """A tensor that says how it was sent on without a buffer."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.to:
            return "waited for", args[1]
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.fixture
def pinned(monkeypatch):
    """Return the buffers that were asked for; there may be no GPU, for which torch would make them."""
    found = []

    def empty_like(tensor, pin_memory):
        assert pin_memory
        found.append(Fetched(tensor))
        return found[-1]

    monkeypatch.setattr(torch, "empty_like", empty_like)
    return found


def test_what_goes_to_a_gpu_is_in_a_buffer_of_its_own(pinned):
    array = np.arange(6.0).reshape(2, 3)
    first, second = on_device({"a": array, "b": (torch.tensor([1, 2]),)}, "cuda").values()
    array[:] = -1  # as an environment does
    assert pinned == [first, *second]
    assert first.numbers.dtype == torch.float64 and first.numbers.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert second[0].numbers.tolist() == [1, 2] and second[0].numbers.dtype == torch.int64


@pytest.mark.parametrize("kind", ["to the processor", "large", "already pinned", "with a gradient", "empty"])
def test_what_needs_no_buffer_or_must_have_none_is_waited_for(kind, pinned, monkeypatch):
    tensor, target = torch.zeros(4, requires_grad=kind == "with a gradient"), torch.device("cuda")
    if kind == "to the processor":
        target = torch.device("cpu")
    elif kind == "large":
        monkeypatch.setattr(devices, "MOST", 15)
    elif kind == "already pinned":
        monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: True)
    elif kind == "empty":
        tensor = torch.zeros(0)
    sent = tensor.as_subclass(Elsewhere) if kind != "with a gradient" else tensor
    if kind == "with a gradient":
        assert not devices._goes_to_gpu(sent, target)
    else:
        assert on_device(sent, target) == ("waited for", target)
    assert pinned == []


def test_a_block_of_tokens_takes_the_same_way(pinned):
    block = TokenBlock(torch.tensor([[1, 2]]), torch.tensor([[2]]), torch.tensor([[True]]))
    found = block.to("cuda")
    assert {found.tokens, found.lengths, found.mask} == set(pinned) and block.to("cpu").tokens is block.tokens


def _in_place(tensor, target):
    """The array itself is pinned, and fetched from while the environment overwrites it."""
    buffer = Fetched(tensor)
    buffer.numbers = tensor
    return buffer


test_seeded_bugs = seeded(
    Bug("no buffer of its own", devices._fetched, _in_place, [test_what_goes_to_a_gpu_is_in_a_buffer_of_its_own]),
    Bug(
        "all is pinned",
        devices._goes_to_gpu,
        lambda tensor, target: True,
        [test_what_needs_no_buffer_or_must_have_none_is_waited_for],
    ),
)
