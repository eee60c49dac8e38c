"""How settings are drawn: moves along the options that matter most, then steps from the best settings, and Optuna's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState

UP, DOWN = 1, -1
MOVES = (
    ("learning_rate", UP), ("max_kl", UP), ("discount", DOWN), ("normalize_observations", UP), ("discount", UP),
    ("learning_rate", DOWN), ("max_kl", DOWN), ("normalize_rewards", UP), ("num_steps", DOWN), ("num_steps", UP),
    ("entropy_weight", UP), ("gae_lambda", DOWN),
)  # fmt: skip
"""The first trials: an option, and whether the best settings so far are given more or less of it; where an earlier move
of it has helped, a later one goes on that way."""
STEPS = 0.5  # the share of steps among the trials that follow
STARTS = 3  # a step starts from one of so many of the best trials, at most, and of the best fifth
CHANGED = 3  # options that a step changes, at most


class CoordinateSampler(TPESampler):
    """Changes one option of the best settings after another, those first that matter most, then a few at a time.

    Most options are good as they are in known settings, and a search that begins with draws of all options at once has
    found little in 20 trials (`python -m benchmarks run tuner`). So the first trials are `MOVES`,
    half of the later ones change one to three options of good settings, and the other half are what
    `optuna.samplers.TPESampler` draws from all of them. Which options matter: Andrychowicz et al., "What Matters In
    On-Policy Reinforcement Learning?" (2021).

    Args:
        seed: of what is drawn.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(n_startup_trials=len(MOVES), multivariate=True, constant_liar=True, seed=seed)
        self.rng = np.random.default_rng(seed)

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:  # noqa: ANN401
        """Return values of the parameters in `search_space`, those that whole trials have."""
        trials = study.get_trials(deepcopy=False)
        best = best_of(trials)
        if not best or not search_space:
            return super().sample_relative(study, trial, search_space)
        moves = [move for move in MOVES if move[0] in search_space]
        known = [one for one in trials if "origin" in one.user_attrs]
        place = trial.number - len(known)
        if 0 <= place < len(moves):
            name, way = moves[place]
            return self.moved(best[0], search_space, name, helped(name, best[0], best_of(known)) or way)
        if self.rng.random() < STEPS:
            return self.step(best[self.rng.integers(len(best))], search_space)
        return super().sample_relative(study, trial, search_space)

    def moved(
        self, start: Mapping[str, Any], space: Mapping[str, BaseDistribution], name: str, way: int
    ) -> dict[str, Any]:
        """Return the parameters of `start` with more or less of an option; a step, if there is no more or less."""
        there = beyond(start[name], space[name], way)
        return self.step(start, space) if there is None else {one: start[one] for one in space} | {name: there}

    def step(self, start: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """Return the parameters of `start` with one to three of them changed."""
        names = [name for name, distribution in space.items() if not distribution.single()]
        count = min(int(self.rng.integers(1, CHANGED + 1)), len(names))
        changed = self.rng.choice(names, count, replace=False).tolist() if names else []
        return {name: start[name] for name in space} | {name: self._other(start[name], space[name]) for name in changed}

    def _other(self, value: Any, distribution: Any) -> Any:  # noqa: ANN401
        """Return another value: each choice is equally probable, and each number on a logarithmic scale."""
        if isinstance(distribution, CategoricalDistribution):
            others = [choice for choice in distribution.choices if choice != value]
            return others[self.rng.integers(len(others))]
        return math.exp(self.rng.uniform(math.log(distribution.low), math.log(distribution.high)))


def best_of(trials: list[Any]) -> list[dict[str, Any]]:
    """Return the parameters of the trials that steps start from, the best first."""
    whole = [one for one in trials if one.state == TrialState.COMPLETE and math.isfinite(one.value)]
    whole = sorted(whole, key=lambda one: -one.value)
    return [one.params for one in whole[: min(1 + len(whole) // 5, STARTS)]]


def helped(name: str, best: Mapping[str, Any], known: list[dict[str, Any]]) -> int | None:
    """Return whether more of an option than the best known settings have has helped, or less of it; None: neither."""
    value, before = best[name], known[0].get(name) if known else None
    if not (isinstance(value, int | float) and isinstance(before, int | float)) or value == before:
        return None
    return UP if value > before else DOWN


def beyond(value: Any, distribution: Any, way: int) -> Any:  # noqa: ANN401
    """Return a value above or below another; None: there is none.

    Of choices it is the middle one there, the nearer of two; of numbers, a third of the way to the end by logarithms.
    """
    if not isinstance(value, int | float):
        return None
    if not isinstance(distribution, CategoricalDistribution):
        end = distribution.high if way == UP else distribution.low
        return None if math.isclose(value, end) else value * (end / value) ** (1 / 3)
    numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
    there = sorted((number for number in numbers if way * (number - value) > 0), reverse=way == DOWN)
    return there[(len(there) - 1) // 2] if there else None
