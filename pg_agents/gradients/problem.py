"""Finite problems, whose policy gradients can be computed exactly: a process, a policy's observations, an objective."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pg_envs import TabularMDP
from torch import Tensor

from pg_agents.data.tree import Tree, tree_map

Objective = Literal["discounted", "total", "average"]
MAX_STATES = 3000  # the largest dense linear system that is solved


@dataclass(frozen=True, eq=False)
class Problem:
    """A `TabularMDP`, the observations of its states, and an objective J to maximise.

    | objective | J(θ) |
    |---|---|
    | discounted | E Σ_{t<T} γ^t R_{t+1} |
    | total | the same with γ = 1 |
    | average | lim (1/T) E Σ_{t<T} R_{t+1}, the gain |

    Without a horizon T is when the episode ends; with one, min(that, horizon), and the limit is part of the objective:
    an episode that reaches it has ended. For the gain, `horizon` is the length of the windows that estimators see.

    With a `reference` table ln π_ref(a|s) and a weight β, β KL(π‖π_ref) of whole episodes is subtracted:
    J(θ) − β E Σ_t γ^t ln [π(A_t|S_t) / π_ref(A_t|S_t)].

    Args:
        mdp: the process; its own discount is ignored.
        observations: the observation of each state, [S, …]; None: the state's number.
        discount: γ.
        horizon: T; None: episodes end by themselves.
        average: maximise the gain instead of a sum.
        reference: ln π_ref, float64 [S, A].
        kl_weight: β.
        name: its name in tables.

    Raises:
        ValueError: a discount outside [0, 1]; a horizon below 1 or missing for the gain; a KL with the gain; more than
            3,000 states without a horizon.
    """

    mdp: TabularMDP
    observations: Tree = None
    discount: float = 1.0
    horizon: int | None = None
    average: bool = False
    reference: Tensor | None = None
    kl_weight: float = 0.0
    name: str = "problem"

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], got {self.discount}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        if self.average and self.horizon is None:
            raise ValueError("horizon: give the length of the windows in which the average reward is estimated")
        if self.average and self.kl_weight:
            raise ValueError("kl_weight: a KL divergence per step is not defined here; use an episodic objective")
        if self.mdp.num_states > MAX_STATES and not self.timed:
            raise ValueError(
                f"env: {self.mdp.num_states} states are too many for a linear system (at most {MAX_STATES}); give a "
                "horizon, or a smaller problem"
            )

    @property
    def objective(self) -> Objective:
        """The name of the objective: "discounted", "total" or "average"."""
        return "average" if self.average else "discounted" if self.discount < 1 else "total"

    @property
    def timed(self) -> bool:
        """Whether values depend on the time that is left; then node t · S + s is state s at time t."""
        return self.horizon is not None and not self.average

    @property
    def one_step(self) -> bool:
        """Whether every episode is one decision: a bandit."""
        initial = np.flatnonzero(self.mdp.initial)
        return self.horizon == 1 or bool((self.mdp.transitions[initial][..., ~self.mdp.terminal] == 0).all())

    def inputs(self) -> Tree:
        """Return the observation of each state, [S, …]."""
        return torch.arange(self.mdp.num_states) if self.observations is None else self.observations

    def seen(self, states: Tensor) -> Tree:
        """Return the observations of `states` […]."""
        return tree_map(lambda leaf: leaf[states], self.inputs())

    def beside(self, reference: Tensor, kl_weight: float) -> Problem:
        """Return the problem with a KL penalty: J − β KL(π‖π_ref)."""
        return replace(self, reference=reference, kl_weight=kl_weight, name=f"{self.name}, J − {kl_weight:g} KL")

    def kl_only(self, reference: Tensor) -> Problem:
        """Return the problem without rewards whose objective is −KL(π‖π_ref)."""
        mdp = self.mdp
        silent = TabularMDP(mdp.transitions, np.zeros_like(mdp.rewards), mdp.initial, mdp.discount, mdp.terminal)
        return replace(self, mdp=silent, reference=reference, kl_weight=1.0, name=f"{self.name}, KL")
