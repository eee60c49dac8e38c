"""What a run of several learners writes of each: the folder that the run of its seed alone would have written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from pg_agents.agents.base import Agent
from pg_agents.agents.common.one_learner import learner_of, tensors_of
from pg_agents.folders import write_files
from pg_agents.policies import TabularPolicy
from pg_agents.training.appended import Value
from pg_agents.training.current import current_numbers_of_learners
from pg_agents.training.evaluations import row_of
from pg_agents.training.policy_pictures import table_curves
from pg_agents.training.progress import rows_of_learners
from pg_agents.training.run import Run
from pg_agents.training.run_files import AGENT, BEST, CONFIG, SUMMARY, RunFiles, summary_text, writable

AT_ONCE = 8  # agents that are being saved
SECONDS = 60.0  # after which the best agents are saved, if no checkpoint was written meanwhile
SHARES = "num_envs", "total_steps", "eval_episodes", "log_every", "eval_every", "checkpoint_every"  # of all learners
Row = dict[str, Value]


@dataclass
class LearnersReports:
    """Writes the folders of a run's learners.

    The best agents of evaluations are kept in memory until the next checkpoint, as many of them improve at once.

    Args:
        files: of the folders, by the learners' places; without those of learners who have gone on alone.
        known: what stands in every row (`known_lines`).
    """

    files: dict[int, RunFiles]
    known: Mapping[str, Value]
    best: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # tensors of all learners when it was the best
    saved: float = field(default_factory=time.monotonic)  # when the best agents were

    def begin(self, run: Run, config: Mapping[str, Any]) -> None:
        """Write the configuration of each, or what is new in it.

        Raises:
            ValueError: it cannot be written.
        """
        texts = {}
        for learner, files in self.files.items():
            own = config_of_learner(config, run.agent, learner)
            if (files.run_dir / CONFIG).is_file():
                files.goes_on(own, run.steps // len(run.agent.seeds))
            else:
                with writable("run_dir", files.run_dir):
                    texts[files.run_dir / CONFIG] = files.noted(own)
        if texts:
            with writable("run_dir", next(iter(texts)).parent.parent):
                write_files(texts)

    def rows(self, run: Run) -> list[Row]:
        """Return a row of metrics of each learner."""
        rows = rows_of_learners(run.progress)
        tables = run.agent.policy.probabilities() if isinstance(run.agent.policy, TabularPolicy) else [None] * len(rows)
        for row, values, table in zip(rows, current_numbers_of_learners(run.agent), tables, strict=True):
            if row:  # it has not finished before
                row |= self.known
                row |= values if table is None else values | table_curves(table.numpy(force=True))
        return rows

    def write(self, run: Run, rows: Sequence[Row]) -> None:
        """Write a row of metrics of each learner, if there are any, and its evaluation, if one was made."""
        found, learners = run.evaluations.found, run.progress.learners
        assert learners is not None
        for learner, files in self.files.items():
            row = row_of(found.learners[learner]) if found is not None and learner in run.evaluations.new else {}
            if rows:
                row |= rows[learner]
            if row:
                files.write(int(learners.steps[learner]), row)
        if improved := [learner for learner in run.evaluations.have_improved if learner in self.files]:
            self.best |= dict.fromkeys(improved, tensors_of(run.agent))
        if self.best and time.monotonic() - self.saved >= SECONDS:
            self.save_best(run.agent)

    def save_best(self, agent: Agent) -> None:
        """Save the best agents that are not saved yet."""
        self._save(BEST, ((learner, learner_of(agent, learner, tensors)) for learner, tensors in self.best.items()))
        self.best, self.saved = {}, time.monotonic()

    def close(self, run: Run) -> None:
        """Save the agents and write the summaries, however the run ended."""
        self.save_best(run.agent)
        self._save(AGENT, ((learner, run.agent.learner(learner)) for learner in self.files))
        so_far = run.summary.learners
        for learner, files in self.files.items():
            files.score(asdict(so_far[learner]))
        summaries = run.summary.learners  # which say whether the scores could be written
        own = {learner: asdict(summaries[learner]) for learner in self.files}
        try:
            write_files({self.files[i].run_dir / SUMMARY: summary_text(summary) for i, summary in own.items()})
        except OSError:  # of one of them, perhaps
            for learner, summary in own.items():
                self.files[learner].summarize(summary)

    def _save(self, name: str, agents: Iterable[tuple[int, Agent]]) -> None:
        """Save agents of learners, several at once, as most of the time a save waits for the disk."""

        def save(learner: int, agent: Agent) -> None:
            files = self.files[learner]
            with files.unwritten.tolerated(f"{files.name}{name}"):
                agent.save(files.run_dir / name)
                files.unwritten.written(f"{files.name}{name}")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for saved in [pool.submit(save, *pair) for pair in agents]:
                saved.result()


def config_of_learner(config: Mapping[str, Any], agent: Agent, learner: int) -> dict[str, Any]:
    """Return what config.json of a run of one of the learners alone says."""
    count = agent.policy.num_learners
    own = {name: share(config[name], count, name) for name in SHARES if isinstance(config[name], int)}
    return {
        **config,
        **own,
        "seed": agent.seeds[learner],
        "arguments": agent.config.of_learners([learner]),
        "networks": {name: value for name, value in agent.networks.items() if name not in ("num_learners", "seeds")},
        "parameters": config["parameters"] // count,
    }


def share(total: int, num_learners: int, name: str) -> int:
    """Return what one learner has of a number of all: intervals are rounded down, amounts up."""
    return max(1, total // num_learners) if name.endswith("_every") else -(-total // num_learners)
