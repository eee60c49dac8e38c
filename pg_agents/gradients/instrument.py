"""Measures an estimator's expectation and variance against the exact gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from pg_agents.data.rollout import Batch, Rollout
from pg_agents.gradients.estimators import Estimator, Learner, Setting
from pg_agents.gradients.exact import double, gradient_of, jacobian, log_table, solve
from pg_agents.gradients.paths import Paths, columns_of, count_paths, enumerate_paths, sample_paths
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Policy

MAX_COLUMNS = 6_000  # the most trajectories, or batches of them, that are enumerated
ROUNDING = 1e-10  # the largest rounding error of a sum over all trajectories
LARGEST_SNR = 1e12


@dataclass(frozen=True)
class Measurement:
    """The measurement of an estimator ĝ of batches of n trajectories; all numbers are finite.

    Attributes:
        estimator: its name.
        unbiased: whether E ĝ = ∇J in this problem, in theory.
        bias: ‖E ĝ − ∇J‖, with E ĝ by enumeration or the mean of samples.
        error: the standard error of E ĝ, √(variance / number of batches); 0 by enumeration.
        cosine: of the angle between E ĝ and ∇J; 0 where one of them is zero.
        scale: E ĝ · ∇J / ‖∇J‖², the component of E ĝ along ∇J; 0 where ∇J is zero.
        variance: the trace of ĝ's covariance matrix, of one batch of n.
        snr: ‖E ĝ‖² / (variance · E steps), the signal-to-noise ratio of one environment step: after 1/snr steps the
            mean of estimates is as long as its standard error; at most 1e12.
        z: the largest |E ĝ − ∇J| of a component over its standard error. Sampled: the error of the samples' mean. A
            component's standard error is told as if four more draws had been as far out as the farthest (rare draws
            that were fewer than expected also spread less), and counts as at least 3/√K times the largest component's,
            for K batches: what was never drawn may still have a probability of 3/K. By enumeration: 0 where no
            component is off by more than rounding, else what a mean of `samples` trajectories would show.
        enumerated: whether the expectation is a sum over all trajectories (or batches).
        samples: the number of trajectories that were drawn, or to which z refers.
        steps: the expected number of environment steps in a batch.
        expected: E ĝ, [P].
        exact: ∇J, [P].
    """

    estimator: str
    unbiased: bool
    bias: float
    error: float
    cosine: float
    scale: float
    variance: float
    snr: float
    z: float
    enumerated: bool
    samples: int
    steps: float
    expected: Tensor
    exact: Tensor

    def row(self) -> dict[str, Any]:
        """Return the scalars by name."""
        names = [field.name for field in fields(self) if field.name not in ("expected", "exact")]
        return {name: getattr(self, name) for name in names}


class Instrument:
    """Measures estimators of the gradient of one policy in one problem; their shared samples are drawn once.

    Args:
        problem: the finite problem.
        policy: any differentiable policy with Categorical actions; it is not changed.
        samples: the number of trajectories for Monte Carlo, and for z.
        batch_size: n, trajectories in a batch; at least 2, as they are compared with each other.
        seed: the seed of the samples.
        enumerate_all: sum over all trajectories if there are few enough; False: always sample.

    Raises:
        ValueError: arguments out of range, or see `exact_gradient`.
    """

    def __init__(
        self,
        problem: Problem,
        policy: Policy,
        *,
        samples: int = 4_000,
        batch_size: int = 4,
        seed: int = 0,
        enumerate_all: bool = True,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {batch_size}")
        if samples < 10 * batch_size:
            raise ValueError(f"samples must be at least {10 * batch_size}, ten batches of {batch_size}, got {samples}")
        policy = double(policy)
        table = log_table(policy, problem)
        self.exact = gradient_of(solve(problem, table).objective, policy)
        self.jacobian = jacobian(problem, policy)
        self.problem, self.batch_size, self.seed = problem, batch_size, seed
        self.samples = samples // batch_size * batch_size
        self.setting = Setting.of(problem, table, seed)
        few = enumerate_all and count_paths(problem) <= MAX_COLUMNS
        start = self.setting.solution.start
        self.paths = self._acted(enumerate_paths(problem, start.numpy())) if few else None
        self.probabilities = None if self.paths is None else self._probabilities(self.paths)
        self._drawn: Rollout | None = None

    def measure(self, estimator: Estimator) -> Measurement:
        """Return the measurement of `estimator`."""
        learner = estimator.make(self.setting)
        n = self.batch_size
        if estimator.separable and self.paths is not None:
            assert self.probabilities is not None
            gradients = self._of_columns(learner, self.paths.rollout)
            return self._result(estimator, *_moments(gradients, self.probabilities, n), enumerated=True)
        count = 0 if self.paths is None else math.comb(self.paths.rollout.mask.shape[1] + n - 1, n)
        if self.paths is not None and count <= MAX_COLUMNS:
            gradients, weights = self._of_all_batches(learner, self.paths)
            return self._result(estimator, *_moments(gradients, weights, 1), enumerated=True)
        if estimator.separable:
            gradients, per_batch = self._of_columns(learner, self.drawn), n
        else:
            batches = [columns_of(self.drawn, columns) for columns in torch.arange(self.samples).split(n)]
            gradients, per_batch = self._of_batches(learner, batches), 1
        equal = torch.full((len(gradients),), 1 / len(gradients), dtype=torch.float64)
        mean, variances = _moments(gradients, equal, per_batch)
        rare = 4 * ((gradients - mean).abs().amax(0) / len(gradients)).square()
        return self._result(estimator, mean, variances * len(gradients) / (len(gradients) - 1), rare, enumerated=False)

    @property
    def drawn(self) -> Rollout:
        """The samples, the same for every estimator."""
        if self._drawn is None:
            start = self.setting.solution.start
            self._drawn = sample_paths(self.problem, self.setting.table, start, self.samples, self.seed)
        return self._drawn

    def _acted(self, paths: Paths) -> Paths:
        """Return the trajectories with the log-probabilities of the policy that is measured."""
        states = paths.rollout.observations % self.problem.mdp.num_states
        log_probs = self.setting.table[states, paths.rollout.actions]
        return replace(paths, rollout=replace(paths.rollout, log_probs=log_probs))

    def _probabilities(self, paths: Paths) -> Tensor:
        return paths.chances * (paths.rollout.log_probs * paths.rollout.mask).sum(0).exp()

    def _of_columns(self, learner: Learner, rollout: Rollout) -> Tensor:
        """Return the estimate of each column alone, [B, P]: the batch's weights are 1/B of a column's own."""
        batch = _prepared(learner, rollout)
        columns = {name: value.movedim(1, 0)[:, :, None] for name, value in _tensors(batch).items()}  # [B, T, 1]
        columns["weights"] = columns["weights"] * rollout.mask.shape[1]
        return self._gradients(learner, columns)

    def _of_batches(self, learner: Learner, rollouts: Sequence[Rollout]) -> Tensor:
        """Return the estimate of each batch, [K, P]."""
        prepared = [_tensors(_prepared(learner, rollout)) for rollout in rollouts]
        stacked = {name: torch.stack([one[name] for one in prepared]) for name in prepared[0]}
        return self._gradients(learner, stacked)

    def _of_all_batches(self, learner: Learner, paths: Paths) -> tuple[Tensor, Tensor]:
        """Return the estimate of every batch, [K, P], whatever the order of its trajectories, and its probability."""
        assert self.probabilities is not None
        n = self.batch_size
        choices = torch.tensor(list(combinations_with_replacement(range(len(paths.chances)), n)))
        repeats = (choices[:, :, None] == choices[:, None]).tril().sum(2).double()  # 1, 2, … of each repeated column
        weights = self.probabilities[choices].prod(1) * math.factorial(n) / repeats.prod(1)
        return self._of_batches(learner, [columns_of(paths.rollout, choice) for choice in choices]), weights

    def _gradients(self, learner: Learner, batches: dict[str, Tensor]) -> Tensor:
        """Return the gradients of −loss with respect to θ, [K, P], of batches [K, T, B]."""
        logits = learner.module.get_parameter("policy.logits").detach()

        def loss(logits: Tensor, fields: dict[str, Tensor]) -> Tensor:
            changed = {"policy.logits": logits}
            return torch.func.functional_call(learner.module, changed, (Batch(**fields),))[0]  # type: ignore[arg-type]

        of_tables = torch.func.vmap(torch.func.grad(loss), (None, 0), chunk_size=1024)(logits, batches)
        return -of_tables.flatten(1) @ self.jacobian

    def _result(
        self, estimator: Estimator, mean: Tensor, variances: Tensor, rare: Tensor | float = 0.0, *, enumerated: bool
    ) -> Measurement:
        off, batches = mean - self.exact, self.samples / self.batch_size
        variance, norm = float(variances.sum()), float(mean.norm())
        steps = self._steps()
        scale = max(1.0, float(self.exact.abs().max()))
        norm = norm if norm > ROUNDING * scale else 0.0
        both = norm * float(self.exact.norm())
        errors = (variances / batches + rare).sqrt()
        floor = max(3 * float(errors.max()) / math.sqrt(batches), ROUNDING * scale)
        within = enumerated and float(off.abs().max()) <= ROUNDING * scale
        return Measurement(
            estimator=estimator.name,
            unbiased=estimator.unbiased(self.problem),
            bias=float(off.norm()),
            error=0.0 if enumerated else math.sqrt(variance / batches),
            cosine=float(mean @ self.exact) / both if both > ROUNDING * norm * scale else 0.0,
            scale=float(mean @ self.exact) / max(float(self.exact @ self.exact), 1e-300),
            variance=variance,
            snr=min(norm**2 / max(variance * steps, 1e-300), LARGEST_SNR),
            z=0.0 if within else float((off.abs() / errors.clamp(min=floor)).max()),
            enumerated=enumerated,
            samples=self.samples,
            steps=steps,
            expected=mean,
            exact=self.exact,
        )

    def _steps(self) -> float:
        if self.paths is not None and self.probabilities is not None:
            return float((self.probabilities * self.paths.rollout.mask.sum(0)).sum()) * self.batch_size
        return float(self.drawn.mask.sum()) / self.samples * self.batch_size


def measure(estimator: Estimator, problem: Problem, policy: Policy, **options: Any) -> Measurement:  # noqa: ANN401
    """Return bias, cosine, variance, signal-to-noise ratio and z of an estimator; see `Measurement`, `Instrument`.

    Args:
        estimator: the estimator to measure.
        problem: the finite problem.
        policy: the policy whose gradient is estimated.
        **options: `samples`, `batch_size`, `seed`, `enumerate_all`.
    """
    return Instrument(problem, policy, **options).measure(estimator)


def _prepared(learner: Learner, rollout: Rollout) -> Batch:
    with torch.no_grad():
        return learner.prepare(rollout)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """Return the batch's fields [T, B] that are there."""
    return {field.name: value for field in fields(batch) if isinstance(value := getattr(batch, field.name), Tensor)}


def _moments(gradients: Tensor, weights: Tensor, per_batch: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the variances of the components of a mean of `per_batch` draws, [P] each."""
    mean = weights @ gradients
    return mean, weights @ (gradients - mean).square() / per_batch
