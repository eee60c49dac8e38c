"""Tables, encoders and MLPs: what each makes of its observations."""

import copy
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Text, Tuple
from support.bugs import Bug, seeded

from pg_agents.distributions import Categorical, DiagonalGaussian
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import (
    Encoder,
    MLPCritic,
    MLPPolicy,
    TabularCritic,
    TabularPolicy,
    TransformerCritic,
    TransformerPolicy,
    encoder,
    make_networks,
)
from pg_agents.policies.stacking import Stack


def test_table_looks_up_its_state():
    policy = TabularPolicy(3, 2, start=5)
    policy.logits.data[0] = torch.tensor([[0.0, 0.0], [0.0, 3.0**0.5], [1.0, 0.0]])
    states = torch.tensor([[5, 6], [7, 7]])
    expected = policy.logits[0][[0, 1, 2, 2]].softmax(-1).reshape(2, 2, 2)
    torch.testing.assert_close(policy(states).probabilities(), expected)
    assert policy.probabilities().shape == (1, 3, 2)
    assert float(policy.probabilities()[0, 0, 0]) == 0.5


def ending(states, learners):
    """Return what a critic needs of a rollout of 3 environments of each learner, which ends in these states."""
    rows = torch.tensor([[0, 3 * learner] for learner in learners])
    shape = torch.zeros(4, 3 * (max(learners) + 1))
    return SimpleNamespace(final_observations=torch.tensor(states), final_rows=rows, rewards=shape)


def test_tables_of_several_learners_keep_to_their_columns():
    """Learner b's table holds 10·b + s for state s."""
    critic = TabularCritic(3, num_learners=2, start=1)
    critic.values.data = torch.tensor([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])
    assert critic(torch.tensor([[1, 1], [3, 2]])).tolist() == [[0, 10], [2, 11]]
    assert critic(torch.tensor([2, 3])).tolist() == [1, 12]
    assert critic.of_final_observations(ending([3, 1, 2], learners=[1, 1, 0])).tolist() == [12, 10, 1]
    policy = TabularPolicy(3, 2, num_learners=2, start=1)
    policy.logits.data[1, 2] = torch.tensor([0.0, 50.0])
    assert policy(torch.tensor([[3, 3], [2, 2]])).mode().tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("steps", [1, 4])
def test_final_observations_of_several_learners_are_categories_that_there_are(steps):
    """Also in columns without any, of which the first category is 3."""
    critics = [MLPCritic(Discrete(4, start=3), hidden=(4,)) for _ in range(2)]
    rollout = ending([3, 6, 5], learners=[1, 1, 0])
    rollout.rewards, rollout.final_rows[1, 1] = rollout.rewards[:steps], 4
    expected = [critics[learner](torch.tensor(state)) for state, learner in ((3, 1), (6, 1), (5, 0))]
    torch.testing.assert_close(Stack()(critics).of_final_observations(rollout), torch.stack(expected))


def test_tables_of_one_state_broadcast_over_time():
    critic = TabularCritic(1, num_learners=3)
    critic.values.data = torch.tensor([[1.0], [2.0], [3.0]])
    states = torch.zeros(4, 3, dtype=torch.int64)
    assert critic(states).tolist() == [[1, 2, 3]] * 4
    assert critic.of_final_observations(ending([0, 0], learners=[2, 0])).tolist() == [3, 1]
    policy = TabularPolicy(1, 2, num_learners=3)
    policy.logits.data[1, 0] = torch.tensor([0.0, 9.0])
    assert policy(states).mode().tolist() == [[0, 1, 0]] * 4


@pytest.mark.parametrize(
    ("space", "observation", "features"),
    [
        (Box(-1, 1, (3,)), [0.5, -1, 0], [0.5, -1, 0]),
        (Box(-1, 1, (2, 2)), [[1, 2], [3, 4]], [1, 2, 3, 4]),
        (Box(-1, 1, ()), 0.25, [0.25]),
        (Box(0, 4, (2,), np.uint8), np.array([1, 4], np.uint8), [0.25, 1]),
        (Discrete(3), 2, [0, 0, 1]),
        (Discrete(3, start=-1), -1, [1, 0, 0]),
        (MultiBinary(3), np.array([1, 0, 1], np.int8), [1, 0, 1]),
        (MultiBinary((2, 2)), np.array([[1, 0], [0, 1]], np.int8), [1, 0, 0, 1]),
        (MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (MultiDiscrete([2, 3], start=[4, 7]), [5, 9], [0, 1, 0, 0, 1]),
        (MultiDiscrete([[2, 2], [2, 3]]), [[1, 0], [0, 2]], [0, 1, 1, 0, 1, 0, 0, 0, 1]),
        (Dict(a=Box(-1, 1, (2,)), b=Discrete(2)), {"b": 1, "a": [0.5, 0.25]}, [0.5, 0.25, 0, 1]),
        (Dict(outer=Dict(inner=Discrete(2)), x=Box(-1, 1, ())), {"outer": {"inner": 0}, "x": 2.0}, [1, 0, 2]),
        (Tuple([Discrete(2), Box(-1, 1, (2,))]), (1, [0.5, 0.25]), [0, 1, 0.5, 0.25]),
        (Tuple([Dict(a=Tuple([Discrete(2)])), Box(-1, 1, ())]), ({"a": (0,)}, 2.0), [1, 0, 2]),
        (Dict({"items": Discrete(2), "a.b": Box(-1, 1, (1,))}), {"items": 1, "a.b": [3.0]}, [3, 0, 1]),
    ],
)
def test_features_by_hand(space, observation, features):
    """Features of one observation, and of [T, B] of them: the leading dimensions stay."""
    encoder = Encoder(space)
    tensor = _tensors(observation)
    assert encoder.size == len(features)
    assert encoder(tensor).tolist() == features and encoder(tensor).dtype == torch.float32
    stacked = _map(lambda leaf: leaf.expand(2, 3, *leaf.shape), tensor)
    assert encoder(stacked).tolist() == [[features] * 3] * 2


def _map(function, tree):
    if isinstance(tree, tuple):
        return tuple(_map(function, value) for value in tree)
    return {key: _map(function, value) for key, value in tree.items()} if isinstance(tree, dict) else function(tree)


def _tensors(tree):
    return _map(torch.as_tensor, tree)


@pytest.mark.parametrize(
    "space",
    [Text(5), Graph(Box(-1, 1, (2,)), None), gym.spaces.Sequence(Discrete(2))],
)
def test_spaces_without_a_network_are_named_with_the_way_out(space):
    for make in (Encoder, MLPCritic, lambda s: make_networks(s, Discrete(2), critic=True)):
        with pytest.raises(UnsupportedSpaceError) as error:
            make(space)
        assert str(space) in str(error.value) and "policy=..." in str(error.value)
    with pytest.raises(UnsupportedSpaceError, match="observation space Text"):
        Encoder(Dict(words=Text(5), x=Box(-1, 1, (2,))))  # the part is named
    for actions in (space, Dict(a=Discrete(2)), Tuple([Discrete(2), Discrete(3)])):
        for make in (MLPPolicy, lambda o, a: make_networks(o, a, critic=True)):
            with pytest.raises(UnsupportedSpaceError) as error:
                make(Box(-1, 1, (2,)), actions)
            assert str(actions) in str(error.value) and "written as one MultiDiscrete" in str(error.value)


def test_a_mask_is_no_feature():
    """Beside the observation it may be anything: what is encoded is the same."""
    encoder = Encoder(Dict(observation=Box(-1, 1, (2,)), action_mask=MultiBinary(3)))
    assert encoder.size == 2
    for mask in (torch.zeros(1, 3), torch.ones(1, 3)):
        features = encoder({"observation": torch.tensor([[0.5, -0.25]]), "action_mask": mask})
        assert features.tolist() == [[0.5, -0.25]]


def test_mlp_is_affine_tanh_affine():
    torch.manual_seed(0)
    critic = MLPCritic(Box(-1, 1, (3,)), hidden=(4,))
    first, last = critic.network
    x = torch.randn(5, 2, 3)
    expected = torch.tanh(x @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(critic(x), expected[..., 0])
    torch.testing.assert_close(first.weight.T @ first.weight, 2 * torch.eye(3), atol=1e-5, rtol=0)  # orthogonal, √2


def test_mlp_policies_of_discrete_and_box_actions():
    x = torch.randn(6, 4, 3)
    discrete = MLPPolicy(Box(-1, 1, (3,)), Discrete(5, start=2), hidden=())(x)
    assert isinstance(discrete, Categorical) and discrete.logits.shape == (6, 4, 5)
    assert float((discrete.probabilities() - 0.2).abs().max()) < 0.02  # nearly uniform at the start: gain 0.01
    policy = MLPPolicy(Box(-1, 1, (3,)), Box(-1, 1, (2, 2)), initial_log_std=-0.5)
    box = policy(x)
    assert isinstance(box, DiagonalGaussian) and box.mean.shape == (6, 4, 4)
    assert torch.equal(box.log_std, torch.full((4,), -0.5)) and policy.head.log_std.shape == (4,)
    assert MLPPolicy(Box(-1, 1, (3,)), Box(-1, 1, ()))(x).mean.shape == (6, 4, 1)
    mixed = MLPPolicy(Dict(x=Box(-1, 1, (2,)), n=Discrete(3)), Discrete(2))
    assert mixed({"x": torch.zeros(6, 4, 2), "n": torch.ones(6, 4).long()}).logits.shape == (6, 4, 2)


def test_mlps_can_be_float64():
    policy, critic = make_networks(Box(-1, 1, (3,)), Discrete(2), critic=True)
    x = torch.randn(4, 3)
    assert policy.double()(x).logits.dtype == torch.float64
    assert critic.double()(x).dtype == torch.float64


def test_submodules_within_reach_are_those_of_the_module():
    """Copies have their own; one that is put in place of another is used; names of parameters stay as they are."""
    policy, _ = make_networks(Box(-1, 1, (3,)), Discrete(2), critic=False)
    other, x = copy.deepcopy(policy), torch.randn(4, 3)
    names = [f"network.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")]
    assert list(policy.state_dict()) == names == [name for name, _ in policy.named_parameters()]
    with torch.no_grad():
        other.network[-1].bias += torch.tensor([0.0, 5.0])
    assert other.network is other._modules["network"] is not policy.network
    assert float(other(x).logits[0, 1]) > -0.1 and float(policy(x).logits[0, 1]) < -0.5
    policy.network = other.network
    assert torch.equal(policy(x).logits, other(x).logits)
    swapped = {name: torch.zeros_like(value) for name, value in policy.named_parameters()}
    assert torch.func.functional_call(policy, swapped, (x,)).logits.exp().tolist() == [[0.5, 0.5]] * 4


def test_networks_suit_their_spaces():
    tokens = Dict(tokens=Box(0, 5, (8,), np.int64), length=Discrete(9))
    table = make_networks(Discrete(3, start=1), Discrete(2), critic=True)
    assert [type(network) for network in table] == [TabularPolicy, TabularCritic]
    assert table[0].start == table[1].start == 1
    text = make_networks(tokens, Discrete(6), critic=True)
    assert [type(network) for network in text] == [TransformerPolicy, TransformerCritic]
    assert make_networks(tokens, Discrete(6), critic=False)[1] is None
    dense = make_networks(Discrete(3), Discrete(2), critic=True, hidden=(4,))
    assert [type(network) for network in dense] == [MLPPolicy, MLPCritic]
    learners = make_networks(Discrete(3), Discrete(2), critic=True, num_learners=4)
    assert learners[0].logits.shape == (4, 3, 2) and learners[1].values.shape == (4, 3)


def test_bounded_actions_start_in_the_middle_of_their_box():
    """100 … 200: mean 150, σ 50; without bounds mean 0, σ 1."""
    space = Box(np.array([100, -np.inf], np.float32), np.array([200, np.inf], np.float32))
    policy = MLPPolicy(Box(-1, 1, (3,)), space)
    distribution = policy(torch.zeros(3))
    mean = policy.unscale_action(distribution.mode())
    torch.testing.assert_close(mean, torch.tensor([150.0, 0.0]).double(), atol=1.0, rtol=0)
    off = policy.unscale_action(distribution.mode() + distribution.log_std.exp()) - mean
    torch.testing.assert_close(off, torch.tensor([50.0, 1.0]).double())


def test_hooks_of_every_part_are_called():
    policy = MLPPolicy(Box(-1, 1, (3,)), Discrete(2))
    seen = []
    for part in (policy.encoder, policy.network, policy.network[0], policy.network[2], policy.head):
        part.register_forward_hook(lambda module, inputs, output: seen.append(module))
    policy(torch.zeros(4, 3))
    assert seen == [policy.encoder, policy.network[0], policy.network[2], policy.network, policy.head]


def test_layers_may_be_replaced_and_parametrised():
    policy = MLPPolicy(Box(-1, 1, (3,)), Discrete(2), hidden=(8,))
    policy.network[1] = torch.nn.Linear(8, 2)
    torch.nn.init.constant_(policy.network[1].bias, 3.0)
    torch.nn.utils.parametrizations.weight_norm(policy.network[0])
    assert (policy(torch.zeros(4, 3)).unnormalized - 3).abs().max() < 1e-6


test_seeded_bugs = seeded(
    Bug("the mask is a feature", (encoder, "without_mask"), lambda space: space, [test_a_mask_is_no_feature]),
)
