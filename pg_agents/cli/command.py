"""The command line: `pg-agents COMMAND`, one of `COMMANDS`.

Bad input gives one sentence on standard error and exit code 2. A ValueError whose message does not begin with an
argument's name is a bug of this program, and keeps its traceback.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

from pg_agents.at_once import heed_commands
from pg_agents.cli.demo import demo
from pg_agents.cli.evaluating import run_evaluation
from pg_agents.cli.exporting import run_export
from pg_agents.cli.generation import run_generation
from pg_agents.cli.launched import check_command, heard, in_turn, processes, rank, speaks
from pg_agents.cli.listing import show_list
from pg_agents.cli.mistakes import FLAG, OURS, is_a_mistake
from pg_agents.cli.options import (
    PROGRAM,
    EvaluateOptions,
    ExportOptions,
    GenerateOptions,
    GradientsOptions,
    ListOptions,
    Options,
    PushOptions,
    ResumeOptions,
    RunsOptions,
    TrainOptions,
    TuneCommand,
)
from pg_agents.cli.parsing import parse
from pg_agents.cli.resuming import run_resuming
from pg_agents.cli.seeds import holds_batch, holds_seeds, resume_seeds, run_seeds
from pg_agents.cli.terminal import complain, nobody_reads, prepare, say, warnings_as_lines
from pg_agents.cli.training import run_training
from pg_agents.errors import (
    LostRankError,
    Terminated,
    UserError,
)

TYPED = {
    "env": "ENV",
    "agent": "AGENT",
    "command": "COMMAND",
    "path": "PATH",
    "runs": "RUN",
    "repo": "REPO",
    "prompts": "PROMPT",
    "env_args": "--env-arg",
    "wrappers": "--wrapper",
}  # fmt: skip; else --name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` and return its exit code: 0, 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    prepare()
    heed_commands()
    typed = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings_as_lines(heard=rank() == 0):
            _finish(parse(typed))
    except Terminated as end:
        if heard(end):
            say(f"terminated: {end}", sys.stderr)
        return 143
    except SystemExit as end:  # after help, and after tyro has printed an option's error
        return int(end.code or 0)
    except KeyboardInterrupt as end:
        if heard(end):
            say(f"interrupted{': ' + str(end) if str(end) else ''}", sys.stderr)
        return 130
    except BrokenPipeError:
        if not nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, *OURS) as error:
        message = str(error)
        if is_a_mistake(error):
            raise
        again = getattr(error, "again", "")
        line = f": {shlex.join([PROGRAM, *typed, again])}" if again else ""
        if speaks(error):
            where = f"rank {rank()}: " if rank() and not isinstance(error, LostRankError) else ""
            complain(where + FLAG.sub(_as_typed, message, count=1) + line)
        in_turn(error)
        return 2
    return 0


def _as_typed(name: re.Match[str]) -> str:
    return TYPED.get(name[0], f"--{name[0].replace('_', '-')}")


def _finish(options: Options) -> None:
    """Run the command; if something in it calls sys.exit, perhaps an environment, that is an error."""
    try:
        _do(options)
    except Terminated:
        raise
    except SystemExit as end:
        raise UserError(f"sys.exit({end.code!r}) was called before this command had finished") from end
    sys.stdout.flush()


def _do(options: Options) -> None:
    of_seeds = isinstance(options, TrainOptions) and options.seeds is not None
    of_seeds |= isinstance(options, ResumeOptions) and holds_seeds(options.path)
    shared = of_seeds or isinstance(options, ResumeOptions) and holds_batch(options.path)
    check_command(options)
    if processes() > 1 and shared and isinstance(options, TrainOptions | ResumeOptions):
        from pg_agents.cli.seeds_shared import run_shared  # here: few commands share seeds out

        run_shared(options)
    elif isinstance(options, ListOptions):
        show_list(as_json=options.json)
    elif isinstance(options, TrainOptions):
        (run_seeds if of_seeds else run_training)(options)
    elif isinstance(options, TuneCommand):
        from pg_agents.cli.tuning import run_tuning  # here: it imports what only this command needs

        run_tuning(options)
    elif isinstance(options, ResumeOptions):
        (resume_seeds if of_seeds else run_resuming)(options)
    elif isinstance(options, EvaluateOptions):
        run_evaluation(options)
    elif isinstance(options, PushOptions):
        from pg_agents.cli.pushing import run_pushing  # here: it imports what only this command needs

        run_pushing(options)
    elif isinstance(options, ExportOptions):
        run_export(options)
    elif isinstance(options, GenerateOptions):
        run_generation(options)
    elif isinstance(options, RunsOptions):
        from pg_agents.cli.comparing import run_comparison  # here: most commands read no runs

        run_comparison(options)
    elif isinstance(options, GradientsOptions):
        from pg_agents.cli.measure import run_gradients  # here: it imports what only this command needs

        run_gradients(options)
    else:
        demo(options.root, scale=options.scale, processes=options.processes, seed=options.seed, quiet=options.quiet)
