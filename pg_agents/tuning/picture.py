"""The picture of a study: the trials' scores in their order, and which parameters they depend on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from pg_agents.tuning.results import Row
from pg_agents.tuning.space import SEARCH
from pg_agents.tuning.study import quietly

ENOUGH = 10  # whole trials, with fewer of which nothing is said of what they depend on
MARKS = {"complete": ("o", "tab:blue", "whole trial"), "pruned": ("x", "tab:gray", "given up")}


def draw(study: Any, rows: Sequence[Row], title: str) -> Figure:  # noqa: ANN401
    """Return the picture; without importances where there are too few trials."""
    importances = importances_of(study)
    figure = Figure(figsize=(11 if importances else 7, 4.2), layout="constrained")
    axes = figure.subplots(1, 2 if importances else 1, squeeze=False)[0]
    _history(axes[0], rows)
    figure.suptitle(title)
    if importances:
        names, values = list(importances)[::-1], list(importances.values())[::-1]
        axes[1].barh(names, values, color="tab:blue")
        axes[1].set_title("Importance for being among the best tenth (PED-ANOVA)", fontsize=10)
        axes[1].set_xlabel("share")
    return figure


def _history(axis: Any, rows: Sequence[Row]) -> None:  # noqa: ANN401
    for state, (marker, colour, label) in MARKS.items():
        points = [(row["trial"], row["lower_ends"][-1]) for row in rows if row["state"] == state and row["lower_ends"]]
        if points:
            axis.scatter(*zip(*points, strict=True), marker=marker, color=colour, label=label, zorder=3)
    failed = [row["trial"] for row in rows if row["state"] == "failed"]
    if failed:
        where = axis.get_xaxis_transform()
        axis.scatter(failed, [0.02] * len(failed), marker="v", color="tab:red", label="failed", transform=where)
    best, steps = -math.inf, []
    for row in rows:
        best = max(best, -math.inf if row["score"] is None else row["score"])
        steps += [(row["trial"], best)] if best > -math.inf else []
    if steps:
        axis.step(*zip(*steps, strict=True), where="post", color="tab:orange", label="best so far")
    for row, style in zip((row for row in rows if row["origin"] != SEARCH), ("--", ":"), strict=False):
        if row["score"] is not None:
            axis.axhline(row["score"], linestyle=style, color="black", linewidth=1, label=row["origin"])
    axis.set_xlabel("trial")
    axis.set_ylabel("lower end of the 95 % interval of the return")
    axis.legend(fontsize=8)


def importances_of(study: Any) -> dict[str, float]:  # noqa: ANN401
    """Return how much being among the best depends on each parameter; {}: there are too few trials to tell."""
    import optuna

    trials = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    scores = {trial.value for trial in trials if math.isfinite(trial.value)}
    if len(trials) < ENOUGH or len(scores) < 2:
        return {}
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}
