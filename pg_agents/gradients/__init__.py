"""Exact policy gradients in small problems, and measurements of every estimator against them."""

from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.estimators import Estimator, from_psi
from pg_agents.gradients.exact import exact_gradient, policy_gradient_theorem
from pg_agents.gradients.instrument import Instrument, Measurement, measure
from pg_agents.gradients.probes import against_exact, gradient_noise, optimum
from pg_agents.gradients.problem import Problem
from pg_agents.gradients.report import Report, report_on
from pg_agents.gradients.sources import problem_of

__all__ = [
    "Estimator",
    "Instrument",
    "Measurement",
    "Problem",
    "Report",
    "against_exact",
    "estimators_of",
    "exact_gradient",
    "from_psi",
    "gradient_noise",
    "measure",
    "optimum",
    "policy_gradient_theorem",
    "problem_of",
    "report_on",
]
