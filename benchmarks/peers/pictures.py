"""The picture of the ratios, from what the results hold."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from benchmarks.peers.workloads import WORKLOADS  # noqa: E402

NAMES = {
    "sb3": "Stable-Baselines3",
    "cleanrl": "CleanRL",
    "floor": "loop without abstractions",
    "bare": "bare env.step",
    "ours, ALE's vector form": "ours in ALE's vector form",
    "ours, in turn": "ours one after the other",
    "ours, two processes": "ours in two processes",
    "sb3, two processes": "Stable-Baselines3 in two processes",
    "rejax": "rejax, with compiling",
    "rejax, compiled": "rejax, compiled before",
    "Gymnasium's form": "Gymnasium's form of the environment",
    "trl": "TRL",
    "trl, no checkpointing": "TRL, no checkpointing",
}


def plot_peers(folder: Path) -> None:
    """Draw a bar for every ratio of ours to another side, the range over rounds, and a mark for what was asked."""
    rows = []
    for name, workload in WORKLOADS.items():
        path = folder / f"peers-{name}.json"
        if path.exists() and workload.subject == "ours":
            rows += [(name, row) for row in json.loads(path.read_text())["ratios"]]
    if not rows:
        return
    figure, axes = pyplot.subplots(figsize=(8, 0.9 + 0.42 * len(rows)), layout="constrained")
    for y, (_, row) in enumerate(rows):
        axes.barh(y, row["median"], color="#00798c" if row["met"] else "#d1495b", height=0.6)
        axes.plot([min(row["each"]), max(row["each"])], [y, y], color="black", linewidth=1)
        if row["at_least"]:
            axes.plot([row["at_least"]] * 2, [y - 0.4, y + 0.4], color="#edae49", linewidth=2.5)
        axes.annotate(
            f" {row['median']:.2f} ×", (max(*row["each"], row["median"], row["at_least"]), y), va="center", fontsize=8
        )
    axes.set_yticks(range(len(rows)), [f"{name}: {NAMES[row['over']]}" for name, row in rows], fontsize=8)
    axes.set(xscale="log", xlabel="times as fast as …  (bar: median; line: range over rounds; yellow: asked)")
    axes.axvline(1.0, color="grey", linewidth=0.8)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    figure.savefig(folder / "peers.png", dpi=110)
    pyplot.close(figure)
