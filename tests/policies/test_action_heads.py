"""Heads: what each makes of a network's outputs, a mask, and the bounds of a box."""

import itertools
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from support.bugs import Bug, seeded, with_result

from pg_agents.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    SquashedGaussian,
)
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import MLPPolicy, TabularPolicy, make_head, make_networks
from pg_agents.policies.action_heads import allow
from pg_agents.policies.box_heads import BoxHead
from pg_agents.spaces.conversion import to_env_action

INF = math.inf


@pytest.mark.parametrize(
    ("space", "outputs", "kind", "action"),
    [
        (Discrete(4, start=3), 4, Categorical, ()),
        (MultiDiscrete([2, 3, 4]), 9, MultiCategorical, (3,)),
        (MultiDiscrete([[2, 2], [2, 2]]), 8, MultiCategorical, (4,)),
        (MultiBinary((2, 3)), 6, Bernoulli, (6,)),
        (Box(-1, 1, (2, 2)), 4, DiagonalGaussian, (4,)),
        (Box(-np.inf, np.inf, ()), 1, DiagonalGaussian, (1,)),
    ],
)
def test_outputs_distributions_and_actions_that_the_environment_takes(space, outputs, kind, action):
    head = make_head(space)
    assert head.outputs == outputs
    distribution = head(torch.randn(5, 7, outputs))
    assert isinstance(distribution, kind)
    sample = distribution.sample(torch.Generator().manual_seed(0))
    assert sample.shape == (5, 7, *action) == distribution.mode().shape
    assert distribution.log_prob(sample).shape == distribution.entropy().shape == (5, 7)
    assert all(space.contains(action) for action in to_env_action(space)(head.unscale_action(sample[0])))


def test_outputs_of_multi_discrete_stand_side_by_side():
    """nvec 2, 3: outputs 0–1 are the first choice's, 2–4 the second's."""
    outputs = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).log()
    distribution = make_head(MultiDiscrete([2, 3]))(outputs)
    assert distribution.mode().tolist() == [1, 2]
    assert float(distribution.log_prob(torch.tensor([1, 0]))) == pytest.approx(math.log(2 / 9), abs=1e-6)
    regular = make_head(MultiDiscrete([[2, 2]]))(torch.tensor([1.0, 3.0, 3.0, 1.0]).log())
    assert float(regular.log_prob(torch.tensor([0, 0]))) == pytest.approx(math.log(3 / 16), abs=1e-6)


def test_masked_multi_discrete_actions_have_probability_zero_and_the_rest_sum_to_one():
    """nvec 2, 3 with the mask 1 0 | 0 1 1: only (0, 1) and (0, 2) are left, in the ratio of their logits, e : e³."""
    outputs = torch.tensor([0.0, 5.0, 9.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    distribution = make_head(MultiDiscrete([2, 3]))(outputs, torch.tensor([1, 0, 0, 1, 1], dtype=torch.int8))
    every = list(itertools.product(range(2), range(3)))
    probabilities = {action: distribution.log_prob(torch.tensor(action)).exp().item() for action in every}
    p = 1 / (1 + math.exp(2))
    assert probabilities == pytest.approx({a: 0.0 for a in every} | {(0, 1): p, (0, 2): 1 - p}, abs=1e-12)
    expected = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert float(distribution.entropy()) == pytest.approx(expected, abs=1e-12)
    (distribution.log_prob(torch.tensor([0, 1])) + distribution.entropy()).backward()
    assert (outputs.grad[:3] == 0).all() and (outputs.grad[3:] != 0).all()


@pytest.mark.parametrize("counts", [[3, 3], [2, 3, 4]])
def test_a_choice_of_which_all_is_masked_is_free_and_the_others_are_not(counts):
    """The first choice is masked to its last option, the second altogether."""
    head, outputs = make_head(MultiDiscrete(counts)), torch.randn(1, sum(counts))
    mask = torch.ones(1, sum(counts), dtype=torch.bool)
    mask[:, : counts[0] - 1] = False
    mask[:, counts[0] : counts[0] + counts[1]] = False
    masked, free = head(outputs, mask), head(outputs)
    assert torch.equal(masked.each.logits[:, 1:], free.each.logits[:, 1:])
    assert masked.each.probabilities()[0, 0].tolist() == [0] * (counts[0] - 1) + [1] + [0] * (max(counts) - counts[0])
    assert torch.isfinite(masked.entropy()).all()


def test_allow_by_hand():
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    mask = torch.tensor([[1, 0], [0, 0], [1, 1]], dtype=torch.int8)
    assert allow(logits, mask).tolist() == [[1, -INF], [3, 4], [5, 6]]
    assert allow(logits, None) is logits


def test_masked_bits_stay_zero():
    distribution = make_head(MultiBinary(3))(torch.full((1000, 3), 9.0), torch.tensor([True, False, True]))
    assert (distribution.sample(torch.Generator().manual_seed(0))[:, 1] == 0).all()
    assert torch.isfinite(distribution.entropy()).all()
    nothing = make_head(MultiBinary(3))(torch.full((1, 3), 9.0), torch.zeros(1, 3))
    assert nothing.mode().tolist() == [[0, 0, 0]] and nothing.log_prob(torch.zeros(1, 3)).tolist() == [0]


@pytest.mark.parametrize("policy", ["mlp", "table"])
def test_policies_heed_the_mask_beside_the_observation_and_do_without(policy):
    states = torch.tensor([0, 1, 1])
    mask = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=torch.int8)
    pi = TabularPolicy(2, 3) if policy == "table" else MLPPolicy(Discrete(2), Discrete(3, start=7))
    probabilities = pi({"observation": states, "action_mask": mask}).probabilities()
    free = pi(states).probabilities()
    assert (probabilities[0, 1], probabilities[1].tolist()) == (0, [0, 1, 0])
    torch.testing.assert_close(probabilities[2], free[2])
    torch.testing.assert_close(probabilities[0, 0], free[0, 0] / (free[0, 0] + free[0, 2]))
    assert (free > 0.1).all()


def test_bounds_are_the_middle_and_half_the_width():
    """1 … 5: c = 3, s = 2; without bounds, with one, or where both are equal: 0 and 1 but for the middle."""
    space = Box(np.array([1, -np.inf, 0, 4], np.float32), np.array([5, np.inf, np.inf, 4], np.float32))
    head = make_head(space, initial_log_std=-1.0)
    distribution = head(torch.tensor([0.5, 0.5, 0.5, 0.5]))
    assert head.unscale_action(distribution.mode()).tolist() == [4, 0.5, 0.5, 4.5]
    assert head.unscale_action(distribution.mode() + distribution.log_std.exp()).tolist() == pytest.approx(
        [4 + 2 / math.e, *[0.5 + 1 / math.e] * 2, 4.5 + 1 / math.e]
    )
    whole = make_head(Box(0, 255, (2, 1), np.uint8))
    assert whole.unscale_action(torch.tensor([0.0, 1.0])).tolist() == [127.5, 255]
    endless = make_head(Box(-np.inf, np.inf, (1,), np.int64))
    assert endless(torch.ones(1)).mean.tolist() == endless.unscale_action(torch.ones(1)).tolist() == [1]


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (1.0, 5.0), (-1.0, 1.0)])
def test_densities_are_those_of_the_environments_actions(bounds):
    """Of c + s a, where a ~ N(μ, σ²): N(c + s μ, s² σ²), its log-probabilities and its entropy."""
    head, outputs = make_head(Box(*bounds, (2,)), initial_log_std=-0.5), torch.tensor([[0.3, -0.6], [0.0, 2.0]])
    distribution = head(outputs)
    taken = distribution.sample(torch.Generator().manual_seed(0))
    scale = (bounds[1] - bounds[0]) / 2
    normal = torch.distributions.Normal(head.unscale_action(outputs), torch.tensor(scale * math.exp(-0.5)))
    expected = normal.log_prob(head.unscale_action(taken)).sum(-1).float()
    torch.testing.assert_close(distribution.log_prob(taken), expected)
    torch.testing.assert_close(distribution.entropy(), normal.entropy().sum(-1).float())
    stacked = DiagonalGaussian.stack([distribution, distribution])
    torch.testing.assert_close(stacked.log_prob(torch.stack([taken, taken])), torch.stack([expected, expected]))


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1e8, 1e8 + 1), (1.7e9, 1.7e9 + 60)])
def test_actions_far_from_zero_keep_their_digits(low, high, squash):
    space = Box(low, high, (1,), np.float64)
    head = make_head(space, squash=squash, initial_log_std=-1.0)
    drawn = head(torch.zeros(500, 1)).sample(torch.Generator().manual_seed(0))
    taken, near = (
        to_env_action(s)(make_head(s, squash=squash).unscale_action(drawn)) for s in (space, Box(0, 1, (1,)))
    )
    assert taken.dtype == np.float64 and (taken >= low).all() and (taken <= high).all()
    np.testing.assert_allclose((taken - low) / (high - low), near, rtol=0, atol=1e-6)
    assert len(np.unique(taken)) > 480


@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 3e38), (np.float64, 1.7e308), (np.int64, 2**63 - 1)])
def test_boxes_as_wide_as_numbers_go_are_acted_in(dtype, large):
    space = Box(-large, large, (2,), dtype)
    for squash in (False, True):
        head = make_head(space, squash=squash)
        distribution = head(torch.zeros(200, 2))
        drawn = distribution.sample(torch.Generator().manual_seed(0))
        taken = to_env_action(space)(head.unscale_action(drawn))
        assert all(space.contains(action) for action in taken)
        assert len(np.unique(taken)) > 200 and (taken > 0).mean() == pytest.approx(0.5, abs=0.1)
        assert distribution.log_prob(drawn).isfinite().all() and distribution.entropy().isfinite().all()


def test_squashed_actions_leave_as_points_of_the_box():
    """−1 … 3: c = 1, s = 2, a = 1 + 2 tanh u; ln π(a) has −ln 2 in it."""
    head = make_head(Box(-1, 3, (2,)), squash=True, initial_log_std=0.5)
    distribution = head(torch.zeros(2))
    assert isinstance(distribution, SquashedGaussian)
    u = torch.tensor([[0.0, 100.0], [-100.0, 0.5]])
    points = torch.tensor([[1.0, 3.0], [-1.0, 1 + 2 * math.tanh(0.5)]], dtype=torch.float64)
    torch.testing.assert_close(head.unscale_action(u), points)
    expected = 2 * (-0.5 * math.log(2 * math.pi) - 0.5 - math.log(2))
    assert float(distribution.log_prob(torch.zeros(2))) == pytest.approx(expected, abs=1e-5)
    policy, _ = make_networks(Box(-1, 1, (3,)), Box(-1, 3, (2,)), critic=False, squash=True)
    torch.testing.assert_close(policy.unscale_action(u), head.unscale_action(u))


def test_options_that_do_not_fit_the_actions_are_refused():
    with pytest.raises(UnsupportedSpaceError, match="squash=True needs a Box with bounds on all sides, got Box"):
        make_head(Box(np.array([-1, 0]), np.array([1, np.inf])), squash=True)
    for space in (Discrete(2), MultiDiscrete([2]), MultiBinary(2)):
        with pytest.raises(ValueError, match="squash is for Box actions"):
            make_head(space, squash=True)
        with pytest.raises(ValueError, match="initial_log_std is for Box actions"):
            make_networks(Discrete(2), space, critic=True, initial_log_std=-1.0)
    for squash in (False, True):
        with pytest.raises(ValueError, match="action_mask: Box actions have no mask"):
            make_head(Box(-1, 1, (2,)), squash=squash)(torch.zeros(2), torch.ones(2))


@pytest.mark.parametrize(
    ("mask", "actions", "words"),
    [
        (MultiBinary(2), Discrete(3), r"a MultiBinary\(3\)"),
        (Box(0, 1, (2, 3), np.int8), MultiDiscrete([3, 3]), r"a MultiBinary\(6\)"),
        (Discrete(3), Discrete(3), r"a MultiBinary\(3\)"),
        (MultiBinary(2), Box(-1, 1, (2,)), "which have none; give it another name"),
    ],
)
def test_masks_in_the_observation_that_do_not_fit_are_refused(mask, actions, words):
    with pytest.raises(UnsupportedSpaceError, match=words):
        make_networks(Dict(observation=Box(-1, 1, (2,)), action_mask=mask), actions, critic=True)
    with pytest.raises(UnsupportedSpaceError, match=words):
        make_networks(Dict(observation=Discrete(2), action_mask=mask), actions, critic=True)


def test_network_options():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for name, activation in (("relu", torch.relu), ("tanh", torch.tanh), (None, torch.tanh)):
        for network in make_networks(Box(-1, 1, (3,)), Discrete(2), critic=True, activation=name, hidden=(5,)):
            first, last = (module for module in network.network.modules() if isinstance(module, torch.nn.Linear))
            torch.testing.assert_close(network.network(x), last(activation(first(x))))
    assert isinstance(make_networks(Discrete(3), Discrete(2), critic=True, activation="tanh")[0], MLPPolicy)
    with pytest.raises(ValueError, match="activation must be one of tanh, relu, or None, got 'gelu'"):
        make_networks(Box(-1, 1, (3,)), Discrete(2), critic=True, activation="gelu")
    tokens = Dict(tokens=Box(0, 5, (8,), np.int64), length=Discrete(9))
    with pytest.raises(ValueError, match="activation must be left out for windows of tokens"):
        make_networks(tokens, Discrete(6), critic=True, activation="relu")


def half_as_wide_as_the_difference(self, space, initial_log_std=0.0, right=BoxHead.__init__):
    right(self, space, initial_log_std)
    self.scale = torch.from_numpy((space.high.astype(np.float64) - space.low.astype(np.float64)).ravel() / 2)


test_seeded_bugs = seeded(
    Bug(
        "actions are placed in their box in 32 bits",
        BoxHead.place,
        with_result(BoxHead.place, torch.Tensor.float),
        [test_actions_far_from_zero_keep_their_digits],
    ),
    Bug(
        "the width of a box overflows",
        BoxHead.__init__,
        half_as_wide_as_the_difference,
        [test_boxes_as_wide_as_numbers_go_are_acted_in],
    ),
    Bug("a mask is not heeded", allow, lambda logits, mask: logits, [test_allow_by_hand]),
    Bug(
        "a row in which all is masked has no distribution",
        allow,
        lambda logits, mask: logits if mask is None else torch.where(mask.bool(), logits, -torch.inf),
        [test_a_choice_of_which_all_is_masked_is_free_and_the_others_are_not],
    ),
)
