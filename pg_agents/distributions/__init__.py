"""Batched action distributions: sample, log-probability, entropy, mode.

They do what the agents need and no more: `torch.distributions` validates and broadcasts at several times the cost of
the arithmetic, and samples from the global generator. Making and sampling one takes as few operations as possible, for
it happens at every step of an environment; what learning needs is worked out when it is asked for.
"""

from pg_agents.distributions.categorical import Categorical
from pg_agents.distributions.distribution import Distribution, draw
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
]
