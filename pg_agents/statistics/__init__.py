"""Statistics of several runs: what they return in the middle, how sure that is, and which agent's return more."""

from pg_agents.statistics.adastop import AdaStop, Comparison, compare_until, wanted
from pg_agents.statistics.bootstrap import METHOD
from pg_agents.statistics.improvement import improvement_interval, probability_of_improvement
from pg_agents.statistics.interquartile import interquartile_mean, interval
from pg_agents.statistics.known import area_under_curve, normalized_scores, optimality_gap, regret
from pg_agents.statistics.medians import median, median_interval
from pg_agents.statistics.over_tasks import aggregate, stratified_interval
from pg_agents.statistics.profiles import performance_profile, profile_band
from pg_agents.statistics.values import caution

__all__ = [
    "METHOD",
    "AdaStop",
    "Comparison",
    "aggregate",
    "area_under_curve",
    "caution",
    "compare_until",
    "improvement_interval",
    "interquartile_mean",
    "interval",
    "median",
    "median_interval",
    "normalized_scores",
    "optimality_gap",
    "performance_profile",
    "probability_of_improvement",
    "profile_band",
    "regret",
    "stratified_interval",
    "wanted",
]
