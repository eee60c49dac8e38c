"""Several seeds, each in a process of its own, or shared out among processes that a launcher has started."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pg_envs

from pg_agents.cli.parallel import in_processes
from pg_agents.cli.resuming import next_lines, resume_line
from pg_agents.cli.seed_process import Seed, train_seed
from pg_agents.cli.seeds_bar import bar
from pg_agents.cli.seeds_results import summarize, table
from pg_agents.cli.terminal import say
from pg_agents.data.shares import ALONE, Ranks
from pg_agents.errors import LostRankError, Terminated, UserError
from pg_agents.training.over_seeds import PROCESSES
from pg_agents.training.ranks import first_opens, told
from pg_agents.training.run_files import SUMMARY, writable
from pg_agents.training.signals import Signals, Stopping
from pg_agents.training.store_ranks import StoreRanks, looking, of_every

Failed = list[tuple[int, str]]  # seeds whose runs have failed, the first of a batch, and why


def in_own_processes(
    work: Sequence[Seed],
    run_dir: Path,
    jobs: int,
    known: pg_envs.KnownReturns,
    *,
    quiet: bool,
    as_json: bool = False,
    ranks: Ranks = ALONE,
) -> None:
    """Train each seed in a process, and print the results; whoever has finished before is left alone.

    Args:
        work: the seeds' runs.
        run_dir: the folder of their folders.
        jobs: so many at a time in this process or in new ones.
        known: known returns of the environment.
        quiet: print nothing.
        as_json: print the summary as one line of JSON.
        ranks: the processes that share out the seeds; all wait for the last, and the first writes and prints.

    Raises:
        UserError: the run of a seed has failed; the others were carried out.
        KeyboardInterrupt, Terminated: the runs were ended, in order; the message says how they go on.
        LostRankError: another process has ended; the message says the same.
    """
    seeds, failed, found = [seed for job in work for seed in job.seeds], Failed(), dict[str, Any]()
    with first_opens(ranks, _unfinished(work, run_dir)) as left:
        parts = share_out(of_every(ranks, left)[0], [len(job.seeds) for job in work], ranks.count)
    out = None if quiet or ranks.number else sys.stderr if as_json else sys.stdout
    if out is not None and any(parts) and (idle := parts.count([])):
        say(f"seeds    {idle} of {len(parts)} processes without work, as a batch is not divided", out)
    try:
        with bar(work, out) as show:
            some = [work[place] for place in parts[ranks.number]]
            errors = in_processes(train_seed, some, min(jobs, len(some)), show) if some else []
            mine_failed = [(job.seeds[0], error) for job, error in zip(some, errors, strict=True) if error is not None]
            failed = _of_all(ranks, mine_failed, show)
    except (KeyboardInterrupt, Terminated, LostRankError) as error:
        raise _ended(error, work, run_dir, ranks) from error
    finally:
        if ranks.number == 0:
            found = summarize(run_dir, seeds, PROCESSES)
    if ranks.number == 0:
        found = {"run_dir": str(run_dir), "agent": work[0].agent, "env": work[0].config.env, **found}
        _show(found, known, quiet, as_json)
    with suppress(LostRankError):  # it says itself what it could not write or print
        told(ranks, "")  # the others wait until the first has
    if failed:
        others = f"; so have those of {', '.join(str(seed) for seed, _ in failed[1:])}" if failed[1:] else ""
        raise UserError(f"the run of seed {failed[0][0]} has failed{others}: {failed[0][1]}")


@contextmanager
def _unfinished(work: Sequence[Seed], run_dir: Path) -> Iterator[list[int]]:
    """A context with the places of the runs that have not finished; if there are any, there is no summary of all."""
    left = [place for place, job in enumerate(work) if not job.has_finished]
    if left:
        with writable("run_dir", run_dir):
            (run_dir / SUMMARY).unlink(missing_ok=True)  # whoever reads it believes that all have finished
    yield left


def share_out(places: Sequence[int], sizes: Sequence[int], count: int) -> list[list[int]]:
    """Return which of the places are each rank's: parts of neighbours, whose sizes add up to nearly the same.

    Each is that of the rank in whose part of the line its middle lies. So are the parts of what it consists of: if each
    rank's part becomes one, that is its part again.
    """
    total, before, parts = sum(sizes[place] for place in places), 0, [list[int]() for _ in range(count)]
    for place in places:
        parts[(2 * before + sizes[place]) * count // (2 * total)].append(place)
        before += sizes[place]
    return parts


def _of_all(ranks: Ranks, mine: Failed, show: Callable[[], None]) -> Failed:
    """Return what has failed on all ranks, once all are ready; a signal ends the wait."""
    if ranks.count == 1:
        return mine

    def look() -> None:
        show()
        if signals.number is not None:
            raise Stopping

    with Signals(True, str) as signals, looking(ranks, look):
        every = of_every(ranks, mine)
    return [(seed, error) for failed in every for seed, error in failed]


def _ended(error: BaseException, work: Sequence[Seed], run_dir: Path, ranks: Ranks) -> BaseException:
    """Return the error that says how the runs go on; of several ranks one says it, whichever is the first."""
    if isinstance(error, LostRankError):
        return LostRankError(f"{error}\n{resume_line(run_dir)}")
    done, count = (sum(len(job.seeds) for job in jobs) for jobs in ([j for j in work if j.has_finished], work))
    end = type(error)(f"{done} of {count} seeds have finished\n{resume_line(run_dir)}")
    vars(end)["speaks"] = ranks.is_first() if isinstance(ranks, StoreRanks) else True
    return end


def _show(found: dict[str, Any], known: pg_envs.KnownReturns, quiet: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
    elif not quiet:
        run_dir = Path(found["run_dir"])
        say(f"{table(found, known)}\nrun      {run_dir}\n{next_lines(run_dir, found['env'], found['seeds'])}")
