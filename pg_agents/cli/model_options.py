"""The options of the commands that use a trained policy outside of its run: `generate` and `export`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from pg_agents.cli.importing import Imports

RunPath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PATH")]


@dataclasses.dataclass
class GenerateOptions:
    """Continue texts with the language model of a run, or with a network of ours that reads characters."""

    path: RunPath
    """A run's folder, as train wrote it, or a saved agent's; with /best added, the agent that did best in the run's
    evaluations."""
    prompts: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PROMPT")]
    """Texts, each in quotes; - is what stands on standard input."""
    max_new_tokens: int | None = None
    """The most tokens in a completion; by default 64, or of a network of ours as in training."""
    greedy: bool = False
    """Take the most probable tokens instead of sampling."""
    num: int = 1
    """Completions of each text."""
    seed: int = 0
    """Seed of the sampled tokens."""
    temperature: float | None = None
    """Temperature of a language model; by default as in training."""
    chat: bool = False
    """Each text is what a user says in a chat: the tokenizer's template goes around it."""
    device: str = "cpu"
    """The device that holds the networks: cpu, cuda, cuda:1."""
    trust_run_folder: bool = False
    """Import the module that the folder's config.json names, which runs its code."""
    imports: Imports = ()
    json: bool = False
    """Write JSON to standard output."""


@dataclasses.dataclass
class ExportOptions:
    """Write a trained policy as a file in the ONNX format, or a language model as a folder that transformers loads."""

    path: RunPath
    """A run's folder, as train wrote it, or a saved agent's; with /best added, the agent that did best in the run's
    evaluations."""
    to: Path
    """The file to write, like policy.onnx; for a language model, a new folder."""
    sample: bool = False
    """Draw actions with random numbers that the file takes as an input, instead of the most probable ones."""
    action_mask: bool = False
    """Take masks of allowed actions beside the observations, as environments give them in their info."""
    adapters: Literal["merged", "apart"] | None = None
    """A language model's LoRA adapters: merged into its parameters, the default, or apart, as peft's folder."""
    base: str | None = None
    """The base model that adapters which are apart name, a folder or a name; by default that of training."""
    imports: Imports = ()
    json: bool = False
    """Write JSON to standard output."""
