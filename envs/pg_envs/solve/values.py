"""The functions `evaluate`, `occupancy` and `gains` of a process, and shortcuts to parts of their results."""

from __future__ import annotations

from typing import get_args

from numpy.typing import ArrayLike

from pg_envs.core.mdp import FloatArray, TabularMDP
from pg_envs.solve.chains import gain_and_bias, recurrent_classes
from pg_envs.solve.evaluation import Criterion, Values, evaluate_policy, occupancy_of_policy
from pg_envs.solve.optimal import optimal_gains, optimal_policy
from pg_envs.solve.policies import check_size, check_stationary_policy, induced

TOLERANCE = 1e-10


def evaluate(
    mdp: TabularMDP,
    policy: ArrayLike | None = None,
    criterion: Criterion = "discounted",
    *,
    discount: float | None = None,
    tolerance: float = TOLERANCE,
) -> Values:
    """Return V, Q, advantages, gain and objective of a policy, or of an optimal one, by solving linear equations.

    discounted   V(s) = E[Σ_t γ^t R_{t+1} | S_0 = s]                 J = Σ_s ρ(s) V(s)
    total        V(s) = E[Σ_{t<T} R_{t+1} | S_0 = s]                 J = Σ_s ρ(s) V(s)    T: when the episode ends
    average      V(s) = lim E[Σ_{t<n} R_{t+1} − λ | S_0 = s]         J = λ                Σ_s μ(s) V(s) = 0

    (for a periodic chain, the limit of the averages over n). The optimum is found by policy iteration;
    for the total criterion it is the best among the policies that end the episode with probability 1.

    Args:
        mdp: the decision process, of at most `MAX_STATES` states.
        policy: π, [S, A]; None: an optimal one, which the result contains.
        criterion: "discounted", "total" or "average".
        discount: γ < 1 of the discounted criterion; None: the process's own.
        tolerance: policy iteration ends when no action improves Q by more than tolerance · max(1, max |Q|). The
            error of optimal values is then at most that over 1 − γ, that of an optimal gain at most that.

    Raises:
        ValueError: a policy of a wrong shape, or without distributions; a discount that is not below 1; a policy under
            which an episode from the initial distribution may never end (total), or which has several recurrent
            classes (average); no such optimal policy; too many states.

    Reference: Puterman, "Markov Decision Processes", 1994, chapters 6 to 9.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    check_size(mdp)
    gamma = _discount(mdp, criterion, discount)
    return evaluate_policy(mdp, _policy(mdp, policy, criterion, gamma, tolerance), criterion, gamma)


def occupancy(
    mdp: TabularMDP,
    policy: ArrayLike | None = None,
    criterion: Criterion = "discounted",
    *,
    discount: float | None = None,
) -> FloatArray:
    """Return a policy's occupancy of each state, d(s), [S], so that J = Σ_s d(s) Σ_a π(a|s) r(s,a).

    discounted   d(s) = Σ_t γ^t P(S_t = s)    sums to 1/(1 − γ) where no episode ends
    total        d(s) = Σ_t P(S_t = s)        expected visits; sums to the expected length of an episode
    average      d(s) = lim (1/n) Σ_{t<n} P(S_t = s)    stationary distribution; sums to 1

    S_0 has the initial distribution. In terminal states d is 0 for the first two, since nothing is decided there. With
    this d the policy gradient is ∇J = Σ_s d(s) Σ_a Q(s,a) ∇π(a|s) under all three criteria.

    Arguments and errors are those of `evaluate`.

    Reference: Sutton, McAllester, Singh and Mansour, "Policy gradient methods", 2000.
    """
    check_size(mdp)
    gamma = _discount(mdp, criterion, discount)
    return occupancy_of_policy(mdp, _policy(mdp, policy, criterion, gamma, TOLERANCE), criterion, gamma)


def gains(mdp: TabularMDP, policy: ArrayLike | None = None) -> FloatArray:
    """Return the long-run average reward per step from every state, g(s) = lim (1/n) E[Σ_{t<n} R_{t+1} | S_0 = s], [S].

    It exists for every policy, also one with several recurrent classes. Without a policy it is the optimum, by
    multichain policy iteration. Errors are those of `evaluate`, except about recurrent classes.
    """
    check_size(mdp)
    if policy is None:
        return optimal_gains(mdp, TOLERANCE)[0]
    chain, rewards = induced(mdp, check_stationary_policy(mdp, policy))
    return gain_and_bias(chain, rewards, recurrent_classes(chain))[0]


def gain(mdp: TabularMDP, policy: ArrayLike | None = None) -> float:
    """Return the gain λ of a policy or the optimal gain, `evaluate(mdp, policy, "average").gain`."""
    return evaluate(mdp, policy, "average").gain


def total_values(mdp: TabularMDP, policy: ArrayLike | None = None) -> FloatArray:
    """Return the expected undiscounted reward until the episode ends, [S], `evaluate(mdp, policy, "total")`'s V."""
    return evaluate(mdp, policy, "total").state_values


def stationary_distribution(mdp: TabularMDP, policy: ArrayLike | None = None) -> FloatArray:
    """Return the long-run share of time spent in each state, [S], `occupancy(mdp, policy, "average")`."""
    return occupancy(mdp, policy, "average")


def _policy(
    mdp: TabularMDP, policy: ArrayLike | None, criterion: Criterion, discount: float, tolerance: float
) -> FloatArray:
    if policy is None:
        return optimal_policy(mdp, criterion, discount, tolerance)
    return check_stationary_policy(mdp, policy)


def _discount(mdp: TabularMDP, criterion: Criterion, discount: float | None) -> float:
    """Return γ, which is 1 except for the discounted criterion."""
    if criterion not in get_args(Criterion):
        raise ValueError(f"criterion must be one of {', '.join(get_args(Criterion))}, got {criterion!r}")
    if criterion != "discounted":
        if discount is not None:
            raise ValueError(
                f"discount is only for criterion='discounted', got {discount} with criterion={criterion!r}"
            )
        return 1.0
    gamma = float(mdp.discount if discount is None else discount)
    if not 0 <= gamma < 1:
        source = "the process's own" if discount is None else "got"
        raise ValueError(
            f"discount must lie in [0, 1) for criterion='discounted', {source} {gamma}: "
            "give one below 1, or use criterion='total' (episodes) or 'average' (continuing tasks)"
        )
    return gamma
