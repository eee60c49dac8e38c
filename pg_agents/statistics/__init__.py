"""Statistics of several runs: what they return in the middle, and how sure that is."""

from pg_agents.statistics.interquartile import METHOD, interquartile_mean, interval

__all__ = ["METHOD", "interquartile_mean", "interval"]
