"""Values along a rollout, by hand."""

import torch
from hand_made import rollout

from pg_agents.agents.signals import state_values
from pg_agents.policies import TabularCritic


def test_state_values_by_hand():
    """States 0, 1, 2 are worth 10, 20, 30; the row after is worth what its state is, wherever the episode goes on."""
    record = rollout([(0, 0, 1, ""), (1, 0, 1, ""), (2, 0, 1, "T")])
    critic = TabularCritic(3)
    with torch.no_grad():
        critic.values.copy_(torch.tensor([[10.0, 20.0, 30.0]]))
        values, next_values = state_values(critic, record)
    assert values.squeeze(1).tolist() == [10, 20, 30]
    assert next_values.squeeze(1).tolist()[:2] == [20, 30]
