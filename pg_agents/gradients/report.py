"""Reports of the measurements in a problem: a table, a picture, a folder for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.exact import double, log_table
from pg_agents.gradients.instrument import Instrument, Measurement
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Policy, TabularPolicy, TransformerPolicy, is_token_window
from pg_agents.seeding import Purpose, spawn
from pg_agents.training.writers import RunWriter

COLUMNS = ("estimator", "bias", "cosine", "variance", "snr", "z", "unbiased")
THEORY = {True: "#00798c", False: "#d1495b"}  # colours of estimators that are unbiased in theory, and of the others


@dataclass(frozen=True)
class Report:
    """The measurements of one policy in one problem.

    Attributes:
        problem: the finite problem.
        instrument: the instrument that made the measurements.
        measurements: one for each estimator.
    """

    problem: Problem
    instrument: Instrument
    measurements: tuple[Measurement, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of numbers for each estimator, the columns of the table first."""
        rows = [measurement.row() for measurement in self.measurements]
        return [{name: row[name] for name in COLUMNS} | row for row in rows]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        problem = self.problem
        content = {
            "problem": problem.name,
            "objective": problem.objective,
            "discount": None if problem.average else problem.discount,
            "horizon": problem.horizon,
            "value": float(self.instrument.setting.solution.objective),
            "gradient_norm": float(self.instrument.exact.norm()),
            "batch_size": self.instrument.batch_size,
            "samples": self.instrument.samples,
        }
        objective = "gain" if problem.average else f"{problem.objective} reward, γ = {problem.discount:g}"
        if problem.horizon is not None:
            objective += f", {'windows of' if problem.average else 'at most'} {problem.horizon} steps"
        numbers = f"J = {content['value']:.4g}, ‖∇J‖ = {content['gradient_norm']:.4g}"
        return content | {"title": f"{problem.name}: {objective}; {numbers}", "rows": self.rows()}

    def table(self) -> str:
        """Return the table as text."""
        lines = [[str(cell) for cell in COLUMNS], *(_cells(row) for row in self.rows())]
        widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
        shown = [f"{line[0]:<{widths[0]}}  " + "  ".join(map(str.rjust, line[1:], widths[1:])) for line in lines]
        return "\n".join([self.as_dict()["title"], "", *shown, "", self.legend()])

    def legend(self) -> str:
        """Return what the numbers are of."""
        what = "windows" if self.problem.average else "episodes"
        sampled = [one for one in self.measurements if not one.enumerated]
        text = f"estimates of batches of {self.instrument.batch_size} {what}; expectations by enumeration"
        if sampled:
            text += f", where marked ~ from {self.instrument.samples} trajectories with their standard error"
        return text


def _cells(row: dict[str, Any]) -> list[str]:
    sampled = not row["enumerated"]
    bias = f"~{row['bias']:.2g} ± {row['error']:.1g}" if sampled else "0" if row["z"] == 0 else f"{row['bias']:.2g}"
    numbers = [bias, f"{row['cosine']:.4f}", f"{row['variance']:.3g}", f"{row['snr']:.2g}", f"{row['z']:.1f}"]
    return [row["estimator"], *numbers, "yes" if row["unbiased"] else "no"]


def report_on(problem: Problem, policy: Policy, **options: Any) -> Report:  # noqa: ANN401
    """Return the report on every estimator of the problem's objective.

    Args:
        problem: the finite problem.
        policy: the policy whose gradient is estimated.
        **options: of `Instrument`.
    """
    instrument = Instrument(problem, policy, **options)
    return Report(problem, instrument, tuple(map(instrument.measure, estimators_of(problem))))


def random_policy(env: gym.Env, problem: Problem, seed: int) -> Policy:
    """Return a small policy for `env` in float64 whose actions are neither uniform nor certain.

    Tables for finite problems, with logits from N(0, 1), a transformer of width 8 for token tasks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(spawn(seed, Purpose.PARAMETERS))
        if is_token_window(env.observation_space):
            windows = env.observation_space["tokens"].shape[0]  # type: ignore[index]
            policy: Policy = TransformerPolicy(problem.mdp.num_actions, windows, width=8, layers=1, heads=2)
            nn.init.normal_(policy.get_parameter("head.weight"), std=0.5)
        else:
            policy = TabularPolicy(int(env.observation_space.n), problem.mdp.num_actions)  # type: ignore[attr-defined]
            nn.init.normal_(policy.get_parameter("logits"))
    return double(policy)


def reports_on(env: gym.Env, problem: Problem, *, seed: int = 0, **options: Any) -> list[Report]:  # noqa: ANN401
    """Return the report on a random policy and, for a token task, the one on its KL divergence from another policy."""
    policy = random_policy(env, problem, seed)
    reports = [report_on(problem, policy, seed=seed, **options)]
    if is_token_window(env.observation_space):
        reference = log_table(random_policy(env, problem, spawn(seed, Purpose.REFERENCE)), problem).detach()
        reports.append(report_on(problem.kl_only(reference), policy, seed=seed, **options))
    return reports


# -- the picture -------------------------------------------------------------------------------------------------------
def draw(report: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a matplotlib figure
    """Return a figure: each estimator's bias as a share of ‖∇J‖, the spread of its estimates, and its signal.

    Args:
        report: what `Report.as_dict` returns.
    """
    from matplotlib.figure import Figure  # takes half a second to import: only where it is used
    from matplotlib.ticker import LogLocator

    rows, norm = report["rows"][::-1], report["gradient_norm"] or 1.0
    places, colours = np.arange(len(rows)), [THEORY[row["unbiased"]] for row in rows]
    figure = Figure(figsize=(11, 1.6 + 0.27 * len(rows)), layout="constrained")
    bias, spread, signal = figure.subplots(1, 3, sharey=True)
    lengths, errors = ([row[name] / norm for row in rows] for name in ("bias", "error"))
    bias.barh(places, lengths, color=colours, height=0.7)
    bias.errorbar(lengths, places, xerr=errors, fmt="none", ecolor="0.4", lw=1)
    bias.set(xlabel="bias, ‖E ĝ − ∇J‖ / ‖∇J‖", yticks=places, yticklabels=[row["estimator"] for row in rows])
    bias.set_xlim(left=0)
    spread.scatter([row["variance"] ** 0.5 / norm or np.nan for row in rows], places, c=colours)
    spread.set(xlabel="spread, √(tr Cov ĝ) / ‖∇J‖", xscale="log")
    signal.scatter([row["snr"] or np.nan for row in rows], places, c=colours)
    signal.set(xlabel="signal-to-noise of a step", xscale="log")
    for axes in (spread, signal):
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=20))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_formatter("")  # minor labels would overlap
    for axes in (bias, spread, signal):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
    what = "blue: unbiased in theory, red: not"
    figure.suptitle(f"{report['title']}\nestimates of batches of {report['batch_size']}; {what}", fontsize=10)
    return figure


def pixels(figure: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Return a figure as an image, [height, width, 3]."""
    from matplotlib.image import imread

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    buffer.seek(0)
    return (imread(buffer)[..., :3] * 255).astype(np.uint8)


def write(reports: Sequence[Report], run_dir: str | Path, config: dict[str, Any]) -> None:
    """Write tables and pictures to a new or empty folder: for TensorBoard, as summary.json and as PNG files.

    Raises:
        ValueError: the folder is not empty.
    """
    recorder = RunWriter(run_dir)
    recorder.config(config)
    row: dict[str, Any] = {}
    for i, report in enumerate(reports):
        name = "gradients" if i == 0 else f"gradients_{i}"
        figure = draw(report.as_dict())
        figure.savefig(recorder.run_dir / f"{name}.png", dpi=100)
        row |= {f"{name}/table": _markdown(report), f"{name}/picture": pixels(figure)}
    recorder.write(0, row)
    recorder.close({"reports": [report.as_dict() for report in reports]})


def _markdown(report: Report) -> str:
    head = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows = ["| " + " | ".join(_cells(row)) + " |" for row in report.rows()]
    return "\n".join([report.as_dict()["title"], "", *head, *rows, "", report.legend()])
