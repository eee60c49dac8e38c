"""Named Markov decision processes without a map: a chain, RiverSwim, random processes, two states."""

from __future__ import annotations

import numpy as np

from pg_envs.core.mdp import TabularMDP
from pg_envs.mdps.mdp_envs import ProblemEnv, ProblemVectorEnv


def chain(num_states: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0) -> TabularMDP:
    """Build the chain of `ChainEnv`, with discount 0.99."""
    _require("num_states", num_states, 2)
    _require("slip", slip, 0, 1)
    states = np.arange(num_states)
    forward, back = np.zeros((2, num_states, num_states))
    forward[states, np.minimum(states + 1, num_states - 1)] = 1.0
    back[:, 0] = 1.0
    transitions = np.stack([(1 - slip) * back + slip * forward, (1 - slip) * forward + slip * back], axis=1)
    rewards = np.zeros((num_states, 2, num_states))
    rewards[:, :, 0], rewards[-1, :, -1] = small, large
    return TabularMDP(transitions, rewards, np.eye(num_states)[0], 0.99)


class ChainVectorEnv(ProblemVectorEnv):
    """The vector form of `ChainEnv`."""

    metadata = {**ProblemVectorEnv.metadata, "action_names": ("back", "forward")}
    problem = staticmethod(chain)


class ChainEnv(ProblemEnv):
    """A chain whose end pays well, while every state offers a small reward for going back to the beginning.

    ## Description
    States 0 … n − 1. *Forward* leads from s to s + 1 and from the last state to itself, *back* leads to state 0. With
    probability `slip` the other action is carried out.

    ## Action Space
    `Discrete(2)`: 0 back, 1 forward (the best action is not 0, the greedy action of a policy with equal probabilities).

    ## Observation Space
    `Discrete(n)`: the state.

    ## Rewards
    `small` for every step back, `large` for every step forward in the last state, whichever action was chosen; else 0.

    ## Starting State
    State 0.

    ## Episode End
    Never: the task is continuing. `pg/Chain-v0` cuts episodes at 100 steps; the original has 1,000. Always forward is
    best in the long run, with a gain of (1 − slip)ⁿ large + slip · small = 3.6768; the random policy's gain is 1.3125.

    ## Arguments
    - `num_states` = 5, `slip` = 0.2, `small` = 2, `large` = 10.

    ## References
    Dearden, Friedman and Russell, "Bayesian Q-learning", AAAI 1998. Strens, "A Bayesian framework for reinforcement
    learning", ICML 2000.

    ## Version History
    - v0: first version.
    """

    vector_form = ChainVectorEnv


def river_swim(num_states: int = 6, small: float = 0.005, large: float = 1.0) -> TabularMDP:
    """Build the river of `RiverSwimEnv`."""
    _require("num_states", num_states, 2)
    p = np.zeros((num_states, 2, num_states))
    states = np.arange(num_states)
    p[states, 0, np.maximum(states - 1, 0)] = 1.0
    for s in states[1:-1]:
        p[s, 1, s - 1 : s + 2] = 0.05, 0.6, 0.35
    p[0, 1, :2] = 0.4, 0.6
    p[-1, 1, -2:] = 0.4, 0.6
    rewards = np.zeros((num_states, 2))
    rewards[0, 0], rewards[-1, 1] = small, large
    return TabularMDP(p, rewards, np.eye(num_states)[0], 0.99)


class RiverSwimVectorEnv(ProblemVectorEnv):
    """The vector form of `RiverSwimEnv`."""

    metadata = {**ProblemVectorEnv.metadata, "action_names": ("left", "right")}
    problem = staticmethod(river_swim)


class RiverSwimEnv(ProblemEnv):
    """A river: drifting left is easy and pays a little, swimming right against the current pays at the far end only.

    ## Description
    Six states in a row. *Left* always succeeds: from s to s − 1, from state 0 to itself. *Right*:

    | from | one left | stay | one right |
    |---|---|---|---|
    | state 0 | – | 0.4 | 0.6 |
    | states 1 … 4 | 0.05 | 0.6 | 0.35 |
    | state 5 | 0.4 | 0.6 | – |

    These are the numbers of Osband, Russo and Van Roy (2013). Strehl and Littman (2008), who posed the problem, use
    (0.7, 0.3) in state 0, (0.1, 0.6, 0.3) in between, (0.7, 0.3) in state 5, rewards 5 and 10,000, and start in state
    1 or 2.

    ## Action Space
    `Discrete(2)`: 0 left, 1 right.

    ## Observation Space
    `Discrete(6)`: the state.

    ## Rewards
    `small` for left in state 0, `large` for right in state 5, whatever the next state; else 0.

    ## Starting State
    State 0.

    ## Episode End
    Never: the task is continuing and has no time limit. Always right is best, with a gain of 7203/16805 = 0.428622 per
    step; always left gains 0.005, the random policy 0.002779.

    ## Arguments
    - `num_states` = 6, `small` = 0.005, `large` = 1.

    ## References
    Strehl and Littman, "An analysis of model-based interval estimation for Markov decision processes", JCSS 2008.
    Osband, Russo and Van Roy, "(More) efficient reinforcement learning via posterior sampling", NeurIPS 2013.

    ## Version History
    - v0: first version.
    """

    vector_form = RiverSwimVectorEnv


def garnet(num_states: int = 30, num_actions: int = 4, branching: int = 2, seed: int = 0) -> TabularMDP:
    """Build the random process of `GarnetEnv`: equal arguments give equal processes."""
    _require("num_states", num_states, 1)
    _require("num_actions", num_actions, 1)
    _require("branching", branching, 1, num_states)
    generator = np.random.default_rng(seed)
    shape = num_states, num_actions, num_states
    successors = generator.permuted(np.broadcast_to(np.arange(num_states), shape), axis=2)[..., :branching]
    cuts = np.sort(generator.random((num_states, num_actions, branching - 1)))
    p, rewards = np.zeros(shape), np.zeros(shape)
    np.put_along_axis(p, successors, np.diff(cuts, prepend=0.0, append=1.0), axis=2)
    np.put_along_axis(rewards, successors, generator.standard_normal(successors.shape), axis=2)
    return TabularMDP(p, rewards, np.full(num_states, 1 / num_states), 0.95)


class GarnetVectorEnv(ProblemVectorEnv):
    """The vector form of `GarnetEnv`."""

    problem = staticmethod(garnet)


class GarnetEnv(ProblemEnv):
    """A Garnet: a Markov decision process drawn at random, with given numbers of states and actions.

    ## Description
    Every action in every state leads to `branching` different next states, drawn without replacement. Their
    probabilities are the lengths of the pieces into which branching − 1 uniform cuts divide [0, 1].

    ## Action Space
    `Discrete(num_actions)`.

    ## Observation Space
    `Discrete(num_states)`: the state.

    ## Rewards
    Each possible transition has its own reward, drawn once from N(0, 1).

    ## Starting State
    Uniform over all states.

    ## Episode End
    Never: the task is continuing and has no time limit. `pg_envs.known_returns` gives the gains of the drawn process.

    ## Arguments
    - `num_states` = 30, `num_actions` = 4, `branching` = 2.
    - `seed` = 0: seed of the process's tables; `reset(seed=…)` seeds the transitions drawn from them.

    ## References
    Archibald, McKinnon and Thomas, "On the generation of Markov decision processes", JORS 1995. Bhatnagar, Sutton,
    Ghavamzadeh and Lee, "Natural actor-critic algorithms", Automatica 2009.

    ## Version History
    - v0: first version.
    """

    vector_form = GarnetVectorEnv


def two_state(slip: float = 0.1) -> TabularMDP:
    """Build the two states of `TwoStateMDPEnv`."""
    _require("slip", slip, 0, 1)
    stay, switch = np.eye(2), np.eye(2)[::-1]
    transitions = np.stack([(1 - slip) * stay + slip * switch, (1 - slip) * switch + slip * stay], axis=1)
    return TabularMDP(transitions, np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([1.0, 0.0]), 0.9)


class TwoStateMDPVectorEnv(ProblemVectorEnv):
    """The vector form of `TwoStateMDPEnv`."""

    problem = staticmethod(two_state)


class TwoStateMDPEnv(ProblemEnv):
    """The smallest continuing process whose gain depends on the policy: two states, stay or switch.

    ## Description
    *Stay* and *switch* take effect with probability 1 − slip; otherwise the other action does.

    ## Action Space
    `Discrete(2)`: 0 stay, 1 switch.

    ## Observation Space
    `Discrete(2)`: the state.

    ## Rewards
    1 for every step that begins in state 1, else 0.

    ## Starting State
    State 0.

    ## Episode End
    Never: the task is continuing and has no time limit. A policy that switches with probability p in state 0 and q in
    state 1 leaves them with probability x = slip + (1 − 2 slip) p and y = slip + (1 − 2 slip) q: its gain is the share
    of time in state 1, x / (x + y). It is 1/2 for the random policy (p = q = 1/2), and 1 − slip for the best one if
    slip ≤ 1/2 (p = 1, q = 0).

    ## Arguments
    - `slip` = 0.1.

    ## References
    Puterman, "Markov Decision Processes", 1994, section 3.1, has a two-state process of this kind.

    ## Version History
    - v0: first version.
    """

    vector_form = TwoStateMDPVectorEnv


def _require(name: str, value: float, low: float, high: float = np.inf) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")
