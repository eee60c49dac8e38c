"""The loop: collect, learn, record."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium.vector import VectorEnv
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from pg_agents.agents.agent import Agent
from pg_agents.agents.making import check_spaces
from pg_agents.collect import Collector, EpisodeCollector, StepCollector
from pg_agents.numbers import whole_number
from pg_agents.probes import default_probes
from pg_agents.record import Recorder, Value
from pg_agents.rollout import Rollout, Steps

Probe = Callable[[Agent, Rollout], Mapping[str, Value]]


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        agent: its class's name, as on the command line.
        env: the environment's id.
        seed: of the run.
        total_steps: valid transitions learned from.
        episodes: that ended.
        mean_return_last_100: of the last 100 of them; None where none ended.
        wall_seconds: from the first environment step to the last update.
        steps_per_second: total_steps / wall_seconds.
    """

    agent: str
    env: str
    seed: int
    total_steps: int
    episodes: int
    mean_return_last_100: float | None
    wall_seconds: float
    steps_per_second: float


@dataclass
class _Progress:
    """What has happened so far, and what happened since the last row was written."""

    steps: int = 0
    episodes: int = 0
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=100))
    metrics: dict[str, list[Tensor]] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def add(self, rollout: Rollout, metrics: Mapping[str, Tensor]) -> None:
        self.steps += rollout.num_transitions
        if ended := len(rollout.episode_returns):
            self.episodes += ended
            self.returns.extend(rollout.episode_returns[-100:].tolist())
            self.lengths.extend(rollout.episode_lengths[-100:].tolist())
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append(value)
        self.seconds = time.perf_counter() - self.started

    def row(self) -> dict[str, Value]:
        """Return the scalars of the time since the last call: metrics averaged over its updates."""
        row: dict[str, Value] = {}
        if self.returns:
            row["rollout/ep_rew_mean"] = sum(self.returns) / len(self.returns)
            row["rollout/ep_len_mean"] = sum(self.lengths) / len(self.lengths)
        for name, values in self.metrics.items():
            row[f"train/{name}"] = float(torch.stack(values).nanmean())
        row["time/steps_per_second"] = self.steps / self.seconds
        self.metrics.clear()
        return row


def train(
    agent: Agent,
    env: gym.Env | VectorEnv,
    *,
    total_steps: int,
    seed: int = 0,
    run_dir: str | Path | None = None,
    log_every: int | None = None,
    progress: bool = True,
    probes: Sequence[Probe] = (),
    config: Mapping[str, Any] | None = None,
) -> Summary:
    """Train `agent` in `env` and return what came of it.

    Args:
        agent: is changed in place.
        env: any Gymnasium environment, single or vector; it is left open.
        total_steps: valid transitions to learn from; the last rollout may go beyond.
        seed: of the environment and of the actions; the same seed on the same machine gives the same bits.
        run_dir: a new or empty folder for config.json, metrics.jsonl, summary.json, TensorBoard's event files and the
            agent; None: nothing is written.
        log_every: steps between rows of metrics; None: 1/200 of total_steps.
        progress: show a progress bar.
        probes: functions (agent, rollout) → metrics by name, called for every row that is written. Numbers become
            curves, strings text, arrays [height, width, 3] images.
        config: further entries for config.json, for what only the caller knows (how the environment was made).

    Raises:
        ValueError: an argument out of range, a run folder that is not empty, an environment whose spaces are not those
            the agent was made for.
        FaultyEnvironmentError: the environment returned something not finite or of a wrong shape; the agent is as it
            was after its last update, and saved if there is a run folder.
    """
    total_steps, seed = whole_number("total_steps", total_steps, 1), whole_number("seed", seed)
    log_every = max(1, total_steps // 200) if log_every is None else whole_number("log_every", log_every, 1)
    check_spaces(agent, env)
    collector = make_collector(agent, env, seed)
    recorder = Recorder(run_dir) if run_dir is not None else None
    run = _Progress()
    try:
        if recorder:
            recorder.config(_config(agent, collector, total_steps, seed) | dict(config or {}))
            probes = (*default_probes(agent, env), *probes)
        with _progress_bar(progress, total_steps) as show:
            _loop(agent, collector, run, total_steps, log_every, recorder, probes, show)
    finally:
        summary = _summary(agent, collector, run, seed)
        if recorder:
            agent.save(recorder.run_dir / "agent")
            recorder.close(asdict(summary))
    return summary


def _loop(
    agent: Agent,
    collector: Collector,
    run: _Progress,
    total_steps: int,
    log_every: int,
    recorder: Recorder | None,
    probes: Sequence[Probe],
    show: Callable[[_Progress], None],
) -> None:
    due = log_every
    while run.steps < total_steps:
        rollout = next(collector).to(collector.device)
        if not rollout.num_transitions:
            continue  # resets alone: Adam's momentum would move the parameters without anything having been learned
        agent.progress = min(1.0, run.steps / total_steps)
        run.add(rollout, agent.update(rollout))
        if run.steps >= due or run.steps >= total_steps:
            due = (run.steps // log_every + 1) * log_every
            row = run.row()
            for probe in probes:
                row |= probe(agent, rollout)
            if recorder:
                recorder.write(run.steps, row)
            show(run)


def make_collector(agent: Agent, env: gym.Env | VectorEnv, seed: int) -> Collector:
    """Return the collector of what the agent learns from."""
    if isinstance(agent.cadence, Steps):
        return StepCollector(env, agent.policy, agent.cadence.num_steps, seed=seed)
    return EpisodeCollector(env, agent.policy, **asdict(agent.cadence), seed=seed)


def _config(agent: Agent, collector: Collector, total_steps: int, seed: int) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "env": collector.stream.name,
        "num_envs": collector.stream.num_envs,
        "total_steps": total_steps,
        "seed": seed,
        "arguments": agent.arguments,
        "networks": agent.networks,
        "parameters": sum(parameter.numel() for parameter in agent.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _summary(agent: Agent, collector: Collector, run: _Progress, seed: int) -> Summary:
    return Summary(
        agent=agent.name,
        env=collector.stream.name,
        seed=seed,
        total_steps=run.steps,
        episodes=run.episodes,
        mean_return_last_100=sum(run.returns) / len(run.returns) if run.returns else None,
        wall_seconds=run.seconds,
        steps_per_second=run.steps / run.seconds if run.seconds else 0.0,
    )


class _progress_bar:  # noqa: N801 - used as a function
    """A context whose value shows a run's progress."""

    def __init__(self, visible: bool, total_steps: int) -> None:
        text = TextColumn("return {task.fields[mean]}  {task.fields[speed]} steps/s")
        self.bar = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text, disable=not visible, transient=True
        )
        self.total = total_steps

    def __enter__(self) -> Callable[[_Progress], None]:
        self.bar.start()
        task = self.bar.add_task("", total=self.total, mean="–", speed="–")

        def show(run: _Progress) -> None:
            mean = f"{sum(run.returns) / len(run.returns):.2f}" if run.returns else "–"
            speed = f"{run.steps / run.seconds:,.0f}"
            self.bar.update(task, completed=min(run.steps, self.total), mean=mean, speed=speed)

        return show

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
