"""`pg-agents export`: writes the policy of a run, or of a saved agent, in a form that other programs run."""

from __future__ import annotations

import json
import re
from typing import Any

from pg_agents.cli.evaluating import load_agent
from pg_agents.cli.options import ExportOptions
from pg_agents.cli.runs import run_and_agent, seeds_in
from pg_agents.cli.terminal import say
from pg_agents.errors import NotSavedError, SavedFilesError, UserError
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.run_files import AGENT, BEST

OTHERS = (".pt", ".pth", ".bin", ".safetensors", ".gguf", ".zip", ".tflite", ".onnx")  # names of files


def run_export(options: ExportOptions) -> None:
    """Load an agent and write its policy: to a file in the ONNX format, or a language model's to a folder."""
    run_dir, saved = run_and_agent(options.path)
    if (options.path / "agent.json").is_file():  # the folder of an agent that belongs to no run
        saved = options.path
    seeds = seeds_in(run_dir)
    if seeds and (saved == run_dir / AGENT or not saved.is_dir()):
        one = run_dir / folder_of(seeds[0])
        raise UserError(f"path: {run_dir} holds the learners of {len(seeds)} seeds; name one of them, like {one}")
    agent: Any = load_agent(saved)
    language = "policy" in agent.networks
    try:
        (_export_language_model if language else _export)(agent, options)
    except (NotSavedError, SavedFilesError, UserError) as error:  # arguments have other names in Python
        names = re.sub(r"\Apath:", "to:", str(error)), re.sub(r"\Apolicy:", "path:", str(error))
        raise UserError(next((text for text in names if text != str(error)), str(error))) from error
    kind = "language model" if language else "sampled actions" if options.sample else "greedy actions"
    if options.json:
        print(json.dumps({"agent": str(saved), "to": str(options.to), "kind": kind}))
        return
    say(f"{agent.name} of {saved}, {kind}")
    say(f"written to {options.to}")
    if saved == run_dir / AGENT and (run_dir / BEST).is_dir():
        say(
            f"the agent that did best in the run's evaluations is another one: pg-agents export {run_dir / BEST} --to …"
        )


def _export(agent: Any, options: ExportOptions) -> None:  # noqa: ANN401
    for name in ("adapters", "base"):
        if getattr(options, name) is not None:
            raise UserError(f"{name}: it is for language models; leave it out for a policy in the ONNX format")
    if options.to.suffix in OTHERS[:-1]:
        file = options.to.with_suffix(".onnx")
        raise UserError(f"to: a policy is written in the ONNX format, not as {options.to.suffix}; give {file}")
    agent.export(options.to, sample=options.sample, action_mask=options.action_mask)


def _export_language_model(agent: Any, options: ExportOptions) -> None:  # noqa: ANN401
    """Write a language model to a folder that transformers loads."""
    for name in ("sample", "action_mask"):
        if getattr(options, name):
            raise UserError(f"{name}: it is for policies in the ONNX format; leave it out for a language model")
    if options.to.suffix in OTHERS:
        folder = options.to.with_suffix("")
        raise UserError(
            f"to: a language model is written as a folder that transformers loads, not as {options.to.suffix}; give "
            f"{folder}"
        )
    agent.save_pretrained(options.to, adapters=options.adapters or "merged", base=options.base)
