"""`--seeds` in processes that a launcher has started: each trains its part of them, alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

from pg_agents.checkpoints.machine import machine
from pg_agents.cli.launched import launched_store, restarts
from pg_agents.cli.options import ResumeOptions, TrainOptions
from pg_agents.cli.resuming import run_resuming
from pg_agents.cli.runs import RunConfig, run_folder
from pg_agents.cli.seeds import begun, holds_seeds, jobs_of, resume_seeds, say_way, stacked, write_typed
from pg_agents.cli.seeds_apart import in_own_processes, share_out
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.training.ranks import check_same, first_opens, told
from pg_agents.training.store_ranks import of_every


def run_shared(options: TrainOptions | ResumeOptions) -> None:
    """Begin, or go on with, several seeds."""
    if isinstance(options, ResumeOptions):
        resume_shared(options)
    else:
        train_shared(options)


def train_shared(options: TrainOptions) -> None:
    """Train with several seeds, each process with its part of them; the first prints the results of each and of all."""
    run, seeds = options.run, options.seeds or []
    with ExitStack() as opened:
        ranks = opened.enter_context(launched_store())
        config, known = begun(options)
        if len(seeds) < ranks.count:
            raise UserError(f"seeds: {len(seeds)} cannot be shared out among {ranks.count} processes; start fewer")
        versions = {name: machine()[name] for name in ("pg_agents", "torch")}
        check_same(ranks, {"agent": options.agent.name, **options.arguments, **asdict(run), "seeds": seeds, **versions})
        if restarts() and run.run_dir is not None and holds_seeds(run.run_dir):
            resume_seeds(_as_before(options), ranks)
            return
        places = share_out(range(len(seeds)), [1] * len(seeds), ranks.count)[ranks.number]
        mine = [seeds[place] for place in places]
        parts = of_every(ranks, [mine, _why_not_stacked(options, config, mine)])
        batches = [part for part, why in parts if why is None]
        with first_opens(ranks, _new_folder(options, config, batches)) as made:
            run_dir = Path(told(ranks, str(made or "")))
            if blind := [number for number, seen in enumerate(of_every(ranks, holds_seeds(run_dir))) if not seen]:
                disk = "give a folder on a disk that the machines of all processes see"
                raise UserError(f"run_dir: {run_dir.resolve()} is not there for rank {blind[0]}; {disk}")
            if ranks.number == 0:
                say_way(run, _way(parts))
            work = jobs_of(run_dir, config, options.agent.name, options.arguments, seeds, batches)
            in_own_processes(work, run_dir, 1, known, quiet=run.quiet, as_json=run.json, ranks=ranks)


def resume_shared(options: ResumeOptions) -> None:
    """Go on with several seeds, each process with its part of what has not finished; one batch goes on in the first."""
    with launched_store() as ranks:
        check_same(ranks, asdict(options))
        if holds_seeds(options.path):
            resume_seeds(options, ranks)
            return
        if ranks.number == 0 and not options.quiet:
            text = f"seeds    one batch goes on, in the first of {ranks.count} processes; the others have nothing to do"
            say(text, sys.stderr if options.json else None)
        with first_opens(ranks, _gone_on(options)):
            pass


@contextmanager
def _gone_on(options: ResumeOptions) -> Iterator[None]:
    run_resuming(options, alone=True)
    yield


def _why_not_stacked(options: TrainOptions, config: RunConfig, seeds: Sequence[int]) -> str | None:
    """Return why some of the seeds cannot learn as a batch; None: they can."""
    with ExitStack() as tried:
        made = stacked(replace(options, seeds=list(seeds)), replace(config, seed=seeds[0]), tried)
    return made if isinstance(made, str) else None


@contextmanager
def _new_folder(options: TrainOptions, config: RunConfig, batches: Sequence[Sequence[int]]) -> Iterator[Path]:
    with run_folder(options.run.run_dir, f"{options.agent.name}-{options.run.env}") as run_dir:
        write_typed(run_dir, options, config, batches)
        yield run_dir


def _as_before(options: TrainOptions) -> ResumeOptions:
    """Return how the run goes on that torchrun has started again."""
    assert options.run.run_dir is not None
    run = {one.name: getattr(options.run, one.name) for one in fields(ResumeOptions) if hasattr(options.run, one.name)}
    return ResumeOptions(options.run.run_dir, **run, trust_run_folder=True)


def _way(parts: Sequence[tuple[Sequence[int], str | None]]) -> str:
    """Return in which way the parts of the ranks are trained, as text."""
    count = sum(len(seeds) for seeds, _ in parts)
    texts = [f"{len(seeds)} {_how(seeds, why)}" for seeds, why in parts]
    reasons = dict.fromkeys(why for seeds, why in parts if why is not None and len(seeds) > 1)
    each, why = " or ".join(dict.fromkeys(texts)), f" ({'; '.join(reasons)})" if reasons else ""
    return f"seeds    {count} seeds shared out among {len(parts)} processes, in each {each}{why}"


def _how(seeds: Sequence[int], why_not_stacked: str | None) -> str:
    if len(seeds) == 1:
        return "alone"
    return "stacked in one batch" if why_not_stacked is None else "in turn"
