"""`pg-agents push`: a run's agent with a card, to a folder or to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from pg_agents.cli.options import PushOptions
from pg_agents.cli.runs import run_and_agent
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.hub.push import check_repo, contents_of, to_folder, to_hub
from pg_agents.hub.run_folder import read_run

LOCAL = ("/", "./", "../", "~")


def run_pushing(options: PushOptions) -> None:
    """Push a run, and say what was pushed."""
    repo, folder = options.repo, options.to
    if repo is not None and (repo.startswith(LOCAL) or repo in (".", "..")):
        if folder is not None:
            raise UserError(f"repo: {repo} is a folder, and --to {folder} another; give one of the two")
        folder, repo = Path(repo).expanduser(), None
    if repo is None and folder is None:
        raise UserError("repo: it is missing; give a repository like OWNER/NAME, or a folder with --to")
    if repo is not None and folder is None:
        check_repo(repo)
    contents = contents_of(read_run(run_and_agent(options.path)[0]), repo, events=options.events)
    if folder is not None:
        to_folder(contents, folder)
        where = str(folder)
    else:
        assert repo is not None
        where = to_hub(contents, repo, private=options.private)
    for name in sorted(contents):
        say(f"file     {name}")
    say(f"pushed   {where}")
