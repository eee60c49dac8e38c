"""Demo."""

from pathlib import Path


def demo(root: Path, *, scale: float, processes: int, seed: int) -> None:
    """Demo."""
