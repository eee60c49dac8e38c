"""A folder of seeds of which some learn as a batch: the batch has a folder in it, beside those of its learners.

The folder's config.json says which: "batches": [[0, 1], [2, 3]] are the folders batch-0 and batch-2, as runs of several
learners, whose own folders stand beside them, seed-0 to seed-3, where they would be if each had been trained alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_agents.training.run_files import CONFIG

BATCHES = "batches"


def batch_name(seeds: Sequence[int]) -> str:
    """Return the name of a batch's folder."""
    return f"batch-{seeds[0]}"


def batches_in(folder: Path) -> list[list[int]]:
    """Return the seeds of each batch whose folder is in a folder; []: it holds none, or says something else."""
    try:
        found: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get(BATCHES)
    except (OSError, ValueError, AttributeError, RecursionError):
        return []
    return found if are_batches(found) else []


def are_batches(found: object) -> bool:
    """Return whether something that was read says which seeds learn as batches: different ones, two or more in each."""
    if not isinstance(found, list) or not all(isinstance(batch, list) and len(batch) > 1 for batch in found):
        return False
    seeds = [seed for batch in found for seed in batch]
    return all(type(seed) is int and seed >= 0 for seed in seeds) and len({*seeds}) == len(seeds)


def place_of_learners(run_dir: Path) -> Path:
    """Return the folder that has those of a run's learners in it: the run's, or of a batch that it stands in."""
    parent = run_dir.resolve().parent
    beside = run_dir.name.startswith("batch-") and run_dir.name in map(batch_name, batches_in(parent))
    return parent if beside else run_dir


def run_with(folder: Path, seed: int) -> Path:
    """Return the folder of the run of several learners of which one, whose folder stands in `folder`, has a seed."""
    return next((folder / batch_name(batch) for batch in batches_in(folder) if seed in batch), folder)
