"""Batched action distributions: sample, log-probability, entropy, mode.

They have only the methods that agents need: `torch.distributions` validates and broadcasts at several times the cost of
the arithmetic, and samples from the global generator. Construction and sampling take as few operations as possible,
since they happen at every step of an environment; quantities for learning are computed on first use.
"""

from pg_agents.distributions.categorical import Categorical
from pg_agents.distributions.distribution import Distribution, draw, probabilities_of
from pg_agents.distributions.gaussian import DiagonalGaussian
from pg_agents.distributions.multi import Bernoulli, MultiCategorical
from pg_agents.distributions.squashed import SquashedGaussian
from pg_agents.distributions.tokens import Sampling, TokenCategorical

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "MultiCategorical",
    "Sampling",
    "SquashedGaussian",
    "TokenCategorical",
    "draw",
    "probabilities_of",
]
