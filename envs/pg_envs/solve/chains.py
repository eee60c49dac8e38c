"""Finite Markov chains: reachable states, recurrent classes, stationary distributions, gains and biases.

A chain is its matrix P(s'|s), [S, S]. Sets of states are booleans [S].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pg_envs.core.mdp import FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def distances(edges: BoolArray, sources: BoolArray) -> IntArray:
    """Return the number of steps along `edges` [S, S] from the nearest of `sources`, [S]; −1 where no path leads."""
    found = np.where(sources, 0, -1)
    frontier, step = sources, 0
    while frontier.any():
        step += 1
        frontier = edges[frontier].any(0) & (found < 0)
        found[frontier] = step
    return found


def reachable(edges: BoolArray, sources: BoolArray) -> BoolArray:
    """Return the states to which a path along `edges` [S, S] leads from `sources`; the sources are included."""
    return distances(edges, sources) >= 0


def can_reach(edges: BoolArray, targets: BoolArray) -> BoolArray:
    """Return the states from which a path along `edges` [S, S] leads into `targets`; the targets are included."""
    return reachable(edges.T, targets)


def recurrent_classes(chain: FloatArray) -> list[IntArray]:
    """Return the closed sets of states that reach one another, each sorted; a chain with one such set is unichain.

    From any state, walk on to the farthest state that does not lead back, until there is none: the states reachable
    then form a class, and all states that lead to it are settled (Puterman, 1994, appendix A).
    """
    edges = chain > 0
    unsettled = np.ones(len(chain), bool)
    classes = []
    while unsettled.any():
        state = int(unsettled.argmax())
        while True:
            ahead = distances(edges, _only(state, len(chain)))
            behind = can_reach(edges, _only(state, len(chain)))
            astray = np.where(behind, -1, ahead)
            if astray.max() < 0:
                break
            state = int(astray.argmax())
        classes.append(np.flatnonzero(ahead >= 0))
        unsettled &= ~behind
    return sorted(classes, key=lambda members: members[0])


def generator(chain: FloatArray) -> FloatArray:
    """Return I − P, with its diagonal summed from the other entries: states that are rarely left lose no digits.

    Reference: Grassmann, Taksar and Heyman, "Regenerative analysis and steady state distributions", 1985.
    """
    rates = -chain
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(1))
    return rates


def stationary(chain: FloatArray) -> FloatArray:
    """Return the μ with μ P = μ and Σ μ = 1 of a chain that is one recurrent class, [S]; it may be periodic."""
    equations = generator(chain).T
    equations[-1] = 1.0  # one equation follows from the others, and Σ μ = 1 replaces it
    mu = np.maximum(np.linalg.solve(equations, np.eye(len(chain))[-1]), 0.0)
    return mu / mu.sum()


def gain_and_bias(chain: FloatArray, rewards: FloatArray, classes: Sequence[IntArray]) -> tuple[FloatArray, FloatArray]:
    """Return the gain g (long-run reward per step) and the bias h (relative value) of every state, [S] each.

    g = P g,   g + h = r + P h,   Σ_{s ∈ C} μ_C(s) h(s) = 0 in every recurrent class C

    Args:
        chain: P, [S, S].
        rewards: r(s), [S].
        classes: the recurrent classes of the chain.

    Reference: Puterman, "Markov Decision Processes", 1994, section 8.2.
    """
    gain, bias = np.zeros((2, len(chain)))
    transient = np.ones(len(chain), bool)
    for members in classes:
        inside = chain[np.ix_(members, members)]
        mu = stationary(inside)
        gain[members] = mu @ rewards[members]
        bias[members] = np.linalg.solve(generator(inside) + mu, rewards[members] - gain[members])
        transient[members] = False
    if transient.any():
        rates = generator(chain)[np.ix_(transient, transient)]
        into = chain[np.ix_(transient, ~transient)]
        gain[transient] = np.linalg.solve(rates, into @ gain[~transient])
        bias[transient] = np.linalg.solve(rates, rewards[transient] - gain[transient] + into @ bias[~transient])
    return gain, bias


def _only(state: int, num_states: int) -> BoolArray:
    return np.arange(num_states) == state
