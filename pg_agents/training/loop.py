"""The loop: collect, learn, record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents.base import Agent
from pg_agents.agents.common.compatibility import check_batch, check_spaces
from pg_agents.audit.check import Audits
from pg_agents.checks import finite_number, whole_number
from pg_agents.collection.collectors import Collector, EpisodeCollector, StepCollector
from pg_agents.data.rollout import Rollout, StepCadence
from pg_agents.training.evaluation import Evaluations, make_evaluations
from pg_agents.training.probes import default_probes, text_table
from pg_agents.training.progress import RunProgress, Summary, progress_bar
from pg_agents.training.writers import RunWriter, Value

SAME_PROMPTS = "samples/same_prompts"  # what the untrained and the trained agent write

Probe = Callable[[Agent, Rollout], Mapping[str, Value]]


def train(
    agent: Agent,
    env: gym.Env | VectorEnv,
    *,
    total_steps: int,
    seed: int = 0,
    run_dir: str | Path | None = None,
    log_every: int | None = None,
    stop_return: float | None = None,
    eval_env: gym.Env | VectorEnv | None = None,
    eval_every: int | None = None,
    eval_episodes: int = 10,
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
        stop_return: end the run once the mean return of its last 100 training episodes is at least that, those of whole
            rollouts (see `Summary.mean_return_last_100`).
        eval_env: an environment of its own in which the agent is evaluated before the first update, on the way and at
            the end (greedy actions); the curves are eval/…, and the best agent so far is saved as run_dir/best.
        eval_every: steps between evaluations; None: a 20th of total_steps.
        eval_episodes: in each evaluation.
        progress: show a progress bar.
        probes: functions (agent, rollout) → metrics by name, called for every row that is written. Numbers become
            curves, strings text, arrays [height, width, 3] images.
        config: further entries for config.json, for what only the caller knows (how the environment was made).

    Raises:
        ValueError: an argument out of range, a run folder that is not empty, an environment whose spaces are not those
            the agent was made for.
        AuditError: the log-probabilities that learning computes are not those that the policy acted with.
        FloatingPointError: the policy's distribution, a reward, or the gradient is not finite.
        FaultyEnvironmentError: the environment failed, lost a process, called sys.exit, or returned something not
            finite, of a wrong shape or outside its space; the agent is as it was after its last update, and saved if
            there is a run folder. An AsyncVectorEnv that has lost a process is closed.
    """
    total_steps, seed = whole_number("total_steps", total_steps, 1), whole_number("seed", seed)
    log_every = max(1, total_steps // 200) if log_every is None else whole_number("log_every", log_every, 1)
    stop_return = None if stop_return is None else finite_number("stop_return", stop_return)
    check_spaces(agent.policy, agent.spaces, env)
    evaluations = make_evaluations(agent, env, eval_env, eval_every, eval_episodes, total_steps, seed)
    collector = make_collector(agent, env, seed)
    recorder = RunWriter(run_dir) if run_dir is not None else None
    run = RunProgress(total_steps, stop_return, of_tokens="append_only" in env.metadata)
    try:
        if recorder:
            recorder.config(_config(agent, collector, total_steps, seed) | dict(config or {}))
            probes = (*default_probes(agent, env), *probes)
        with progress_bar(progress, total_steps) as show:
            decode = getattr(env.unwrapped, "decode", None)
            _loop(agent, collector, run, log_every, recorder, probes, evaluations, show, decode)
        if recorder and run.of_tokens:  # the prompts and the chance of the first rollout once more
            table = text_table(next(make_collector(agent, env, seed)), decode)
            _write(recorder, agent, evaluations, run.steps, {SAME_PROMPTS: table} if table else {})
    finally:
        summary = run.summary(agent.name, collector.adapter.name, seed, evaluations.means)
        if recorder:
            agent.save(recorder.run_dir / "agent")
            recorder.close(asdict(summary))
    return summary


def _loop(
    agent: Agent,
    collector: Collector,
    run: RunProgress,
    log_every: int,
    recorder: RunWriter | None,
    probes: Sequence[Probe],
    evaluations: Evaluations,
    show: Callable[[RunProgress], None],
    decode: Callable[[Sequence[int]], str] | None,
) -> None:
    due, audits = log_every, Audits(agent.policy, most=agent.micro_batch_size, decode=decode)
    while not run.over:
        run.begins()
        rollout = next(collector).to(collector.device)
        if not rollout.num_transitions:
            continue  # resets alone: Adam's momentum would move the parameters without anything having been learned
        with run.untimed():
            audits(rollout)
        if not run.steps:
            with run.untimed():
                table = text_table(rollout, decode) if run.of_tokens else ""
                row = evaluations(agent, 0) | ({SAME_PROMPTS: table} if table else {})
                _write(recorder, agent, evaluations, 0, row)
        run.collected(rollout)
        agent.progress = min(1.0, run.steps_before / run.total_steps)
        try:
            run.learned(agent.update(rollout))
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; it learned in {collector.where}") from error
        row = evaluations(agent, run.steps, last=run.over)
        if run.steps >= due or run.over:
            due = (run.steps // log_every + 1) * log_every
            row |= run.row()
            for probe in probes:
                row |= probe(agent, rollout)
            show(run)
        _write(recorder, agent, evaluations, run.steps, row)


def _write(
    recorder: RunWriter | None, agent: Agent, evaluations: Evaluations, steps: int, row: Mapping[str, Value]
) -> None:
    if recorder and row:
        recorder.write(steps, row)
        if evaluations.improved and "eval/ep_rew_mean" in row:
            agent.save(recorder.run_dir / "best")


def make_collector(agent: Agent, env: gym.Env | VectorEnv, seed: int) -> Collector:
    """Return the collector of what the agent learns from."""
    if isinstance(agent.cadence, StepCadence):
        check_batch(agent.policy, agent.cadence, agent.minibatch_size, getattr(env, "num_envs", 1))
        return StepCollector(env, agent.policy, agent.cadence.num_steps, seed=seed)
    return EpisodeCollector(env, agent.policy, **asdict(agent.cadence), seed=seed)


def _config(agent: Agent, collector: Collector, total_steps: int, seed: int) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "env": collector.adapter.name,
        "num_envs": collector.adapter.num_envs,
        "total_steps": total_steps,
        "seed": seed,
        "arguments": agent.arguments,
        "networks": agent.networks,
        "parameters": sum(parameter.numel() for parameter in agent.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
