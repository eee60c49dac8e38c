"""The loop: collect, learn, record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pg_agents.agents.base import Agent
from pg_agents.agents.common.compatibility import check_batch, check_spaces, remember_spaces
from pg_agents.audit.check import Audits
from pg_agents.collection.collector import Collector
from pg_agents.collection.collectors import EpisodeCollector, StepCollector
from pg_agents.data.rollout import Rollout, StepCadence
from pg_agents.data.shares import whole_of
from pg_agents.elsewhere import with_names_checked
from pg_agents.llm.quiet import quiet_libraries
from pg_agents.shown import shortened
from pg_agents.spaces.environments import made_by, open_env
from pg_agents.spaces.wrappers import Wrapper, wrappers_of
from pg_agents.training.active import Active, check_stop_return, takes_its_part
from pg_agents.training.checkpointing import KEPT, make_saving
from pg_agents.training.described import config_of
from pg_agents.training.evaluations import make_evaluations, open_eval_env
from pg_agents.training.learners_progress import LearnersProgress
from pg_agents.training.plan import Plan, make_plan
from pg_agents.training.probes import Probe, probes_of_runs
from pg_agents.training.progress import RunProgress
from pg_agents.training.ranks import join, largest, seed_of_rank, together
from pg_agents.training.reports import Reports, make_reports
from pg_agents.training.resuming import as_before, run_folder
from pg_agents.training.run import Run, Summary
from pg_agents.training.sharding import share_parameters
from pg_agents.training.signals import Signals, Stopping
from pg_agents.training.threads import warn_of_threads


@with_names_checked
def train(
    agent: Agent,
    env: gym.Env | VectorEnv | str,
    *,
    total_steps: int,
    num_envs: int | None = None,
    env_args: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Wrapper] | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    log_every: int | None = None,
    stop_return: float | None = None,
    eval_env: gym.Env | VectorEnv | str | None = None,
    eval_every: int | None = None,
    eval_episodes: int = 10,
    step_timeout: float | None = None,
    checkpoint_every: int | str | None = None,
    keep_checkpoints: int = KEPT,
    resume: bool = False,
    handle_signals: bool = True,
    progress: bool | TextIO = True,
    probes: Sequence[Probe] = (),
    config: Mapping[str, Any] | None = None,
    track: str | None = None,
    shard: bool = False,
) -> Summary:
    """Train `agent` in `env` and return the run's summary.

    Args:
        agent: the agent, which is changed in place.
        env: any Gymnasium environment, single or vector, which stays open; or an environment's id ("CartPole-v1",
            "module:Mine-v0"), from which one is made and closed.
        total_steps: valid transitions to learn from, of all learners together; the last rollout may go beyond. Learners
            from whole episodes leave when each has taken its part, where those who go on can be parted from them.
        num_envs: if `env` is an id, how many environments are stepped together, for each learner; None: 8.
        env_args: if `env` is an id, arguments for the environment's constructor.
        wrappers: if `env` is an id, wrappers of `gymnasium.wrappers` for each single environment, in this
            order, like "FrameStackObservation:stack_size=4".
        seed: of the environment and of the actions; the same seed on the same machine gives the same bits. Several
            learners (`num_learners`) have their own, the agent's `seeds`, in environments that take a seed for each
            row; each is then the run that its seed would have been alone.
        run_dir: a new or empty folder for config.json, metrics.jsonl, summary.json, TensorBoard's event files and the
            agent; None: nothing is written. A run has not finished if its summary is missing or has `cut_off`. Each of
            several learners has a folder in it, like run_dir/seed-3, as a run of its seed alone would have written it.
        log_every: steps between rows of metrics; None: 1/200 of total_steps.
        stop_return: end the run once the mean return of its last 100 training episodes is at least that, counting whole
            rollouts (see `Summary.mean_return_last_100`). Of several learners, each that has reached it has finished:
            it stays as it is, and the others go on without it, each for its part of total_steps at most.
        eval_env: a second environment, in which the agent is evaluated (greedy actions) before the first update, during
            the run and at its end; the metrics are eval/…, and the best agent so far is saved as run_dir/best. From an
            id it is made with `env_args` and `wrappers`, one copy for each episode of an evaluation.
        eval_every: steps between evaluations; None: a 20th of total_steps.
        eval_episodes: episodes in each evaluation.
        step_timeout: seconds that one call of the environment may take (making it by its id, reset, step, close), all
            copies together; after that it is an error, and the environment is not stepped again. None: 120 with workers
            (AsyncVectorEnv), which are then killed; in one's own process it may take any time. With a number, an alarm
            interrupts Python there, in the main thread; code in C that never returns goes on: give it workers.
        checkpoint_every: steps, or seconds written "60s", between checkpoints in run_dir/checkpoints; None: 60 s, or
            50 times as long as one takes to write, if that is longer, so that they cost less than 2 % of the time.
        keep_checkpoints: the newest so many are kept; 0: none is written.
        resume: go on with the run in `run_dir` from its newest checkpoint, with the same agent (new, or as it was) and
            environment; an empty or new folder: the run begins. Where the environment gives its state (see docs/
            durability.md) the results have the bits of a run that was never stopped; others begin new episodes.
            Schedules follow the `total_steps` given now. run_dir/seed-3 goes on with one of several learners, alone.
        handle_signals: SIGTERM and Ctrl-C end the run in order: it finishes its step and writes a checkpoint, or stops
            after 5 seconds, saves the agent, and raises. A second one ends it at once. In the main thread only.
        progress: show how far the run has come: on a terminal a bar and a table, elsewhere (a log file, a pipe, a
            notebook) a line every so often; a stream, such as sys.stderr, is written to in place of standard output.
        probes: functions of the `Run` → metrics by name, or None, called for every row of metrics. Numbers become
            curves, strings text, arrays [height, width, 3] images. They can look at `run.agent`, `run.rollout`,
            `run.steps`, `run.total_steps`, `run.seconds` and `run.summary`, and end the run with `run.stop(reason)`.
        config: further entries for config.json that only the caller knows (how the environment was made).
        track: "wandb", "mlflow" or "trackio": a program that gets what is written to `run_dir`, too (see
            docs/trackers.md). If it fails during the run, the run goes on without it.
        shard: share the parameters of language models out among the processes of torch.distributed's group, while they
            learn (`docs/processes.md`); the agent learns only by `train` afterwards.

    Raises:
        KeyboardInterrupt: Ctrl-C has ended the run; the message says at which step, and what is saved.
        Terminated: the same for SIGTERM; uncaught, it ends the process with code 143.
        ValueError: an argument out of range, a run folder that is not empty, an environment whose spaces are not those
            the agent was made for; UserError if an id is unknown or its environment cannot be made.
        AuditError: the log-probabilities that learning computes are not those that the policy acted with.
        FloatingPointError: the policy's distribution, a reward, or the gradient is not finite.
        FaultyEnvironmentError: the environment failed, lost a process, called sys.exit, or returned something not
            finite, of a wrong shape or outside its space; the agent stays as its last update left it, and is saved if
            there is a run folder. An AsyncVectorEnv that has lost a process is closed.
    """
    saving = make_saving(checkpoint_every, keep_checkpoints, track, run_dir)
    plan, probes = make_plan(total_steps, seed, log_every, stop_return, step_timeout), probes_of_runs(probes)
    wrappers = None if wrappers is None else wrappers_of(wrappers)
    made_of = made_by(env, env_args, wrappers, agent.policy.num_learners, config)
    how: dict[str, Any] = {"wrappers": wrappers, "step_timeout": step_timeout}
    with (
        together(agent) as ranks,
        run_folder(run_dir, resume, ranks) as folder,
        open_env(env, num_envs, env_args, **_rows(agent), **how) as opened,
        open_eval_env(eval_env, eval_episodes, env_args, **how, num_learners=agent.policy.num_learners) as eval_opened,
    ):
        plan, eval_every = as_before(folder, plan, log_every, eval_every)
        run = _make_run(agent, opened, plan, (eval_opened, eval_every, eval_episodes), shard)
        reports = make_reports(run, opened, folder, probes, progress, saving)
        if folder is None or folder.goes_on(run, reports.say):
            _carry_out(run, reports, config_of(run, saving) | made_of, handle_signals)
    reports.say_stopped(run)
    return run.summary


def _rows(agent: Agent) -> dict[str, Any]:
    """Return what the agent needs of the rows of its environment."""
    return {"a_seed_each": "group_size" in agent.argument_names(), "num_learners": agent.policy.num_learners}


def _make_run(agent: Agent, env: gym.Env | VectorEnv, plan: Plan, evaluated: tuple[Any, Any, int], shard: bool) -> Run:
    check_spaces(agent.policy, agent.spaces, env)
    join(agent, {**asdict(plan), "shard": shard})
    if shard:
        share_parameters(agent)
    eval_env, eval_every, episodes = evaluated if agent.ranks.number == 0 else (None, None, evaluated[2])
    evaluations = make_evaluations(agent, env, eval_env, eval_every, episodes, plan)
    remember_spaces(agent, env)
    warn_of_threads(agent)
    collector = make_collector(agent, env, seed_of_rank(plan.seed, agent.ranks), plan.step_timeout)
    check_stop_return(agent, collector, plan.stop_return)
    decode = getattr(env.unwrapped, "decode", None)
    audits = Audits(agent.policy, most=agent.micro_batch_size, decode=decode, always=agent.spaces is None)
    several = LearnersProgress(len(agent.seeds)) if agent.policy.num_learners > 1 else None
    active = Active(agent, each_its_part=takes_its_part(agent, collector))
    return Run(
        active, collector, plan, evaluations, RunProgress("append_only" in env.metadata, learners=several), audits
    )


def _carry_out(run: Run, reports: Reports, config: dict[str, Any], handle_signals: bool) -> None:
    """Learn until the run is over, record it, and record the error or the signal if one cuts it off."""
    reports.track(config)
    if run.progress.learners is not None and (coupling := run.collector.coupling):
        reports.say(f"learners {run.collector.adapter.name} {coupling}: like single runs, not equal")
    with quiet_libraries(), Signals(handle_signals, lambda: reports.where(run)) as signals:
        try:
            reports.begin(run, config)
            with reports.bar:
                _loop(run, reports, signals)
            run.active.end(run.collector)
            # A new collector: the prompts and random numbers of the first rollout again.
            how: tuple[Any, ...] = run.agent, run.collector.adapter.env, run.plan.seed, run.plan.step_timeout
            reports.after_learning(run, lambda: next(make_collector(*how)))
        except BaseException as error:
            run.cut_off = signals.name or shortened(f"{type(error).__name__}: {error}".removesuffix(": "))
            vars(error)["ended_rank"] = run.ranks.number
            raise
        finally:
            signals.ends()
            run.active.end(run.collector)
            if not signals.at_once:
                reports.close(run)
                reports.say_ended(run, signals)


def _loop(run: Run, reports: Reports, signals: Signals) -> None:
    while not run.over:
        _iterate(run, reports)
        number, stopped = largest(run.ranks, signals.number or 0, int(run.stopped is not None))
        if stopped and not run.stopped:
            run.stop("rank 0 has stopped the run")
        if number and not run.over:
            signals.number = signals.number or number
            reports.interrupted(run)
            raise Stopping


def _iterate(run: Run, reports: Reports) -> None:
    run.progress.begins()
    vars(run).pop("rollout", None)  # is not held while the next one is collected
    rollout = next(run.collector).to(run.collector.device)
    if not (whole := whole_of(rollout, run.ranks)).num_transitions:
        return  # only resets: an update would move the parameters by Adam's momentum alone
    with run.progress.untimed():
        run.audits(rollout)
        if not run.steps:
            reports.before_learning(run, rollout)
    run.rollout = rollout
    _learn(run, whole)
    run.let_finish()
    reports.after_update(run)


def _learn(run: Run, rollout: Rollout) -> None:
    run.progress.collected(rollout)
    run.active.progresses(run.progress.share_before(run.total_steps))
    try:
        run.progress.learned(run.active.update(rollout))
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; it learned in {run.collector.where}") from error


def make_collector(agent: Agent, env: gym.Env | VectorEnv, seed: int, step_timeout: float | None = None) -> Collector:
    """Return the collector of what the agent learns from."""
    seeds: Any = seed if agent.policy.num_learners == 1 else agent.seeds
    if isinstance(agent.cadence, StepCadence):
        check_batch(agent, getattr(env, "num_envs", 1))
        return StepCollector(env, agent.policy, agent.cadence.num_steps, seed=seeds, step_timeout=step_timeout)
    return EpisodeCollector(env, agent.policy, **asdict(agent.cadence), seed=seeds, step_timeout=step_timeout)
