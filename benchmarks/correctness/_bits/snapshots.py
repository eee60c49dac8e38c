"""The packages as they were at a commit, or as they are in a checkout, in folders of their own."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "build" / "bits"  # ignored by git


def identity(what: str) -> str:
    """Return what a state of the code is called: the commit's short hash, "+" and the files' hash where they differ.

    Args:
        what: a commit, or the folder of a checkout, whose files, those that git has been told of, are taken as they
            are.

    Raises:
        subprocess.CalledProcessError: git knows no such commit.
    """
    if not Path(what).is_dir():
        return _git("rev-parse", "--short=10", f"{what}^{{commit}}")
    changed = _git("stash", "create", folder=what)  # a commit of the files as they are; nothing is put aside
    commit = _git("rev-parse", "--short=10", "HEAD", folder=what)
    return f"{commit}+{_git('rev-parse', '--short=10', f'{changed}^{{tree}}', folder=what)}" if changed else commit


def snapshot(name: str) -> Path:
    """Return a folder with the packages of a state of the code, by its identity; it is made once."""
    place = PLACE / name
    if not place.exists():
        packed = subprocess.run(
            ["git", "archive", name.rpartition("+")[2], "pg_agents", "envs"], cwd=ROOT, capture_output=True, check=True
        )
        PLACE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PLACE) as folder:
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
                archive.extractall(Path(folder) / "tree", filter="data")
            if not place.exists():  # another process may have been faster
                os.rename(Path(folder) / "tree", place)
    return place


def _git(*arguments: str, folder: str | Path = ROOT) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
