"""The options of the command that pushes a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

Repo = Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="REPO", help_behavior_hint="(or --to FOLDER)")]


@dataclasses.dataclass
class PushOptions:
    """Push a run's agent, with a card of its results, to the Hugging Face Hub or to a folder."""

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PATH")]
    """A run's folder, as train wrote it."""
    repo: Repo = None
    """A repository of the Hub, OWNER/NAME, which is made if there is none; or a folder that begins with ./, ../, / or
    ~."""
    to: Path | None = None
    """Write a new or empty folder instead; needs no network. With REPO, the card says that it will be there."""
    events: bool = False
    """Push TensorBoard's event files, too."""
    private: bool = False
    """Make a new repository private."""
