"""What are agents able to do: find the best of noisy and of differently scaled rewards, wait, explore, remember?

Each ability is some tasks of growing difficulty, as in bsuite (Osband et al., 2020, arXiv:1908.03568); its score is the
mean over them of (return − random) / (optimal − random), between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from benchmarks.learning import scores
from benchmarks.learning.protocol import SEEDS, Cell, Result, run, run_seeds, together
from benchmarks.suite.pictures import draw_bars, panels
from benchmarks.suite.samples import interval_text
from benchmarks.suite.tables import MISSING, NONE, Measured, by_cell, markdown
from pg_agents.statistics import interquartile_mean, interval

__all__ = ["CELLS", "SEEDS", "plot", "run", "run_seeds", "table", "together"]

ARMS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]  # bsuite's bandit
AGENTS: dict[str, dict[str, Any]] = {
    "reinforce-baseline": {},
    "a2c": {},
    "ppo": {"num_steps": 32},
    "trpo": {"num_steps": 32},
}
# Ability → tasks: environment, arguments of its own, those of its evaluation, steps.
Task = tuple[str, dict[str, Any], dict[str, Any], int]
ABILITIES: dict[str, list[Task]] = {
    "noise": [
        ("pg/GaussianBandit-v0", {"means": ARMS, "reward_std": std}, {"reward_std": 0.0}, 20_000)
        for std in (0.1, 1.0, 3.0, 10.0)
    ],
    "reward scale": [
        ("pg/GaussianBandit-v0", {"means": [scale * arm for arm in ARMS], "reward_std": 0.1 * scale}, {}, 20_000)
        for scale in (0.001, 0.03, 1.0, 30.0, 1000.0)
    ],
    "credit over delay": [
        ("pg/Catch-v0", {"rows": rows, "columns": 5, "pixels": 1}, {}, 20_000) for rows in (5, 10, 20)
    ],
    "exploration": [("pg/Chain-v0", {"num_states": states, "slip": 0.05}, {}, 50_000) for states in (3, 5, 8)],
    "memory": [("pg/Recall-v0", {"delay": delay}, {}, 60_000) for delay in (2, 4, 8)],
}
NETWORKS = {"memory": {"recurrent": 16}}
WRAPPERS = {"credit over delay": ["FlattenObservation"]}  # so that seeing is no part of it


def cells_of(agent: str, ability: str) -> list[Cell]:
    """Return the tasks of an ability for an agent."""
    arguments, wrappers = AGENTS[agent] | NETWORKS.get(ability, {}), WRAPPERS.get(ability, [])
    return [
        Cell(f"{ability} {i + 1}/{agent}", agent, env, 16, steps, arguments, 200, given, asked, wrappers)
        for i, (env, given, asked, steps) in enumerate(ABILITIES[ability])
    ]


CELLS = [cell for ability in ABILITIES for agent in AGENTS for cell in cells_of(agent, ability)]


def share(result: Result) -> float:
    """Return what was gained of what there is to gain beyond chance, between 0 and 1."""
    known = result["known"]
    return min(1.0, max(0.0, (result["score"] - known["random"]) / (known["optimal"] - known["random"])))


def score_of(agent: str, ability: str, records: Sequence[Measured]) -> list[float]:
    """Return the score of an agent's ability with each seed that has all of its tasks; a task that failed counts 0."""
    found = by_cell(records)
    runs = [found.get(cell.name, {}) for cell in cells_of(agent, ability)]
    seeds = sorted(set.intersection(*(set(some) for some in runs)))
    results = [[some[seed].result for some in runs] for seed in seeds]
    return [fmean(0.0 if result is None else share(result) for result in each) for each in results]


def table(records: Sequence[Measured]) -> str:
    """Return the score of each ability of each agent, with its interval."""
    rows = []
    for ability in ABILITIES:
        for agent in AGENTS:
            values = score_of(agent, ability, records)
            middle = f"**{interquartile_mean(values):.2f}**" if values else MISSING
            rows.append([ability, f"`{agent}`", middle, interval_text(values) if values else NONE, str(len(values))])
    heads = ("ability", "agent", "score, IQM", "95 % interval", "seeds")
    return "\n\n".join([markdown(heads, rows, 2), *scores.errors(CELLS, by_cell(records))])


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a bar with its 95 % interval an agent, a panel an ability."""
    if not records:
        return None
    figure, title = None, "Scores of abilities, from 0 (chance) to 1 (the best policy)"
    for axes, ability in zip(panels(len(ABILITIES), title, columns=3), ABILITIES, strict=True):
        figure = axes.figure
        found = [score_of(agent, ability, records) for agent in AGENTS]
        middles = [interquartile_mean(values) if values else None for values in found]
        draw_bars(axes, list(AGENTS), middles, ends=[interval(values) if len(values) > 1 else None for values in found])
        axes.set(title=ability, xlabel="score", xlim=(0, 1.25))
    assert figure is None or isinstance(figure, Figure)
    return figure
