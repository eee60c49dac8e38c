"""Exact values, gains, occupancies and optima of a `TabularMDP`: pure functions of the process and a policy [S, A].

Policy None stands for an optimal one. Three criteria: "discounted", "total" (undiscounted, until the episode ends) and
"average" (reward per step, in the long run).
"""

from pg_envs.solve.evaluation import Criterion, Values
from pg_envs.solve.horizon import action_values, expected_return, finite_horizon_values
from pg_envs.solve.policies import MAX_STATES, uniform_policy
from pg_envs.solve.values import evaluate, gain, gains, occupancy, stationary_distribution, total_values

__all__ = [
    "MAX_STATES",
    "Criterion",
    "Values",
    "action_values",
    "evaluate",
    "expected_return",
    "finite_horizon_values",
    "gain",
    "gains",
    "occupancy",
    "stationary_distribution",
    "total_values",
    "uniform_policy",
]
