"""What is pushed of a run, file by file: to a folder, or to a repository of the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pg_agents.agents.common.files import FILES
from pg_agents.comparison.finding import runs_in
from pg_agents.comparison.groups import panels_of
from pg_agents.comparison.measures import measure
from pg_agents.comparison.pictures import draw, looks_of, picture
from pg_agents.comparison.runs import read_runs
from pg_agents.errors import UserError
from pg_agents.extras import install_line
from pg_agents.folders import write_files
from pg_agents.hub.card import CURVE, card
from pg_agents.hub.run_folder import RunFolder, without_places
from pg_agents.manifest import MANIFEST, listed
from pg_agents.shown import shown
from pg_agents.training.run_files import CONFIG, METRICS, SUMMARY, event_files, writable
from pg_agents.training.writers import empty_folder

Contents = dict[str, Path | bytes]  # name in the repository → a file, or what is to be written
REPO = re.compile(r"([\w.-]+/)?[\w.-]+")
CURVES = "rollout/ep_rew_mean", "eval/ep_rew_mean", "train/gain"  # the first that the run has is drawn
UNFIT = LookupError, TypeError, ValueError, AttributeError, RecursionError
PART = 2**24  # bytes that are searched at a time


def contents_of(run: RunFolder, repo: str | None = None, *, events: bool = False) -> Contents:
    """Return what is pushed of a run, by name: nothing else of its folder is.

    Args:
        run: the run.
        repo: where the card says it can be downloaded.
        events: push TensorBoard's event files, too, under names without that of the machine.

    Raises:
        UserError: a file is a link, names a folder of this machine, or says what no run does.
    """
    curve = _curve(run)
    found: Contents = {} if curve is None else {CURVE: curve}
    try:
        found["README.md"] = card(run, repo, curve=curve is not None).encode()
    except UNFIT as error:
        path = run.path / CONFIG
        raise UserError(f"path: {path} or {SUMMARY} is damaged or not of this program ({shown(error)})") from error
    found |= {CONFIG: _json(run.config), SUMMARY: _json(run.summary), METRICS: run.path / METRICS}
    for agent in run.agents:
        found |= _agent(run.path / agent, agent)
    if events:
        found |= {f"events.out.tfevents.{i}": path for i, path in enumerate(event_files(run.path))}
    for name, content in found.items():
        _check_private(run, name, content)
    return found


def to_folder(contents: Mapping[str, Path | bytes], folder: Path) -> None:
    """Write a folder, which is new or empty.

    Raises:
        ValueError: it is not empty, or cannot be written.
    """
    with writable("to", folder):
        empty_folder(folder, argument="to")
        for name in contents:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if isinstance(content, Path):
                shutil.copyfile(content, folder / name)
        write_files({folder / name: content for name, content in contents.items() if isinstance(content, bytes)})


def check_repo(repo: str) -> None:
    """Raise UserError if a text is no name of a repository, huggingface_hub is missing, or nobody is logged in."""
    if not REPO.fullmatch(repo):
        raise UserError(f"repo: {repo!r} is no name of a repository; give one like OWNER/NAME, or a folder with --to")
    try:
        from huggingface_hub import get_token
    except ImportError as error:
        raise UserError(f"repo: huggingface_hub is not installed: {install_line('huggingface_hub')}") from error
    if get_token() is None:
        raise UserError("repo: you are not logged in to the Hugging Face Hub; type hf auth login, or use --to FOLDER")


def to_hub(contents: Mapping[str, Path | bytes], repo: str, *, private: bool) -> str:
    """Upload in one commit to a repository, which is made if there is none; return its address.

    Raises:
        UserError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, files = HfApi(), [CommitOperationAdd(name, _given(content)) for name, content in contents.items()]
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.create_commit(url.repo_id, files, commit_message="Push a run of pg-agents")
    except Exception as error:  # of HTTP, of the Hub, of the system
        raise UserError(
            f"repo: {repo} cannot be uploaded ({shown(error, 400)}); --to FOLDER needs no network"
        ) from error
    return str(url)


def _given(content: Path | bytes) -> str | bytes:
    return str(content) if isinstance(content, Path) else content


def _json(values: Any) -> bytes:  # noqa: ANN401
    return (json.dumps(values, indent=2) + "\n").encode()


def _agent(path: Path, name: str) -> Contents:
    """Return the files of a saved agent: its description without places of this machine, in the manifest too."""
    names = [one for one in sorted(listed(path)) if (path / one).is_file()] if (path / MANIFEST).is_file() else [*FILES]
    found: Contents = {f"{name}/{one}": path / one for one in names}
    description = json.loads((path / FILES[0]).read_text(encoding="utf-8"))
    cleaned = without_places(description)
    if cleaned == description:
        return found
    found[f"{name}/{FILES[0]}"] = text = _json(cleaned)
    if MANIFEST in names:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        manifest["files"][FILES[0]] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        found[f"{name}/{MANIFEST}"] = _json(manifest)
    return found


def _curve(run: RunFolder) -> bytes | None:
    """Return the picture of the learning curve, of several seeds with their band; None: there is nothing to draw."""
    for metric in CURVES:
        with suppress(UserError):
            runs, _ = read_runs(runs_in([run.path]), metric)
            known = run.known if metric != CURVES[-1] else {}
            lines = {"optimum": known["optimal"]} if "optimal" in known else {}
            lines |= {"random": known["random"]} if "random" in known else {}
            panels = [measure(panel, lines) for panel in panels_of(runs)]
            return picture(draw(panels, metric, looks_of(panels)), "png")
    return None


def _check_private(run: RunFolder, name: str, content: Path | bytes) -> None:
    """Raise UserError if a file is a link, or names the folder of the run or the user's home."""
    if isinstance(content, Path) and content.is_symlink():
        raise UserError(f"path: {content} is a link; replace it by the file, which is then pushed")
    places = {str(run.path.resolve().parent), str(Path.home())}
    private = [place.encode() for place in places if len(Path(place).parts) > 2]  # /root is a word of models, too
    if any(place in part for part in _parts(content) for place in private):
        hint = "; leave out --events" if name.startswith("events.") else "; remove the text, or push another run"
        raise UserError(f"path: {name} of {run.path} names a folder of this machine, and is not pushed{hint}")


def _parts(content: Path | bytes) -> Any:  # noqa: ANN401
    """Yield a file's bytes in parts that overlap."""
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        before = b""
        while part := file.read(PART):
            yield before + part
            before = part[-4096:]
