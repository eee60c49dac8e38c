"""Abilities: the score is the mean over tasks of what was gained beyond chance, and is shown with its interval."""

import dataclasses
import json

import pytest

from benchmarks.learning import abilities
from benchmarks.learning.protocol import training_env
from benchmarks.suite.records import Record

AGENT, ABILITY = "ppo", "exploration"
CELLS = abilities.cells_of(AGENT, ABILITY)


def records(*scores):
    """Return records of the tasks of one seed each; None: a run that failed. Chance returns 2, the best policy 10."""
    made = []
    for seed, each in enumerate(scores):
        for cell, score in zip(CELLS, each, strict=False):
            content = json.loads(json.dumps(dataclasses.asdict(cell)))
            known = {"random": 2.0, "optimal": 10.0}
            result = None if score is None else {"score": score, "known": known}
            made.append(Record("abilities", content, seed, result, None if result else "E: no"))
    return made


def test_a_score_is_what_was_gained_beyond_chance():
    found = records((2.0, 6.0, 10.0), (0.0, 4.0, 12.0), (None, 10.0, 10.0), (10.0, 10.0))  # the last lacks a task
    assert abilities.score_of(AGENT, ABILITY, found) == pytest.approx([1.5 / 3, (0 + 0.25 + 1) / 3, 2 / 3])


def test_bars_have_intervals_of_several_seeds():
    found = records(*((2.0, 6.0, 6.0 + seed) for seed in range(4)))
    low, high = abilities.interval(abilities.score_of(AGENT, ABILITY, found))
    figure = abilities.plot(found)
    axes = next(axes for axes in figure.axes if axes.get_title() == ABILITY)
    (line,) = axes.lines
    assert tuple(line.get_xdata()) == pytest.approx((low, high)) and low < high
    assert set(line.get_ydata()) == {list(abilities.AGENTS).index(AGENT)}
    assert not [line for axes in abilities.plot(records((2.0, 6.0, 8.0))).axes for line in axes.lines]


@pytest.mark.parametrize("ability", abilities.ABILITIES)
def test_seeing_is_no_part_of_an_ability(ability):
    for cell in abilities.cells_of("a2c", ability):
        env = training_env(cell, 1)
        assert len(env.single_observation_space.shape) < 2
        env.close()
