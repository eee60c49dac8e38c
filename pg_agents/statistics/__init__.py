"""Statistics of several runs: what they return in the middle, how sure that is, and which agent's return more."""

from pg_agents.statistics.improvement import improvement_interval, probability_of_improvement
from pg_agents.statistics.interquartile import METHOD, interquartile_mean, interval

__all__ = ["METHOD", "improvement_interval", "interquartile_mean", "interval", "probability_of_improvement"]
