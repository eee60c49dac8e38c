"""Objectives of language-model post-training against the exact gradient, in two token tasks that can be enumerated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import pg_envs
import torch

from benchmarks.records import RESULTS, write
from pg_agents.gradients.exact import log_table
from pg_agents.gradients.report import Report, random_policy, report_on
from pg_agents.gradients.sources import problem_of

POLICIES, GROUP, KL_WEIGHT = 20, 3, 0.1
ANSWER = (1, 2, 0)  # the last of which ends a text


def spelling() -> gym.Env:
    """Return the task of writing 1 2 and an end, of three tokens at most: 15 texts; the score is the share in place."""

    def score(prompt: tuple[int, ...], text: list[int]) -> float:
        return sum(one == other for one, other in zip(text, ANSWER, strict=False)) / len(ANSWER)

    return pg_envs.TokenEnv(prompts=[[1]], score=score, vocabulary=3, eos=0, max_new_tokens=3)


TASKS = {
    "three tokens": spelling,
    "pg/Shorter-v0": lambda: gym.make("pg/Shorter-v0", length=1, symbols=1, max_new_tokens=2),
}


def run_objectives() -> dict[str, Any]:
    """Measure every estimator, with and without KL, write results/objectives.json and .md and return what they hold."""
    torch.set_num_threads(1)
    tables = []
    for task, make in TASKS.items():
        reports = [_reports(make(), seed) for seed in range(POLICIES)]
        forms = ("J", f"J − {KL_WEIGHT:g} KL", "−KL")
        for form, one in zip(forms, zip(*reports, strict=True), strict=True):
            tables.append({"task": task, "objective": form, "rows": _summary(one)})
    settings = {"policies": POLICIES, "group": GROUP, "kl_weight": KL_WEIGHT}
    content = write("objectives", "python -m benchmarks objectives", settings | {"tables": tables})
    (RESULTS / "objectives.md").write_text(as_markdown(content))
    return content


def _reports(env: gym.Env, seed: int) -> list[Report]:
    """Return the reports on a random policy: paid, paid beside another random policy, and beside it alone."""
    problem = problem_of(env)
    policy = random_policy(env, problem, 2 * seed)
    reference = log_table(random_policy(env, problem, 2 * seed + 1), problem).detach()
    forms = (problem, problem.beside(reference, KL_WEIGHT), problem.kl_only(reference))
    return [report_on(form, policy, batch_size=GROUP) for form in forms]


def _summary(reports: Sequence[Report]) -> list[dict[str, Any]]:
    rows = []
    for measured in zip(*(report.measurements for report in reports), strict=True):
        assert all(one.enumerated for one in measured)
        cosines, scales = ([getattr(one, name) for one in measured] for name in ("cosine", "scale"))
        rows.append(
            {
                "estimator": measured[0].estimator,
                "unbiased": measured[0].unbiased,
                "cosine": sum(cosines) / len(cosines),
                "worst_cosine": min(cosines),
                "scale": sum(scales) / len(scales),
                "least_scale": min(scales),
                "largest_scale": max(scales),
            }
        )
    return rows


def as_markdown(content: dict[str, Any]) -> str:
    """Return the tables as text."""
    lines = [
        "# Objectives against the exact gradient",
        "",
        f"Expected gradients by enumeration, in groups of {content['group']}: mean and worst cosine with the true one, "
        f"and how much of it they hold, over {content['policies']} random policies and references. "
        f"`{content['command']}`.",
    ]
    for table in content["tables"]:
        lines += ["", f"## {table['task']}: {table['objective']}", ""]
        lines += ["| estimator | unbiased | cosine | worst | scale | from | to |", "|---|---|---|---|---|---|---|"]
        for row in table["rows"]:
            numbers = [row[name] for name in ("cosine", "worst_cosine", "scale", "least_scale", "largest_scale")]
            cells = [row["estimator"], "yes" if row["unbiased"] else "no", *(f"{number:.3f}" for number in numbers)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
