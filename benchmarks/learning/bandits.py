"""How much reward do agents lose while they find the best arm of a bandit?

Regret is what all pulls of a run lose against the best arm; less is better. Beside it stands what random pulls lose
(both are interquartile means), and which share of that was gained: in all pulls, and in the last tenth of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.learning import scores
from benchmarks.learning.protocol import SEEDS, Cell, Result, make_agent, stacks, train, training_env
from benchmarks.suite.pictures import count_in_thousands, draw_curves, draw_level, panels
from benchmarks.suite.samples import interval_text
from benchmarks.suite.tables import Measured, by_cell, number, results
from pg_agents.statistics import interquartile_mean

__all__ = ["CELLS", "SEEDS", "plot", "run", "run_seeds", "table"]

PULLS, POINTS = 16_000, 100
# The arms of figure 2.1 of Sutton and Barto: each learner has the same.
ARMS = [0.2, -0.8, 1.5, 0.4, 1.2, -1.5, -0.2, -1.0, 0.8, -0.5]
BANDITS: dict[str, dict[str, Any]] = {
    "BernoulliBandit": {"probabilities": [0.1, 0.3, 0.5, 0.7, 0.9]},
    "TwoArmedBandit": {},
    "TwoArmedBanditClose": {},
    "ContextualBandit": {},
    "GaussianBandit": {"means": ARMS},
    "NonStationaryBandit": {"num_arms": 4, "walk_std": 0.02},
}
AGENTS: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "reinforce-baseline": {},
    "actor-critic": {},
    "a2c": {},
    "ppo": {"num_steps": 16, "minibatch_size": 64, "epochs": 4},
    "trpo": {"num_steps": 16},
    "npg": {"num_steps": 16},
    "grpo": {},
    "rloo": {},
}


def cell(bandit: str, agent: str) -> Cell:
    """Return the cell of an agent that pulls the arms of a bandit."""
    env, num_envs, arguments = f"pg/{bandit}-v0", 8, AGENTS[agent]
    if bandit == "NonStationaryBandit":  # whose copies drift apart: one learns as much from as many pulls
        num_envs, arguments = (
            1,
            {name: 8 * value if name == "num_steps" else value for name, value in arguments.items()},
        )
    return Cell(f"{bandit}-v0/{agent}", agent, env, num_envs, PULLS, arguments, 0, BANDITS[bandit])


CELLS = [
    cell(bandit, agent)
    for bandit in BANDITS
    for agent in AGENTS
    if not (
        bandit == "NonStationaryBandit" and agent in ("grpo", "rloo")
    )  # groups begin alike: their arms would not drift
]


class Regret(gym.vector.VectorWrapper):
    """Adds up, for each learner, what pulls lose against the best arm at that time, and what random ones would lose.

        Σ_t [max_a q_t(a) − q_t(A_t)]        Σ_t [max_a q_t(a) − mean_a q_t(a)]

    with q_t(a) the expected reward of arm a at pull t, which the bandit knows.

    Args:
        env: bandits, which end with every pull.
        learners: whose rows lie side by side.
        pulls: of each learner.

    Attributes:
        lost: after each further step, by learner: the regret of its pulls, and that of random ones; [steps, 2, L].
    """

    def __init__(self, env: VectorEnv, learners: int) -> None:
        super().__init__(env)
        bandit: Any = env.unwrapped
        self.expected_rewards, self.learners = bandit.expected_rewards, learners
        self.resets = env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP  # a step that resets is no pull
        self.over = np.zeros(env.num_envs, bool)
        self.lost: list[NDArray[np.float64]] = []

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Pull, and write down what is lost."""
        expected, pulled = self.expected_rewards(), ~self.over
        taken = np.take_along_axis(expected, np.asarray(actions).reshape(-1, 1), 1)[:, 0]
        losses = (expected.max(1) - np.stack([taken, expected.mean(1)])) * pulled
        self.lost.append(losses.reshape(2, self.learners, -1).sum(-1))
        found = self.env.step(actions)
        self.over = (found[2] | found[3]) & self.resets
        return found


def run(cell: Cell, seed: int) -> Result:
    """Train with a seed; return the regret."""
    return _learn(cell, [seed])[0]


def run_seeds(cell: Cell, seeds: Sequence[int]) -> dict[int, Result]:
    """Do the same for several seeds, as one batch where each is then its own run."""
    if len(seeds) > 1 and stacks(cell, seeds):
        return dict(zip(seeds, _learn(cell, seeds), strict=True))
    return {seed: run(cell, seed) for seed in seeds}


def _learn(cell: Cell, seeds: Sequence[int]) -> list[Result]:
    torch.set_num_threads(1)
    env = Regret(training_env(cell, len(seeds)), len(seeds))
    trained = train(cell, make_agent(cell, env, seeds), env, seeds[0])
    env.close()
    lost = np.stack(env.lost)  # [steps, 2, L]
    return [one | regret_of(lost[..., i], one["steps"]) for i, one in enumerate(trained)]


def regret_of(lost: NDArray[np.float64], pulls: int) -> Result:
    """Return the regret of a learner, as a share of that of random pulls, and how it grew.

    Args:
        lost: in each step by its pulls, and by random ones, [steps, 2].
        pulls: how many there were.
    """
    so_far = lost.cumsum(0)
    shown = np.linspace(0, len(lost) - 1, POINTS).astype(int)
    last = lost[-len(lost) // 10 :].sum(0)
    return {
        "regret": float(so_far[-1, 0]),
        "score": float(1 - so_far[-1, 0] / so_far[-1, 1]),
        "last": float(1 - last[0] / last[1]),
        "curve": [[float((at + 1) / len(lost) * pulls), float(so_far[at, 0])] for at in shown],
        "random": float(so_far[-1, 1]),
    }


def table(records: Sequence[Measured]) -> str:
    """Return the regret over all pulls, and which share of what random pulls lose was gained, in all and in the end."""

    def rows(runs: list[Result]) -> Iterable[Sequence[str]]:
        regrets = [run["regret"] for run in runs]
        gained, last = (interquartile_mean([run[key] for run in runs]) for key in ("score", "last"))
        middle = f"**{number(interquartile_mean(regrets), 3)}**"
        chance = number(interquartile_mean([run["random"] for run in runs]), 3)
        yield middle, interval_text(regrets), chance, f"{gained:.1%}", f"{last:.1%}", str(len(runs))

    heads = (
        "bandit/agent",
        "regret, IQM",
        "95 % interval",
        "that of random pulls",
        "gained",
        "in the last tenth",
        "seeds",
    )
    return scores.cell_table(heads, CELLS, records, rows)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw how regret grows, a panel a bandit."""
    found = {name: results(runs) for name, runs in by_cell(records).items() if results(runs)}
    drawn = [bandit for bandit in BANDITS if any(name.startswith(f"{bandit}-v0/") for name in found)]
    figure = None
    title = f"Regret while the best arm is found, over {PULLS:,} pulls"
    for axes, bandit in zip(panels(len(drawn), title, columns=3) if drawn else (), drawn, strict=True):
        figure = axes.figure
        for agent in AGENTS:
            if runs := found.get(f"{bandit}-v0/{agent}", []):
                draw_curves(axes, [run["curve"] for run in runs], agent)
        chance = [run["random"] for name, runs in found.items() if name.startswith(f"{bandit}-v0/") for run in runs]
        axes.set(title=bandit, xlabel="pulls", ylabel="regret", ylim=(0, float(np.mean(chance))))
        draw_level(axes, float(np.mean(chance)), "random pulls, in the end", ":")
        count_in_thousands(axes)
        axes.legend(fontsize=6)
    assert figure is None or isinstance(figure, Figure)
    return figure
