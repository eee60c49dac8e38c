"""Calls that cost little call the same."""

import torch
from support.bugs import Bug, seeded
from torch import nn
from torch.nn.utils import parametrizations

from pg_agents._fast.module_calls import call, hold_directly, plain_call


class Doubled(nn.Linear):
    def forward(self, features):
        return 2 * super().forward(features)


def test_only_plain_linear_layers_are_taken_apart():
    """Subclasses, computed weights, hooks and layers without a bias give what a call of torch's gives."""
    hooked = nn.Linear(3, 2)
    hooked.register_forward_hook(lambda module, inputs, output: output + 1)
    layers = [
        nn.Linear(3, 2),
        nn.Linear(3, 2, bias=False),
        Doubled(3, 2),
        parametrizations.weight_norm(nn.Linear(3, 2)),
        hooked,
        nn.Tanh(),
    ]
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for layer in layers:
        assert torch.equal(call(layer, features), plain_call(layer, features)), layer


def test_a_module_that_is_held_directly_is_the_same_module():
    """Also where another takes its place; what is saved and what learns does not change."""
    held = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    names, parameters = list(held.state_dict()), list(held.parameters())
    hold_directly(held, "one")
    assert "one" in vars(held) and held.one is held["one"]
    assert list(held.state_dict()) == names and list(held.parameters()) == parameters
    held.one = nn.Linear(2, 3)
    assert held.one is held["one"] and held.one.out_features == 3


def calls_every_linear_layer(module, *inputs, right=call):
    if isinstance(module, nn.Linear):
        return nn.functional.linear(*inputs, module.weight, module.bias)
    return right(module, *inputs)


test_seeded_bugs = seeded(
    Bug(
        "a linear layer of a subclass is taken for a plain one",
        call,
        calls_every_linear_layer,
        [test_only_plain_linear_layers_are_taken_apart],
    )
)
