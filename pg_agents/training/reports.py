"""What is written down and shown of a run as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pg_agents.data.rollout import Rollout
from pg_agents.training.probes import Probe, default_probes, text_table
from pg_agents.training.progress import ProgressBar
from pg_agents.training.run import Run
from pg_agents.training.writers import RunWriter, Value

SAME_PROMPTS = "samples/same_prompts"  # what the untrained and the trained agent write


@dataclass
class Reports:
    """What a run folder and a progress bar are told: rows of metrics, the best agent and the last one.

    Args:
        writer: of the run folder; None: nothing is written.
        probes: what is looked at for every row, besides the metrics.
        bar: shows how far the run has come.
        decode: token ids → text, of environments that have it.
    """

    writer: RunWriter | None
    probes: Sequence[Probe]
    bar: ProgressBar
    decode: Callable[[Sequence[int]], str] | None

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write down what the run is."""
        if self.writer:
            self.writer.config(config)

    def before_learning(self, run: Run, rollout: Rollout) -> None:
        """Write what the untrained agent does."""
        self._write(run, run.evaluations(run.agent, 0) | self._texts(run, rollout))

    def after_update(self, run: Run) -> None:
        """Evaluate and write a row where they are due, and show how far the run has come."""
        row = run.evaluations(run.agent, run.steps, last=run.over)
        if run.row_is_due:
            row |= run.progress.row()
            for probe in self.probes:
                row |= probe(run) or {}
            if run.over and run.steps not in run.evaluations.means:  # a probe has stopped it
                row |= run.evaluations(run.agent, run.steps, last=True)
            self.bar.show(run.progress)
        self._write(run, row)

    def after_learning(self, run: Run, make_rollout: Callable[[], Rollout]) -> None:
        """Write what the trained agent does, in `make_rollout()`, with what the untrained one was given."""
        if self.writer and run.progress.of_tokens:
            self._write(run, self._texts(run, make_rollout()))

    def close(self, run: Run) -> None:
        """Save the agent and write the summary, however the run has ended."""
        if self.writer:
            run.agent.save(self.writer.run_dir / "agent")
            self.writer.close(asdict(run.summary))

    def _texts(self, run: Run, rollout: Rollout) -> dict[str, Value]:
        table = text_table(rollout, self.decode) if run.progress.of_tokens else ""
        return {SAME_PROMPTS: table} if table else {}

    def _write(self, run: Run, row: Mapping[str, Value]) -> None:
        if self.writer and row:
            self.writer.write(run.steps, row)
            if run.evaluations.improved and "eval/ep_rew_mean" in row:
                run.agent.save(self.writer.run_dir / "best")


def make_reports(
    run: Run, env: gym.Env | VectorEnv, run_dir: str | Path | None, probes: Sequence[Probe], visible: bool
) -> Reports:
    """Return the reports of a run: those of a run folder with the probes that suit its agent, before one's own.

    Raises:
        ValueError: the folder is not empty, or is a file.
    """
    writer = None if run_dir is None else RunWriter(run_dir)
    if writer:
        probes = [*default_probes(run.agent, env), *probes]
    return Reports(writer, probes, ProgressBar(visible, run.total_steps), getattr(env.unwrapped, "decode", None))
