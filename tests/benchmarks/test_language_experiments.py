"""The experiments on language models: what they measure, small, and what their tables say."""

from dataclasses import asdict, replace

import pytest
import torch

from benchmarks.language import rlhf, smollm2, tokens_memory
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_utility_falls_where_the_symbol_stands_too_often():
    assert [rlhf.utility((1,), [1] * count) for count in range(9)] == [0, 2, 4, 6, 4, 2, 0, -2, -4]
    assert rlhf.utility((1,), [2, 1, 0, 1]) == 4 and max(rlhf.utility((1,), [1] * n) for n in range(9)) == rlhf.BEST


def test_a_policy_is_trained_against_a_reward_model(monkeypatch):
    monkeypatch.setattr(rlhf, "PAIRS", 32)
    monkeypatch.setattr(rlhf, "ROWS", 16)
    found = rlhf.run(replace(rlhf.CELLS[1], updates=2), 0)
    assert [point["update"] for point in found["curve"]] == [0, 1, 2] and len(found["losses"]) == 5
    assert found["curve"][0]["kl"] == pytest.approx(0, abs=1e-5) and found["curve"][2]["kl"] != 0
    assert found["accuracy"].keys() == {"training", "unseen"}


def test_preferences_are_told_by_their_last_updates():
    def result(utility):
        curve = [{"update": i, "kl": 1.0, "reward_model": 2.0, "utility": 9.0} for i in range(5)]
        curve += [{"update": i, "kl": 0.5, "reward_model": 2.0, "utility": utility} for i in range(5, 5 + rlhf.LAST)]
        return {"curve": curve}

    records = [Record("rlhf", asdict(rlhf.CELLS[0]), seed, result(utility)) for seed, utility in enumerate((1.0, 3.0))]
    records.append(Record("rlhf", asdict(rlhf.CELLS[1]), 0, None, "ValueError: no"))
    text = rlhf.table(records)
    assert "| β = 0 | 2 | 2 (2 … 2) | 2 (1 … 3) | 0.5 (0.5 … 0.5) |" in text
    assert "| untrained | 2 | 2 (2 … 2) | 9 (9 … 9) | 1 (1 … 1) |" in text and "untrained" not in rlhf.table([])
    assert "| β = 0.1 | **failed** (1 of 1): ValueError: no |" in text and "| β = 1 | missing |" in text
    figure = rlhf.plot(records)
    assert not unclear(figure) and rlhf.plot([]) is None
    assert "best utility, 6" in [one.get_text() for one in figure.axes[0].get_legend().get_texts()]


def test_memory_is_that_of_what_is_kept():
    blocks, stacked = (
        next(cell for cell in tokens_memory.CELLS if cell.kept == kept) for kept in ("blocks", "stacked")
    )
    window = tokens_memory.ROWS * tokens_memory.WINDOW * 8
    steps = 16
    one, other = (tokens_memory.run(replace(cell, steps=steps), 0) for cell in (blocks, stacked))
    assert one["peak_mib"] * 2**20 < 6 * window and other["peak_mib"] * 2**20 > steps * window
    assert one["bytes_a_token"] == pytest.approx(one["peak_mib"] * 2**20 / tokens_memory.ROWS / steps)
    alone = tokens_memory.run(replace(tokens_memory.CELLS[0], steps=4), 0)
    records = [
        Record("tokens_memory", asdict(cell), 0, result)
        for cell, result in ((tokens_memory.CELLS[0], alone), (blocks, one))
    ]
    lines = tokens_memory.table(records).splitlines()
    assert lines[2].startswith(f"| {tokens_memory.CELLS[0].name} |  |  | ") and lines[3].endswith("| missing |  |  |")
    assert f"| {one['peak_mib']:.1f} |" in lines[4]


def test_what_a_model_has_learned_is_told_as_means_over_seeds():
    def result(before, after):
        each = {"before": before, "after": after}
        found = {when: {"greedy": value, "sampled": value / 2} for when, value in each.items()}
        return found | {"seconds": 120.0, "curve": [[10, 0.1], [20, after]]}

    cell = smollm2.CELLS[0]
    records = [
        Record("smollm2", asdict(cell), 0, result(0.1, 0.5)),
        Record("smollm2", asdict(cell), 1, result(0.2, 0.7)),
    ]
    row = ("2", "0.150 (0.10 … 0.20)", "0.600 (0.50 … 0.70)", "0.075 (0.05 … 0.10)", "0.300 (0.25 … 0.35)", "2.0")
    assert smollm2.table(records).splitlines()[2] == f"| {cell.name} | {' | '.join(row)} |"
    said = smollm2.numbers(records)
    assert [said[name] for name in ("greedy-before", "greedy-after", "least", "most")] == [".150", ".600", ".25", ".70"]
    assert not unclear(smollm2.plot(records)) and smollm2.plot([]) is None and smollm2.numbers([]) == {}
