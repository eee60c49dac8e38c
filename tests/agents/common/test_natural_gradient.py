"""Natural gradients: Fisher matrices in closed form, linear systems with known solutions, lengths of steps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from support.bugs import Bug, seeded, with_arguments, with_result
from torch import nn

from pg_agents.agents.common.natural_gradient import (
    Fisher,
    MeanKL,
    assign,
    conjugate_gradient,
    flatten,
    learned,
    line_search,
    natural_step,
)
from pg_agents.data.rollout import Batch
from pg_agents.distributions import Categorical
from pg_agents.functional.divergences import kl_divergence
from pg_agents.policies import GRUPolicy, MLPPolicy, TabularPolicy, TransformerPolicy

F64 = torch.float64


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def batch_of(observations, weights, actions=None):
    """Return a batch of which only states and weights are looked at."""
    zeros = torch.zeros_like(weights)
    actions = torch.zeros(weights.shape, dtype=torch.int64) if actions is None else actions
    return Batch(observations=observations, actions=actions, weights=weights, advantages=zeros, log_probs=zeros)


def matrix(policy, batch):
    """Return F, column by column, [P, P]."""
    product = Fisher(MeanKL(policy, batch))
    size = sum(parameter.numel() for parameter in policy.parameters())
    return torch.stack([product(column) for column in torch.eye(size, dtype=F64)], 1)


def tabular(states=3, actions=4, scale=2.0):
    policy = TabularPolicy(states, actions).double()
    policy.logits.data.copy_(scale * randn(1, states, actions, seed=7))
    return policy


VISITS = batch_of(
    torch.tensor([[0, 2], [0, 0], [2, 1]]), torch.tensor([[0.1, 0.2], [0.3, 0.15], [0.25, 0.0]], dtype=F64)
)


# -- Fisher-vector products --------------------------------------------------------------------------------------------
def test_the_fisher_matrix_of_a_softmax_table_is_its_closed_form():
    """diag(π) − π πᵀ for each state, times the weight of its visits: 0.55, 0 (visited with weight 0) and 0.45."""
    policy = tabular()
    expected = [
        weight * (torch.diag(pi) - torch.outer(pi, pi))
        for weight, pi in zip((0.55, 0.0, 0.45), policy.probabilities()[0], strict=True)
    ]
    torch.testing.assert_close(matrix(policy, VISITS), torch.block_diag(*expected), rtol=0, atol=1e-14)


def test_the_fisher_matrix_of_a_linear_gaussian_is_its_closed_form():
    """μ = W x + b, σ of its own: Σ w x̃x̃ᵀ/σ_i² for row i of (W b), 2 for each ln σ, nothing between them."""
    policy = MLPPolicy(Box(-9, 9, (3,)), Box(-np.inf, np.inf, (2,)), hidden=()).double()
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            parameter.copy_(0.5 * randn(*parameter.shape, seed=len(name)))
    names = [name for name, _ in policy.named_parameters()]
    log_std = next(p for name, p in policy.named_parameters() if name.endswith("log_std")).detach()
    seen, weights = randn(5, 2, 3), torch.full((5, 2), 0.1, dtype=F64)
    inputs = torch.cat([seen, torch.ones(5, 2, 1, dtype=F64)], -1).reshape(10, 4)
    of_row = 0.1 * inputs.T @ inputs
    places = {name: i for i, name in enumerate(names)}
    order = torch.cat([torch.full((p.numel(),), places[name]) for name, p in policy.named_parameters()])
    found = matrix(policy, batch_of(seen, weights))
    [weight] = [places[name] for name in names if name.endswith("weight")]
    [bias] = [places[name] for name in names if name.endswith("bias")]
    [std] = [places[name] for name in names if name.endswith("log_std")]
    for i in range(2):
        row = torch.cat([(order == weight).nonzero().flatten()[3 * i : 3 * i + 3], (order == bias).nonzero()[i]])
        block = found[row][:, row]
        torch.testing.assert_close(block, of_row * (-2 * log_std[i]).exp(), rtol=0, atol=1e-13)
        found[row[:, None], row] = 0
    rest = torch.diag(2.0 * (order == std).double())
    torch.testing.assert_close(found, rest, rtol=0, atol=1e-13)


def scores(policy, observation, actions):
    """Return ∇ ln π(a|s), [N, P], and π(a|s), [N], of all actions in one state."""
    log_probs = torch.stack([policy(observation).log_prob(action[None]).squeeze() for action in actions])
    parameters = list(policy.parameters())
    rows = [torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True) for one in log_probs]
    return torch.stack([flatten(row) for row in rows]), log_probs.detach().exp()


def by_enumeration(policy, states, weights, actions):
    """Return Σ_t w_t Σ_a π(a|S_t) ∇ ln π ∇ ln πᵀ."""
    total = 0.0
    for state, weight in zip(states, weights, strict=True):
        rows, chances = scores(policy, state, actions)
        total += weight * torch.einsum("a,ai,aj->ij", chances, rows, rows)
    return total


ACTIONS = {
    "discrete": (Discrete(3), torch.arange(3)),
    "several": (MultiDiscrete([3, 2]), torch.cartesian_prod(torch.arange(3), torch.arange(2))),
    "bits": (MultiBinary(2), torch.cartesian_prod(torch.arange(2), torch.arange(2))),
}


@pytest.mark.parametrize("kind", ACTIONS)
def test_the_fisher_matrix_of_a_network_is_the_expectation_over_all_actions(kind):
    space, actions = ACTIONS[kind]
    torch.manual_seed(0)
    policy = MLPPolicy(Box(-9, 9, (2,)), space, hidden=(3,)).double()
    for parameter in policy.parameters():
        nn.init.normal_(parameter)
    seen = randn(4, 1, 2)
    expected = by_enumeration(policy, seen, torch.full((4,), 0.25, dtype=F64), actions)
    taken = actions[:1].expand(4, 1, *actions.shape[1:])
    found = matrix(policy, batch_of(seen, torch.full((4, 1), 0.25, dtype=F64), taken))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert float(expected.diagonal().max()) > 0.1


def test_attention_is_differentiated_twice():
    torch.manual_seed(0)
    policy = TransformerPolicy(3, 4, width=4, layers=1, heads=2).double()
    nn.init.normal_(policy.head.weight)
    tokens = {"tokens": torch.tensor([[[0, 2, 1, 0]], [[1, 1, 0, 0]]]), "length": torch.tensor([[3], [2]])}
    states = [{key: leaf[i] for key, leaf in tokens.items()} for i in range(2)]
    expected = by_enumeration(policy, states, torch.tensor([0.5, 0.5], dtype=F64), torch.arange(3))
    found = matrix(policy, batch_of(tokens, torch.full((2, 1), 0.5, dtype=F64)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_memory_is_differentiated_twice():
    """The states of a sequence are what was seen so far: the last row of each beginning of it, enumerated."""
    torch.manual_seed(0)
    policy = GRUPolicy(Box(-9, 9, (2,)), Discrete(3), size=3).double()
    for parameter in policy.parameters():
        nn.init.normal_(parameter)
    seen, episode_starts = randn(3, 1, 2), torch.tensor([[True], [False], [False]])
    weights = torch.tensor([[0.2], [0.3], [0.5]], dtype=F64)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = policy

        def forward(self, rows):
            return Categorical(self.policy(seen[:rows], None, episode_starts[:rows]).logits[-1])

    expected = by_enumeration(Last(), (1, 2, 3), weights.flatten(), torch.arange(3))
    found = matrix(policy, replace(batch_of(seen, weights), episode_starts=episode_starts))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert float(expected.diagonal().max()) > 0.01


def test_the_divergence_is_from_the_policy_as_it_was():
    """A table moved by s: Σ w KL(π_old‖π_new); from the new policy it would be another number."""
    policy = tabular()
    old = policy.probabilities()[0].clone()
    divergence = MeanKL(policy, VISITS)
    assert float(divergence().detach()) == pytest.approx(0, abs=1e-15)
    policy.logits.data += randn(1, 3, 4, seed=3)
    new = policy.probabilities()[0]
    forward, backward = ((p * (p / q).log()).sum(-1) for p, q in ((old, new), (new, old)))
    weights = torch.tensor([0.55, 0.0, 0.45], dtype=F64)
    assert float(divergence().detach()) == pytest.approx(float(weights @ forward), abs=1e-14)
    assert abs(float(weights @ (forward - backward))) > 0.01
    assert divergence().requires_grad


# -- conjugate gradients -----------------------------------------------------------------------------------------------
def positive(size, rank, seed=0):
    root = randn(size, rank, seed=seed)
    return root @ root.T


def test_as_many_iterations_as_unknowns_solve_the_system():
    system, target = positive(8, 12), randn(8, seed=1)
    solution, residual = conjugate_gradient(lambda v: system @ v, target, 8, tolerance=1e-12)
    torch.testing.assert_close(solution, torch.linalg.solve(system, target), rtol=1e-8, atol=1e-8)
    assert float(residual) < 1e-8


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_it_stops_once_the_residual_is_small_enough_and_says_how_small(tolerance):
    system, target, products = positive(40, 80), randn(40, seed=1), []

    def product(v):
        products.append(v)
        return system @ v

    solution, residual = conjugate_gradient(product, target, 1000, tolerance=tolerance)
    true = float((target - system @ solution).norm() / target.norm())
    assert true <= tolerance * 1.001 and float(residual) == pytest.approx(true, rel=1e-3)
    assert 1 < len(products) < 60
    few, left = conjugate_gradient(product, target, 3, tolerance=tolerance)
    assert float(left) == pytest.approx(float((target - system @ few).norm() / target.norm()), rel=1e-9)


def test_a_singular_system_has_its_shortest_solution():
    system = positive(9, 4)
    target = system @ randn(9, seed=2)
    solution, residual = conjugate_gradient(lambda v: system @ v, target, 20)
    torch.testing.assert_close(solution, torch.linalg.pinv(system) @ target, rtol=1e-6, atol=1e-6)
    assert float(residual) < 1e-5


def test_nothing_is_solved_for_nothing():
    solution, residual = conjugate_gradient(lambda v: 0 * v, torch.zeros(3), 5)
    assert solution.tolist() == [0, 0, 0] and float(residual) == 0
    solution, residual = conjugate_gradient(lambda v: 0 * v, torch.ones(3), 5)  # no curvature, no step
    assert solution.tolist() == [0, 0, 0] and float(residual) == 1


# -- steps of a given divergence ---------------------------------------------------------------------------------------
def test_a_step_is_as_long_as_the_divergence_allows():
    fisher, gradient = positive(6, 9), randn(6, seed=1)
    step, _ = natural_step(lambda v: fisher @ v, gradient, max_kl=0.03, damping=0.0, iterations=20)
    assert float(0.5 * step @ fisher @ step) == pytest.approx(0.03, rel=1e-8)
    newton = torch.linalg.solve(fisher, gradient)
    torch.testing.assert_close(step / step.norm(), newton / newton.norm(), rtol=0, atol=1e-6)
    assert float(step @ gradient) > 0
    others = randn(1000, 6, seed=5)  # of the same divergence; none goes further up
    others *= (0.06 / torch.einsum("ni,ij,nj->n", others, fisher, others)).sqrt()[:, None]
    assert float((others @ gradient).max()) < float(step @ gradient)


def test_damping_shortens_the_step():
    fisher, gradient = positive(6, 3), randn(6, seed=1)
    step, _ = natural_step(lambda v: fisher @ v, gradient, max_kl=0.03, damping=0.5, iterations=20)
    assert float(0.5 * step @ (fisher @ step + 0.5 * step)) == pytest.approx(0.03, rel=1e-8)
    assert float(0.5 * step @ fisher @ step) < 0.03 and float(step.norm()) <= math.sqrt(2 * 0.03 / 0.5)
    direction = torch.linalg.solve(fisher + 0.5 * torch.eye(6, dtype=F64), gradient)
    torch.testing.assert_close(step / step.norm(), direction / direction.norm(), rtol=0, atol=1e-6)


def test_no_gradient_no_step():
    step, _ = natural_step(lambda v: v, torch.zeros(4), max_kl=0.01, damping=0.1, iterations=10)
    assert step.tolist() == [0, 0, 0, 0]


def test_the_divergence_of_the_step_is_delta_to_second_order():
    """KL(π_old‖π_new)/δ − 1 falls as √δ: tenfold for a hundredth of δ."""
    errors = []
    for max_kl in (1e-4, 1e-6, 1e-8):
        policy = tabular()
        divergence = MeanKL(policy, VISITS)
        step, _ = natural_step(Fisher(divergence), _a_score(policy), max_kl, damping=0.0, iterations=50)
        parameters = learned(policy)
        assign(parameters, flatten(parameters) + step)
        errors.append(float(divergence().detach()) / max_kl - 1)
    assert abs(errors[0]) < 0.06
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1) and errors[2] == pytest.approx(errors[1] / 10, rel=0.1)


def _a_score(policy):
    """Return a gradient in the range of F: Σ w Ψ ∇ ln π of some actions."""
    log_probs = policy(VISITS.observations).log_prob(torch.tensor([[1, 3], [0, 2], [1, 0]]))
    loss = (VISITS.weights * randn(3, 2, seed=4) * log_probs).sum()
    return flatten(torch.autograd.grad(loss, learned(policy)))


# -- line search -------------------------------------------------------------------------------------------------------
def parameters_of():
    return [nn.Parameter(torch.tensor([1 / 3, 0.1])), nn.Parameter(torch.tensor([[0.7], [1e-8]]))]


def search(measure, trials=4):
    parameters = parameters_of()
    before = [parameter.detach().clone() for parameter in parameters]
    found = line_search(parameters, torch.ones(4), lambda: measure(parameters), 0.01, 0.5, trials)
    return parameters, before, found


def numbers(improvement, kl):
    return torch.tensor(improvement), torch.tensor(kl)


def test_the_first_step_that_is_better_and_near_enough_is_taken():
    """Trials at 1, ½, ¼, …: worse; better but too far; better and at δ exactly."""
    answers = iter([numbers(-1.0, 0.001), numbers(1.0, 0.02), numbers(2.0, 0.01), numbers(3.0, 0.0)])
    parameters, before, (fraction, improvement, kl) = search(lambda _: next(answers))
    assert fraction == 0.25 and float(improvement) == 2.0 and float(kl) == pytest.approx(0.01)
    for new, old in zip(parameters, before, strict=True):
        torch.testing.assert_close(new.detach(), old + 0.25, rtol=0, atol=1e-7)


REFUSED = {
    "no better": numbers(0.0, 0.0),
    "worse": numbers(-1e-9, 0.0),
    "too far": numbers(1.0, 0.0101),
    "nan": numbers(math.nan, 0.0),
    "nan kl": numbers(1.0, math.nan),
    "inf kl": numbers(1.0, math.inf),
}


@pytest.mark.parametrize("answer", REFUSED)
def test_where_no_step_is_taken_the_parameters_are_what_they_were(answer):
    seen = []

    def measure(parameters):
        seen.append(parameters[0][0].item())
        return REFUSED[answer]

    parameters, before, found = search(measure)
    assert [float(x) for x in found] == [0, 0, 0]
    np.testing.assert_allclose(seen, [1 / 3 + f for f in (1, 0.5, 0.25, 0.125)], rtol=1e-6)
    assert all(torch.equal(new, old) for new, old in zip(parameters, before, strict=True))


def test_an_error_in_the_search_leaves_the_parameters_as_they_were():
    parameters = parameters_of()
    before = [parameter.detach().clone() for parameter in parameters]

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line_search(parameters, torch.ones(4), fails, 0.01, 0.5, 4)
    assert all(torch.equal(new, old) for new, old in zip(parameters, before, strict=True))


def test_parameters_are_changed_in_place_and_seen_to_be():
    """Caches of what was computed from them go by the version of the tensors."""
    parameters = parameters_of()
    places, versions = [p.data_ptr() for p in parameters], [p._version for p in parameters]
    assign(parameters, torch.arange(4.0))
    assert flatten(parameters).tolist() == [0, 1, 2, 3] and parameters[1].shape == (2, 1)
    assert places == [p.data_ptr() for p in parameters]
    assert all(p._version > version for p, version in zip(parameters, versions, strict=True))


def of_the_new_policy(divergence, policy, batch, right=MeanKL.__init__):
    right(divergence, policy, batch)
    divergence.old = policy(*divergence.seen)


def steepest(product, target, iterations, tolerance=1e-5, right=conjugate_gradient):
    solution = torch.zeros_like(target)
    for _ in range(iterations):
        solution = solution + right(product, target - product(solution), 1)[0]
    return solution, (target - product(solution)).norm() / target.norm()


def refused_and_left(parameters, step, measure, max_kl, backtrack, trials, right=line_search):
    before = flatten(parameters)
    found = right(parameters, step, measure, max_kl, backtrack, trials)
    if not found[0]:
        assign(parameters, before + backtrack ** (trials - 1) * step)
    return found


test_seeded_bugs = seeded(
    Bug(
        "what the old policy holds moves with the new one",
        MeanKL.__init__,
        of_the_new_policy,
        [test_the_fisher_matrix_of_a_linear_gaussian_is_its_closed_form],
    ),
    Bug(
        "the divergence is from the new policy to the old one",
        MeanKL.__call__,
        lambda self: (self.weights * kl_divergence(self.policy(*self.seen), self.old)).sum(),
        [test_the_divergence_is_from_the_policy_as_it_was],
    ),
    Bug(
        "conjugate gradients forget the direction before",
        conjugate_gradient,
        steepest,
        [test_as_many_iterations_as_unknowns_solve_the_system],
    ),
    Bug(
        "the step is as long as if the divergence were the whole square",
        natural_step,
        with_result(natural_step, lambda found: (0.5**0.5 * found[0], found[1])),
        [test_the_divergence_of_the_step_is_delta_to_second_order],
    ),
    Bug(
        "a step out of the trust region is taken",
        line_search,
        with_arguments(line_search, max_kl=lambda max_kl: math.inf),
        [test_the_first_step_that_is_better_and_near_enough_is_taken],
    ),
    Bug(
        "a step that was refused stays",
        line_search,
        refused_and_left,
        [test_where_no_step_is_taken_the_parameters_are_what_they_were],
    ),
)
