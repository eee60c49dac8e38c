"""Compares the results of two commits in the same cells, array by array."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, dict[str, Any]]  # a cell's name → its file, or how it was refused


def compare(old: Path, new: Path, tolerance: float = 0.0) -> dict[str, Any]:
    """Return which cells are equal, and how the others differ.

    Two arrays are equal if dtype, shape and every bit agree, or, with a tolerance, if |a − b| ≤ tolerance · max(1, |a|)
    everywhere. Cells that both commits refuse are equal if the error's class is.

    Args:
        old: the folder with the old commit's results.
        new: the folder with the new commit's results.
        tolerance: largest relative difference; 0: bit for bit.
    """
    before, after = (json.loads((folder / "cells.json").read_text()) for folder in (old, new))
    both = [name for name in before if name in after]
    rows = [{"cell": name} | _differences(before[name], after[name], old, new, tolerance) for name in both]
    refused = Counter(before[name]["refused"] for name in both if "refused" in before[name])
    unequal = [row for row in rows if set(row) - {"cell", "largest_difference"}]
    return {
        "cells": len(both),
        "trained": len(both) - refused.total(),
        "equal": len(both) - len(unequal),
        "largest_difference": max((row.get("largest_difference", 0.0) for row in rows), default=0.0),
        "refused_by": dict(refused),
        "unequal": unequal,
        "only_in_old": [name for name in before if name not in after],
        "only_in_new": [name for name in after if name not in before],
    }


def _differences(
    before: dict[str, Any], after: dict[str, Any], old: Path, new: Path, tolerance: float
) -> dict[str, Any]:
    """Return a cell's differences; only the largest number if all arrays count as equal."""
    if "refused" in before or "refused" in after:
        if before.get("refused") == after.get("refused"):
            return {}
        return {"old": _refusal(before), "new": _refusal(after)}
    with np.load(old / before["file"]) as mine, np.load(new / after["file"]) as theirs:
        a, b = dict(mine), dict(theirs)
    apart = {name: difference(a[name], b[name]) for name in a if name in b and not same_bits(a[name], b[name])}
    wrong = {name: value for name, value in apart.items() if not value <= tolerance}
    parts = {
        "differ": {name: None if np.isinf(value) else value for name, value in wrong.items()},
        "arrays_only_in_old": [name for name in a if name not in b],
        "arrays_only_in_new": [name for name in b if name not in a],
    }
    finite = [value for value in apart.values() if np.isfinite(value)]
    return {"largest_difference": max(finite, default=0.0)} | {name: part for name, part in parts.items() if part}


def _refusal(cell: dict[str, Any]) -> str:
    return f"{cell['refused']}: {cell['message']}" if "refused" in cell else "trained"


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays agree in dtype, shape and every bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return max |a − b| / max(1, |a|); ∞ for other shapes or dtypes, for texts, and where only one is finite."""
    if a.dtype != b.dtype or a.shape != b.shape or a.dtype.kind not in "biuf":
        return np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b) / np.maximum(1.0, np.abs(a))
    apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart)
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
