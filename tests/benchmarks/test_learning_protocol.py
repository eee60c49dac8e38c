"""The protocol of learning: fresh evaluations, seeds as one batch or in turn, failures that count, peers beside us."""

import dataclasses
import json

import pytest
from support.bugs import Bug, seeded

import pg_agents as pg
from benchmarks.learning import curves, protocol, sb3, scores, zoo
from benchmarks.learning.protocol import Cell
from benchmarks.suite.pictures import unclear
from benchmarks.suite.records import Record
from pg_agents.statistics import probability_of_improvement

CELL = Cell("CartPole-v1/reinforce", "reinforce", "CartPole-v1", 4, 800, episodes=6)
TABLE = Cell("GridWorld-v0/a2c", "a2c", "pg/GridWorld-v0", 4, 800, episodes=20)


class Mine(pg.AGENTS["reinforce"]):
    """An agent of a user's own."""

    name = "mine"


def record(cell, seed, score, **more):
    """Return the record of a run, one that failed for None."""
    known = {"known": {"random": None, "optimal": None, "memoryless": None}}
    curve = [[100.0, 1.0], [200.0, 2.0]]
    result = {"score": score, "untrained": 20.0, "steps": 200, "curve": curve, **known, **more}
    failed = score is None
    content = json.loads(json.dumps(dataclasses.asdict(cell)))
    return Record("mine", content, seed, None if failed else result, "ValueError: no | way" if failed else None)


def test_evaluations_have_seeds_that_no_training_has_had(monkeypatch):
    cell = dataclasses.replace(CELL, wrappers=["FlattenObservation"])  # one by one, so that each environment is seeded
    seen = {}
    for make in (protocol.training_env, protocol.evaluation_env):
        seeds = seen[make.__name__] = []
        monkeypatch.setattr(
            protocol, make.__name__, lambda *given, make=make, seeds=seeds: _watched(make(*given), seeds)
        )
    protocol.run(cell, 3)
    training, evaluation = (set(seeds) for seeds in seen.values())
    assert training and evaluation == set(sb3.evaluation_seeds(3, cell.episodes))
    assert not training & evaluation


def _watched(env, seen):
    """Note the seeds with which environments are reset."""
    for one in env.envs:
        reset = one.unwrapped.reset

        def noting(*, seed=None, options=None, reset=reset):
            seen.extend([] if seed is None else [seed])
            return reset(seed=seed, options=options)

        one.unwrapped.reset = noting
    return env


@pytest.mark.parametrize("cell", [TABLE, CELL], ids=["steps", "whole episodes"])
def test_seeds_as_one_batch_are_the_runs_of_each(monkeypatch, cell):
    assert protocol.together(cell)
    train, took = pg.train, []
    monkeypatch.setattr(pg, "train", lambda *given, **how: took.append(train(*given, **how)) or took[-1])
    found = protocol.run_seeds(cell, [5, 3])
    assert [one["seconds"] for one in found.values()] == [took[0].wall_seconds / 2] * 2
    assert list(found) == [5, 3] and all(one["learners"] == 2 for one in found.values())
    for seed, batched in found.items():
        alone = protocol.run(cell, seed)
        assert alone["learners"] == 1
        for name in ("score", "untrained", "steps", "training_episodes", "known"):
            assert alone[name] == batched[name], name
        assert alone["curve"][-1] == pytest.approx(batched["curve"][-1])


def test_seeds_that_cannot_be_one_batch_run_in_turn():
    cell = dataclasses.replace(CELL, agent="trpo", arguments={"num_steps": 100})
    found = protocol.run_seeds(cell, [0, 1])
    assert [one["learners"] for one in found.values()] == [1, 1]
    wrapped = dataclasses.replace(CELL, wrappers=["FlattenObservation"])
    theirs = dataclasses.replace(CELL, library="stable-baselines3")
    assert not protocol.together(wrapped) and not protocol.together(theirs)


def test_what_samples_before_it_has_learned_is_greedy_afterwards(monkeypatch):
    greedy, evaluate = [], protocol.evaluate

    def watched(*given, **how):
        greedy.append(how.get("greedy", True))
        return evaluate(*given, **how)

    monkeypatch.setattr(protocol, "evaluate", watched)
    protocol.run(TABLE, 0)
    assert greedy == [False, True]


def test_an_agent_of_ones_own_takes_part():
    result = protocol.run(dataclasses.replace(CELL, agent=f"{__name__}:Mine"), 0)
    assert result["score"] == protocol.run(CELL, 0)["score"]
    with pytest.raises(ValueError, match="there is no 'nobody'"):
        protocol.agent_class("nobody")
    for name, said in (
        ("json:loads", "json:loads is no class of agents; derive it"),
        ("json:load_", "json has no load_"),
    ):
        with pytest.raises(ValueError, match=said):
            protocol.agent_class(name)


def test_runs_that_the_machine_failed_are_missing_and_not_beaten():
    ours = [record(OURS, seed, 400.0 + seed) for seed in range(10)]
    theirs = [
        dataclasses.replace(record(THEIRS, seed, None), error="FileNotFoundError: no Python") for seed in range(10)
    ]
    said = scores.comparison([OURS, THEIRS], [*ours, *theirs])
    assert "| ahead" not in said and "| missing |" in said and "Nothing has been measured on both sides" in said
    table = scores.table([OURS, THEIRS], range(10), [*ours, *theirs])
    assert "10 missing" in table and "**failed** (10 of 10): FileNotFoundError: no Python" in table
    theirs[0] = record(THEIRS, 0, None)  # this one failed to learn
    assert "10 and 1" in scores.comparison([OURS, THEIRS], [*ours, *theirs])


def test_the_worst_score_is_of_the_same_environment_and_rows_can_be_told_apart():
    fast, slow = (dataclasses.replace(OURS, name=f"{name}/ppo") for name in ("fast", "slow|er"))
    other = dataclasses.replace(OURS, name="scaled/ppo", wrappers=["my_module:Scaled"])
    made = [record(fast, 0, -150.0), record(fast, 1, None), record(slow, 0, -160.0), record(other, 0, -16_000.0)]
    said = scores.table([fast, slow, other], range(2), made)
    (row,) = [line for line in said.splitlines() if "`fast/ppo`" in line]
    assert "−155 … −150" not in row and "−160 … −150" in row and "16,000" not in row
    assert "`slow\\|er/ppo`" in said


def test_known_returns_come_from_the_model():
    known = protocol.known(Cell("lake", "reinforce", "FrozenLake-v1", 1, 1))
    assert known["optimal"] == pytest.approx(0.744, abs=1e-3) and known["random"] == pytest.approx(0.014, abs=1e-3)
    sure = protocol.known(Cell("lake", "reinforce", "FrozenLake-v1", 1, 1, eval_args={"is_slippery": False}))
    assert sure["optimal"] == pytest.approx(1)  # of the environments of the evaluation
    assert protocol.known(Cell("recall", "ppo", "pg/Recall-v0", 1, 1))["memoryless"] == 1.25


# -- tables and pictures -----------------------------------------------------------------------------------------------
OURS = Cell("CartPole-v1/ppo", "ppo", "CartPole-v1", 4, 200_000)
THEIRS, SHORTER = zoo.peers_of(OURS)


def test_a_run_that_failed_has_the_worst_score():
    records = [record(OURS, seed, 400.0) for seed in range(3)] + [record(OURS, 3, None)]
    said = scores.table([OURS, CELL], range(5), records)
    row = next(line for line in said.splitlines() if "`ppo`" in line)
    assert "| **400** |" in row and "| 20 … 400 |" in row and "4, 1 failed, 1 missing" in row
    other = dataclasses.replace(OURS, name="Pendulum-v1/ppo", env="Pendulum-v1")  # whose scores are no worst of ours
    assert row in scores.table([OURS, CELL, other], range(5), [*records, record(other, 0, -900.0)])
    chance = {"random": 7.0, "optimal": None, "memoryless": None}
    assert "| 7 … 400 |" in scores.table([OURS], range(5), [*records[1:], record(OURS, 0, 400.0, known=chance)])
    assert r"CartPole-v1/ppo: **failed** (1 of 4): ValueError: no \| way" in said
    assert "missing" in next(line for line in said.splitlines() if "`reinforce`" in line)


def verdict_of(ours, theirs):
    """Return the columns "we are" and "95 % interval" of a comparison, and the sentence below it."""
    made = [
        [record(cell, seed, score) for seed, score in enumerate(given)]
        for cell, given in ((OURS, ours), (THEIRS, theirs))
    ]
    said = scores.comparison([OURS, THEIRS], [*made[0], *made[1]])
    cells = [one.strip() for one in said.splitlines()[2].split("|")]
    return cells[9], cells[7], said.splitlines()[-1]


def test_an_interval_decides_who_is_ahead_and_a_probability_below_half_is_behind():
    low, high = [100.0 + seed for seed in range(10)], [200.0 + seed for seed in range(10)]
    verdict, _, said = verdict_of(low, high)
    assert verdict == "behind"
    assert said == "Of 1 that have been measured, with 95 % confidence: behind in CartPole-v1 (`ppo`, their 200 k)."
    assert verdict_of(high, low)[0] == "ahead" and verdict_of(low, low)[:2] == ("undecided", "0.27 … 0.73")
    nearly = [score + 0.5 * (-1) ** int(score) for score in low]
    assert verdict_of([score - 1 for score in low], nearly)[0] == "behind, undecided"


def test_few_runs_on_a_side_are_marked():
    few, many = [200.0, 201.0], [100.0 + seed for seed in range(10)]
    verdict, interval, _ = verdict_of(few, many)
    assert interval.endswith("\\*") and verdict == "ahead"
    made = [record(OURS, seed, 3.0) for seed in range(2)] + [record(THEIRS, seed, 2.0) for seed in range(10)]
    assert "\\* An interval of as few as 2 runs is wide: it wants at least 10 seeds." in scores.comparison(
        [OURS, THEIRS], made
    )


def test_runs_that_failed_or_are_missing_stand_in_the_comparison():
    ours = [record(OURS, seed, 100.0 + seed) for seed in range(10)]
    said = scores.comparison([OURS, THEIRS], [*ours, *[record(THEIRS, seed, None) for seed in range(10)]])
    assert "| 1.00 |" in said and "ahead in CartPole-v1" in said
    assert "| missing |" in scores.comparison([OURS, THEIRS], ours)
    said = scores.comparison([OURS, THEIRS], [record(OURS, seed, None) for seed in range(10)])
    assert "| failed | missing |" in said  # and nothing says what the worst score is
    assert "Nothing has been measured on both sides." in said


def test_a_peer_whose_zoo_has_fewer_steps_learns_from_those_too():
    assert (THEIRS.total_steps, SHORTER.total_steps) == (200_000, 100_000) and SHORTER.arguments == THEIRS.arguments
    assert [one.total_steps for one in zoo.peers_of(dataclasses.replace(OURS, total_steps=100_000))] == [100_000]
    rows = scores.comparison([OURS, THEIRS, SHORTER], []).splitlines()[2:4]
    assert ["| 200 k |" in rows[0], "| 100 k |" in rows[1]] == [True, True]


def test_every_cell_of_ours_stands_beside_the_peers_of_its_environment():
    longer = dataclasses.replace(OURS, name="CartPole-v1/ppo-longer")
    elsewhere = dataclasses.replace(OURS, name="Pendulum-v1/ppo", env="Pendulum-v1")
    other = dataclasses.replace(OURS, name="CartPole-v1/a2c", agent="a2c")
    assert scores.pairs([OURS, elsewhere, THEIRS, other, longer]) == [(OURS, THEIRS), (longer, THEIRS)]
    with pytest.raises(ValueError, match="none of ours stands beside CartPole-v1/sb3-ppo"):
        scores.pairs([THEIRS, elsewhere, other])


def test_pictures_say_what_their_lines_are():
    assert curves.plot([OURS, THEIRS], [], "Nothing") is None
    figure = curves.plot(
        [OURS, THEIRS, CELL], [record(cell, s, 9.0) for cell in (OURS, THEIRS) for s in (0, 1)], "A title"
    )
    assert not unclear(figure)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["ppo (2)", "Stable-Baselines3, PPO (2)"]
    both = curves.plot(
        [THEIRS, SHORTER], [record(cell, s, 9.0) for cell in (THEIRS, SHORTER) for s in (0, 1)], "A title"
    )
    assert not unclear(both)
    assert both.axes[0].get_legend_handles_labels()[1][1] == "Stable-Baselines3, PPO, 100 k steps (2)"


def test_the_names_of_many_lines_hide_no_curve():
    cells = [dataclasses.replace(OURS, name=f"CartPole-v1/{agent}", agent=agent) for agent in sorted(pg.AGENTS)[:6]]
    for some, beside in ((cells[:1], False), (cells, True)):
        figure = curves.plot(some, [record(cell, 0, 9.0) for cell in some], "A title")
        (axes,) = figure.axes
        figure.draw_without_rendering()
        lines = len(axes.get_legend().get_texts())
        assert (lines > curves.MANY) == beside
        assert (axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0) == beside


# -- Stable-Baselines3 -------------------------------------------------------------------------------------------------
def test_peers_learn_the_same_task_and_are_asked_in_the_same_episodes(monkeypatch):
    given = {}

    def answer(command, settings, variables, **how):
        given.update(settings)
        return {"score": 1.0}

    monkeypatch.setattr(sb3, "answer", answer)
    monkeypatch.setattr(sb3, "python_of", lambda peers: "python")
    assert protocol.run_seeds(THEIRS, [6, 7]) == {6: {"score": 1.0}, 7: {"score": 1.0}}
    assert given["total_steps"] == OURS.total_steps and given["env"] == OURS.env and given["seed"] == 7
    assert len(set(given["eval_seeds"])) == OURS.episodes and not set(given["eval_seeds"]) & set(range(7, 15))
    assert [one.episodes for one in zoo.peers_of(dataclasses.replace(OURS, episodes=7))] == [7, 7]
    assert json.loads(json.dumps(given)) == given and given["arguments"]["learning_rate"] == "lin_0.001"


@pytest.mark.slow
def test_stable_baselines3_learns():
    try:
        sb3.python_of(sb3.PEERS)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    result = protocol.run(dataclasses.replace(THEIRS, total_steps=2_000, episodes=5), 0)
    assert 8 <= result["untrained"] <= 60 and result["score"] > 8 and len(result["curve"]) > 3
    assert result["steps"] >= 2_000 and result["peer_versions"].keys() >= {"stable_baselines3", "torch"}


@pytest.mark.slow
def test_environments_of_bsuite_take_part():
    pytest.importorskip("bsuite")
    pytest.importorskip("shimmy")
    arguments = {"num_steps": 64, "minibatch_size": 64}
    result = protocol.run(Cell("catch/ppo", "ppo", "shimmy:bsuite/catch-v0", 4, 2_000, arguments, 20), 0)
    assert -1 <= result["score"] <= 1 and result["steps"] >= 2_000


def on_training_seeds(agent, cell, seed, *, greedy=True):
    """Evaluate in environments that are seeded as those of the training."""
    return pg.evaluate(agent, protocol.training_env(cell), episodes=cell.episodes, greedy=greedy, seed=seed)


def numbers_of_the_last(runs, key="score"):
    """Return the scores of runs that did not fail."""
    return [float(run.result[key]) for run in runs.values() if run.result is not None]


def by_the_probability_alone(self):
    """Return a verdict that asks for no interval."""
    return "ahead" if probability_of_improvement(*self.scored) >= 0.5 else "behind"


test_seeded_bugs = seeded(
    Bug("evaluated in the episodes of training", protocol.evaluate, on_training_seeds,
        [test_evaluations_have_seeds_that_no_training_has_had]),
    Bug("failed runs are dropped", scores.scores, numbers_of_the_last, [test_a_run_that_failed_has_the_worst_score]),
    Bug("theirs are held against ours", scores.pairs, lambda cells: [(cells[1], cells[0])],
        [test_an_interval_decides_who_is_ahead_and_a_probability_below_half_is_behind]),
    Bug("an interval decides nothing", scores.Versus.verdict, by_the_probability_alone,
        [test_an_interval_decides_who_is_ahead_and_a_probability_below_half_is_behind]),
    Bug("few runs are not marked", scores._wide, lambda every: [], [test_few_runs_on_a_side_are_marked]),
)  # fmt: skip
