"""`pg-agents gradients`: every estimator of the policy gradient against the exact one, in a small problem."""

from __future__ import annotations

import json
import shlex
from contextlib import closing

import torch

from pg_agents.checks import whole_number
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.options import GradientsOptions
from pg_agents.cli.runs import run_folder
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.gradients.report import reports_on, write
from pg_agents.gradients.sources import problem_of
from pg_agents.spaces.environments import make_single_env


def run_gradients(options: GradientsOptions) -> None:
    """Measure, print the tables (or JSON), and write them with their images to a run folder."""
    whole_number("seed", options.seed)
    if options.horizon is not None and options.horizon < 1:
        raise UserError(f"horizon must be at least 1, got {options.horizon}")
    torch.set_num_threads(1)
    arguments = parse_arguments(options.env_arg)
    with (
        closing(make_single_env(options.env, arguments)) as env,
        run_folder(options.run_dir, f"gradients-{options.env}") as run_dir,
    ):
        problem = problem_of(env, discount=options.discount, horizon=options.horizon, seed=options.seed)
        sizes = {"samples": options.samples, "batch_size": options.batch_size}
        reports = reports_on(env, problem, seed=options.seed, **sizes)
        config = {"command": "gradients", "env": options.env, "env_args": arguments, "seed": options.seed, **sizes}
        write(reports, run_dir, config | {"discount": options.discount, "horizon": options.horizon})
    if options.json:
        print(
            json.dumps({"run_dir": str(run_dir), **reports[0].as_dict(), "others": [r.as_dict() for r in reports[1:]]})
        )
        return
    say("\n\n".join(report.table() for report in reports))
    say(f"\nrun      {run_dir}\nnext     tensorboard --logdir {shlex.quote(str(run_dir))}")
