"""Values and occupancies of a given policy under each of the three criteria."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pg_envs.core.mdp import FloatArray, TabularMDP
from pg_envs.solve.chains import (
    BoolArray,
    IntArray,
    can_reach,
    gain_and_bias,
    generator,
    reachable,
    recurrent_classes,
    stationary,
)
from pg_envs.solve.horizon import action_values
from pg_envs.solve.policies import induced, name_states

Criterion = Literal["discounted", "total", "average"]


@dataclass(frozen=True, eq=False)
class Values:
    """The values, the gain and the objective of a policy.

    Q(s,a) = r(s,a) − λ + γ Σ_s' P(s'|s,a) V(s'),   V(s) = Σ_a π(a|s) Q(s,a),   A(s,a) = Q(s,a) − V(s)

    γ = 1 except for the discounted criterion, λ = 0 except for the average one. NaN marks undefined values; they occur
    only in states that the policy never reaches, and for actions that it never takes.

    Attributes:
        criterion: "discounted", "total" or "average".
        discount: γ.
        policy: π, [S, A].
        state_values: V, [S]; for the average criterion relative values, with mean 0 over the stationary distribution.
        action_values: Q, [S, A].
        gain: λ, the average reward per step.
        objective: J, which the criterion maximises: λ, or V averaged over the initial distribution.
    """

    criterion: Criterion
    discount: float
    policy: FloatArray
    state_values: FloatArray
    action_values: FloatArray
    gain: float
    objective: float

    @property
    def advantages(self) -> FloatArray:
        """A(s,a) = Q(s,a) − V(s), [S, A]."""
        return self.action_values - self.state_values[:, None]


def evaluate_policy(mdp: TabularMDP, policy: FloatArray, criterion: Criterion, discount: float) -> Values:
    """Return the values of a checked policy [S, A]; `discount` is 1 except for the discounted criterion."""
    chain, rewards = induced(mdp, policy)
    gain = 0.0
    if criterion == "discounted":
        values = np.linalg.solve(np.eye(mdp.num_states) - discount * chain, rewards).astype(np.float64)
    elif criterion == "total":
        values = _total(mdp, chain, rewards)
    else:
        gain, values = _relative(mdp, chain, rewards)
    starts = mdp.initial > 0
    objective = gain if criterion == "average" else float(mdp.initial[starts] @ values[starts])
    q_values = action_values(mdp, values, discount) - gain
    return Values(criterion, discount, policy, values, q_values, gain, objective)


def occupancy_of_policy(mdp: TabularMDP, policy: FloatArray, criterion: Criterion, discount: float) -> FloatArray:
    """Return the occupancy, [S], of a checked policy; see `occupancy`."""
    chain, _ = induced(mdp, policy)
    found = np.zeros(mdp.num_states)
    if criterion == "average":
        members = single_class(mdp, chain)[0]
        found[members] = stationary(chain[np.ix_(members, members)])
        return found
    if criterion == "total":
        _ending(mdp, chain)
        matrix = generator(chain)
    else:
        matrix = np.eye(mdp.num_states) - discount * chain
    inside = reachable(chain > 0, mdp.initial > 0) & ~mdp.terminal
    found[inside] = np.maximum(np.linalg.solve(matrix[np.ix_(inside, inside)].T, mdp.initial[inside]), 0.0)
    return found


def single_class(mdp: TabularMDP, chain: FloatArray) -> tuple[IntArray, list[IntArray]]:
    """Return the only recurrent class reached from the initial distribution, and all recurrent classes.

    Raises:
        ValueError: several classes are reached.
    """
    classes = recurrent_classes(chain)
    visited = reachable(chain > 0, mdp.initial > 0)
    reached = [members for members in classes if visited[members[0]]]
    if len(reached) > 1:
        named = ", ".join(map(name_states, reached[:4])) + (f", … {len(reached)} classes" if len(reached) > 4 else "")
        ends = all(mdp.terminal[members].all() for members in reached)
        way_out = "these are the ends of episodes, use criterion='total'" if ends else _MULTICHAIN_WAY_OUT
        raise ValueError(
            f"policy is multichain: the states it stays in for ever fall into separate recurrent classes {named}, "
            f"all reached from the initial distribution, so that there is no single gain: {way_out}"
        )
    return reached[0], classes


_MULTICHAIN_WAY_OUT = (
    "use solve.gains, a gain for every state, criterion='discounted', a policy that gives every action some "
    "probability, or an initial distribution that leads to one class"
)


def _total(mdp: TabularMDP, chain: FloatArray, rewards: FloatArray) -> FloatArray:
    """Return V with V = r_π + P_π V, 0 in terminal states, [S]; NaN where the episode may never end."""
    defined = _ending(mdp, chain)
    inside = defined & ~mdp.terminal
    values = np.where(defined, 0.0, np.nan)
    values[inside] = np.linalg.solve(generator(chain)[np.ix_(inside, inside)], rewards[inside])
    return values


def _ending(mdp: TabularMDP, chain: FloatArray) -> BoolArray:
    """Return the states from which the episode ends with probability 1; raise if it does not from the start."""
    if not mdp.terminal.any():
        raise ValueError(
            "mdp has no terminal state, so that rewards add up for ever: use criterion='average' or 'discounted', "
            "or a horizon (finite_horizon_values)"
        )
    endless = ~can_reach(chain > 0, mdp.terminal)
    lost = endless & reachable(chain > 0, mdp.initial > 0)
    if lost.any():
        raise ValueError(
            f"policy may never end the episode: it leads to state {lost.argmax()}, from where it reaches no terminal "
            "state, so that the total reward is not defined: give every action some probability, or use "
            "criterion='discounted' or a horizon (finite_horizon_values)"
        )
    return ~can_reach(chain > 0, endless)


def _relative(mdp: TabularMDP, chain: FloatArray, rewards: FloatArray) -> tuple[float, FloatArray]:
    """Return λ and the relative values, [S]; NaN in states from which another recurrent class is reached."""
    members, classes = single_class(mdp, chain)
    gain, bias = gain_and_bias(chain, rewards, classes)
    others = np.zeros(mdp.num_states, bool)
    for other in classes:
        others[other] = other[0] != members[0]
    return float(gain[members[0]]), np.where(can_reach(chain > 0, others), np.nan, bias)
