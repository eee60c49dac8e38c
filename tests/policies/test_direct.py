"""Calls that cost little call the same."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from pg_agents.policies.direct import call


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
        assert torch.equal(call(layer, features), layer(features)), layer
