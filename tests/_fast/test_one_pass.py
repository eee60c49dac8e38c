"""Values that are computed once are those that are computed twice, and so are their derivatives."""

import pytest
import torch
from support.bugs import Bug, seeded
from torch import nn

import pg_agents as pg
from pg_agents._fast.one_pass import one_pass, plain_values_of, values_of
from pg_agents.agents.base import Agent


class Counting(nn.Module):
    """A critic that counts its passes."""

    def __init__(self):
        super().__init__()
        self.layer, self.passes = nn.Linear(3, 1), 0

    def forward(self, observations, memory=None, episode_starts=None):
        self.passes += 1
        return self.layer(observations).squeeze(-1)


def both(values, critic, observations):
    """Return the values without a gradient, those with one, and the gradient of the sum of their squares."""
    with one_pass(critic):
        with torch.no_grad():
            first = values(critic, observations, None, None)
        second = values(critic, observations, None, None)
        third = values(critic, observations, None, None)
        assert not first.requires_grad and second.requires_grad and third is not second
    return first, second.detach(), torch.autograd.grad(second.square().sum(), critic.layer.weight)


def test_one_pass_gives_the_values_and_the_gradient_of_two():
    torch.manual_seed(0)
    critic, observations = Counting(), torch.randn(5, 2, 3)
    torch.testing.assert_close(
        both(values_of, critic, observations), both(plain_values_of, critic, observations), rtol=0, atol=0
    )
    assert critic.passes == 2 + 3


def test_values_of_other_observations_and_after_the_context_are_computed():
    critic, observations = Counting(), torch.randn(5, 2, 3)
    with one_pass(critic):
        with torch.no_grad():
            values_of(critic, observations)
        other = values_of(critic, observations + 1)
        assert torch.equal(other, critic(observations + 1)) and other.requires_grad
    with torch.no_grad():
        values_of(critic, observations)
    assert values_of(critic, observations).requires_grad and critic.passes == 5


@pytest.mark.parametrize(
    ("name", "options", "passes"),
    [
        ("actor-critic", {}, 2),  # of observations, and of final ones
        ("a2c", {}, 2),
        ("a2c", {"num_learners": 2}, 2),
        ("reinforce-baseline", {}, 1),
        ("ppo", {"minibatch_size": None, "epochs": 3}, 2 + 2),
        ("ppo", {"minibatch_size": 4, "epochs": 1, "num_steps": 8}, 2 + 4),
        ("reinforce-baseline", {"micro_batch_size": 8}, None),
    ],
)
def test_agents_make_one_pass_of_a_whole_batch_and_learn_the_same(name, options, passes, monkeypatch):
    def learned():
        agent = pg.AGENTS[name].for_env("CartPole-v1", hidden=(8,), seed=0, **options)
        forward, counted = agent.critic.forward, []
        agent.critic.forward = lambda *inputs: counted.append(1) or forward(*inputs)
        whole = isinstance(agent.cadence, pg.EpisodeCadence)
        collect = pg.collect_episodes if whole else pg.collect_steps
        how = {} if whole else {"num_steps": agent.cadence.num_steps}
        rollouts = collect("CartPole-v1", agent.policy, num_envs=2, seed=0, **how)
        metrics = [agent.update(next(rollouts)) for _ in range(3)]
        assert not any("_kept" in key for key in vars(agent.critic))
        return metrics, agent.state_dict(), len(counted)

    found, parameters, counted = learned()
    assert passes is None or counted == 3 * passes
    monkeypatch.setattr(Agent, "values", lambda self, data: self.critic(data.observations))
    monkeypatch.setattr("pg_agents.policies.policy.values_of", plain_values_of)
    torch.testing.assert_close((found, parameters), learned()[:2], rtol=0, atol=0, equal_nan=True)


def kept_for_ever(critic, *inputs):
    kept = vars(critic).get("_kept")
    if not torch.is_grad_enabled():
        vars(critic)["_kept"] = inputs[0], plain_values_of(critic, *inputs)
    same = kept and kept[0] is inputs[0]
    return kept[1].clone().requires_grad_() if same else plain_values_of(critic, *inputs)


test_seeded_bugs = seeded(
    Bug(
        "values are kept when parameters have changed",
        values_of,
        kept_for_ever,
        [test_agents_make_one_pass_of_a_whole_batch_and_learn_the_same],
    )
)
