"""The experiments on estimators and objectives: what they measure stands in their tables."""

from dataclasses import asdict, replace

import torch

from benchmarks.correctness import estimators, objectives
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record


def test_estimators_are_held_against_the_exact_gradient():
    cell = replace(estimators.CELLS[0], env="pg/TwoArmedBandit-v0", horizon=1, samples=50)
    result = estimators.run(cell, 3)
    rows = {row["estimator"]: row for row in result["rows"]}
    assert rows["reward-to-go"]["bias"] < 1e-12 and rows["Dr. GRPO"]["bias"] > 1e-3
    records = [Record("estimators", asdict(estimators.CELLS[0]), 0, result)]
    records.append(Record("estimators", asdict(estimators.CELLS[0]), 1, None, "ValueError: no"))
    text = estimators.table(records)
    assert "| reward-to-go | yes | 0 | 1.0000 |" in text and "**failed** (1 of 2): ValueError: no" in text
    share = rows["Dr. GRPO"]["bias"] / result["gradient_norm"]
    assert f"| Dr. GRPO | no | {share:.2g} |" in text
    assert not unclear(estimators.plot(records)) and estimators.plot(records[1:]) is None


def measured(cosine, scale):
    one = {"estimator": "GRPO", "unbiased": False, "enumerated": True}
    return type("Measurement", (), one | {"cosine": cosine, "scale": scale})


def test_a_row_of_objectives_holds_means_and_ends(monkeypatch):
    asked = []

    def report(env, cell, seed):
        asked.append(seed)
        return type("Report", (), {"measurements": [measured(1 - seed / 10, float(seed))]})

    monkeypatch.setattr(objectives, "_report", report)
    cell = replace(objectives.CELLS[0], policies=3)
    assert objectives.run(cell, 1)["rows"][0]["scale"] == 4.0 and asked == [3, 4, 5]
    records = [Record("objectives", asdict(objectives.CELLS[0]), 0, objectives.run(cell, 0))]
    tables = objectives.table(records)
    assert [*tables] == [cell.name for cell in objectives.CELLS]
    assert tables["three-tokens-reward"].splitlines()[2] == "| GRPO | no | 0.900 | 0.800 | 1.000 | 0.000 | 2.000 |"
    assert tables["shorter-kl"] == "shorter-kl: missing"


def test_each_objective_is_a_problem_of_its_own(monkeypatch):
    monkeypatch.setattr(objectives, "report_on", lambda problem, policy, batch_size: (problem, policy, batch_size))
    asked = [objectives._report(objectives.TASKS[cell.task](), cell, 2) for cell in objectives.CELLS[3:]]
    assert [problem.kl_weight for problem, *_ in asked] == [0.0, 0.1, 1.0] and {size for *_, size in asked} == {3}
    assert [bool(problem.mdp.rewards.any()) for problem, *_ in asked] == [True, True, False]
    assert asked[0][0].reference is None and torch.equal(asked[1][0].reference, asked[2][0].reference)
