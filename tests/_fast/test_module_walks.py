"""Parameters that are known already are those that a walk through the modules finds."""

import pytest
from torch import nn

from pg_agents._fast.module_walks import Walk, parameters_of, plain_parameters_of


def modules():
    return [nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3))), nn.Linear(2, 1)]


def replace_a_parameter(network, critic):
    critic.weight = nn.Parameter(critic.weight.detach().clone())


def replace_a_part(network, critic):
    network[1][0] = nn.Linear(3, 3)


def add_a_part(network, critic):
    critic.more = nn.Linear(1, 1)


def add_a_parameter(network, critic):
    network[1].more = nn.Parameter(critic.weight.detach().clone())


def remove_a_part(network, critic):
    del network[1]


def swap_parts(network, critic):
    critic.one, critic.two = nn.Linear(1, 1), nn.Linear(1, 1)
    critic.one, critic.two = critic.two, critic.one


@pytest.mark.parametrize(
    "change", [replace_a_parameter, replace_a_part, add_a_part, add_a_parameter, remove_a_part, swap_parts]
)
def test_what_has_changed_is_found(change):
    some = modules()
    walk = Walk(some)
    known = parameters_of(walk)
    assert parameters_of(walk) is known  # without another walk
    change(*some)
    found, plain = parameters_of(walk), plain_parameters_of(walk)
    assert [[id(p) for p in group] for group in found] == [[id(p) for p in group] for group in plain]
    assert found is not known and parameters_of(walk) is found
