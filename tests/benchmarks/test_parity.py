"""Parity with peers: what is held side by side, that controls are noticed, and what our side hands over."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import pg_agents as pg
from benchmarks.correctness import parity
from benchmarks.correctness._parity import tasks
from benchmarks.correctness._parity.cells import CELLS, CONTROLS, SAME, UPDATES, ppo
from benchmarks.correctness._parity.compare import LIMIT, hold
from benchmarks.correctness._parity.ours import orders_of, play
from benchmarks.correctness.parity import is_right, over_seeds
from benchmarks.peers import PEERS
from benchmarks.suite.records import Record
from pg_agents.data.rollout import Batch

BEGUN = {"initial/w": np.array([1.0, 1.0])}


def arrays(advantage=2.0, gradient=4.0, weight=1.5, other=1e-3):
    return {
        "advantages": np.array([advantage, 1.0]),
        "gradients/w": np.array([gradient, 0.0]),
        "gradients/small": np.array([other]),
        "weights/w": np.array([weight, 1.25]),
    }


def result(**changed):
    return hold(arrays(), arrays(**changed), BEGUN) | {"versions": {"trl": "1", "ours": "2"}}


def of(kind):
    """The first cell of a kind, whose sides should agree, or differ."""
    return next(cell for cell in CELLS if cell.kind == kind)


def named(name):
    return next(cell for cell in CELLS if cell.name == name)


# -- what is held side by side ---------------------------------------------------------------------------------------
def test_differences_are_held_beside_their_own_array():
    found = hold(arrays(), arrays(advantage=2.5, other=1.5e-3, weight=1.25), BEGUN)
    assert found["differences"] == pytest.approx({"advantages": 0.5, "gradients": 5e-4, "weights": 0.25})
    # the small gradient is off by half of itself; a weight that began at 1 moved to 1.5 and is off by half of that
    assert found["parts"] == pytest.approx({"advantages": 0.25, "gradients": 0.5, "weights": 0.5})
    assert found["moved"] == 0.5


def test_what_one_side_alone_has_moved_is_noticed():
    still = arrays() | {"gradients/small": np.zeros(1)}
    assert hold(still, arrays(), BEGUN)["parts"]["gradients"] == np.inf
    assert hold(still, still, BEGUN)["parts"]["gradients"] == 0


def test_sides_with_other_arrays_cannot_be_held_together():
    other = arrays() | {"gradients/w": np.zeros((3, 2))}  # one step more
    with pytest.raises(ValueError, match=r"gradients: ours are .*w \[2\], the peer's .*w \[3, 2\]"):
        hold(arrays(), other, BEGUN)
    with pytest.raises(ValueError, match="weights"):
        hold(arrays(), {name: array for name, array in arrays().items() if "weights" not in name}, BEGUN)


def test_rounding_agrees_and_n_minus_1_does_not():
    same, control, differs = map(of, ("same", "control", "differs"))
    assert is_right(same, result(gradient=4.0 + 1e-6)) and not is_right(control, result(gradient=4.0 + 1e-6))
    scaled = 4.0 * (255 / 256) ** 0.5
    assert is_right(control, result(gradient=scaled)) and not is_right(same, result(gradient=scaled))
    assert not is_right(same, result(weight=np.nan)) and is_right(differs, result(weight=np.nan))


def test_a_cell_is_as_good_as_its_worst_seed():
    same = over_seeds(of("same"), [result(gradient=4.0 + off) for off in (1e-7, 3e-7)])
    assert same["differences"]["gradients"] == pytest.approx(3e-7, rel=1e-3) and same["right"]
    control = over_seeds(of("control"), [result(gradient=4.0 + off) for off in (0.3, 0.1)])
    assert control["differences"]["gradients"] == pytest.approx(0.1) and control["right"]
    assert not over_seeds(of("control"), [result(gradient=4.3), result()])["right"]


def test_the_tables_say_what_is_not_as_it_should_be_failed_or_is_missing():
    found = [(of("same"), result(), None), (of("control"), result(), None)]
    found += [(of("differs"), result(weight=1.0), None), (SAME[1], None, "RuntimeError: the peer | is ill")]
    tables = parity.table([Record("parity", asdict(cell), 0, one, error) for cell, one, error in found])
    assert f"| {of('control').name} | {of('control').peer} **not as it should be** |" in tables["control"]
    assert "not as it should be" not in tables["same"] + tables["differs"]
    row = f"| {of('differs').name} | {of('differs').peer} | 0.0e+00 | 0.0e+00 | 5.0e-01 | 5.0e-01 | 1.0e+00 | "
    assert row + of("differs").cause + " |" in tables["differs"]
    assert rf"| {SAME[1].name} | **failed** (1 of 1): RuntimeError: the peer \| is ill |" in tables["same"]
    assert f"| {SAME[2].name} | missing |" in tables["same"]


def test_numbers_are_those_of_cells_that_should_agree():
    ppos = [cell for cell in SAME if cell.peer == "Stable-Baselines3"][:2]
    each = [result(weight=1.5 + 1e-7), result(weight=1.5 + 4e-7)]
    records = [Record("parity", asdict(cell), 0, one) for cell, one in zip(ppos, each, strict=True)]
    records.append(Record("parity", asdict(of("control")), 0, result(weight=1.0)))
    said = parity.numbers(records)
    assert said["apart-Stable-Baselines3"] == "4e-7" and said["moved-least"] == said["moved-most"] == "0.5"
    assert [parity.at_most(value) for value in (7.4e-6, 2e-7, 9.1e-6)] == ["8e-6", "2e-7", "1e-5"]  # rounded up
    assert said["versions"] == "trl 1" and "apart-TRL" not in said and parity.numbers([])["limit"] == "0.0005"


# -- cells -----------------------------------------------------------------------------------------------------------
def test_every_cell_asks_for_what_there_is():
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    for cell in CELLS:
        form = pg.AGENTS[cell.agent]
        assert set(cell.ours) - {"rows"} <= set(form.argument_names()), cell.name
        assert bool(cell.cause) == (cell.kind == "differs"), cell.name
    for peer in ("Stable-Baselines3", "sb3-contrib", "TRL"):
        assert {cell.kind for cell in CELLS if cell.peer == peer} == {"same", "differs", "control"}
    assert {cell.agent for cell in SAME} == {"ppo", "a2c", "trpo", "grpo", "rloo"} == {cell.agent for cell in CONTROLS}


@pytest.mark.parametrize(
    ("argument", "value", "what"),
    [
        ("discount", 0.98, "advantages"),
        ("entropy_weight", -0.01, "gradients"),
        ("normalize_over", "rollout", "gradients"),
        ("adam_epsilon", 1e-8, "weights"),
    ],
)
def test_another_argument_is_noticed(argument, value, what, monkeypatch):
    monkeypatch.setattr("benchmarks.correctness._parity.ours.UPDATES", 1)
    cell = ppo("whole rollouts", {}, {"minibatch_size": 256, "epochs": 1, "entropy_weight": 0.01})
    if argument == "entropy_weight":  # which no agent of ours takes below 0
        value = 0.0
    record, ours = play(cell, 3)
    _, again = play(cell, 3)
    _, other = play(replace(cell, ours=cell.ours | {argument: value}), 3)
    assert max(hold(ours, again, record)["parts"].values()) == 0
    assert hold(ours, other, record)["parts"][what] > LIMIT


# -- what our side hands over ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["PPO, Discrete", "PPO, Box"])
def test_rollouts_follow_one_another_and_cuts_keep_their_last_observation(name):
    record, ours = play(named(name), 3)
    time, seen, final = len(record["rewards"]), record["observations"], record["final"]
    assert time == UPDATES * 64 and record["orders"].shape == (UPDATES * 3, 256)
    over = record["terminated"] | record["truncated"]
    assert record["terminated"].any() and record["truncated"].any()
    inside = ~over[:-1] & ~np.isnan(final[:-1]).any(-1)  # where a rollout stopped within an episode
    assert inside.any() and np.array_equal(final[:-1][inside], seen[1:][inside])
    assert not np.isnan(final[record["truncated"]]).any() and not np.isnan(final[-1][~over[-1]]).any()
    assert len(ours["gradients/value_net.bias"]) == UPDATES * 3 * 4  # epochs, minibatches
    norms = sum((a.reshape(len(a), -1) ** 2).sum(1) for n, a in ours.items() if n.startswith("gradients")) ** 0.5
    assert norms.max() == pytest.approx(0.5, rel=1e-5)  # as the optimizer sees them


def test_orders_are_those_of_the_minibatches():
    agent = pg.PPO.for_env(tasks.steps_env("discrete"), num_steps=4, minibatch_size=8, seed=3)
    orders = orders_of(agent, 16, 1)
    count = torch.arange(16.0).view(4, 4)
    fields = {"actions": count, "weights": torch.ones(4, 4) / 16, "log_probs": count, "targets": count}
    batch = Batch(observations=count[..., None].expand(4, 4, 4), advantages=count, **fields)
    for order in orders[:2]:
        assert torch.cat([part.advantages for part in agent.split(batch, 8)]).tolist() == order.tolist()


def test_texts_are_handed_over_as_they_were_scored():
    record, ours = play(named("GRPO, two minibatches"), 3)
    assert len(ours["gradients/lm_head.weight"]) == UPDATES * 2
    for prompts, completions, scores in zip(record["prompts"], record["completions"], record["scores"], strict=True):
        for prompt, text, score in zip(prompts, completions, scores, strict=True):
            asked, written = tuple(prompt[prompt >= 0].tolist()), text[text >= 0].tolist()
            assert asked in tasks.PROMPTS and (len(written) == tasks.MAX_NEW_TOKENS or written[-1] == tasks.END)
            assert score == pytest.approx(tasks.score(asked, written), rel=1e-6)
        assert (prompts.reshape(4, 4, -1) == prompts.reshape(4, 4, -1)[:, :1]).all()  # groups answer one prompt


def test_trpos_gradient_is_the_surrogates():
    record, ours = play(named("TRPO, Discrete"), 3)
    assert len(ours["gradients/action_net.bias"]) == UPDATES
    assert not ours["gradients/value_net.bias"].any()
    moved = ours["weights/action_net.bias"] - record["initial/action_net.bias"]
    assert np.sign(moved[0]) == np.sign(ours["gradients/action_net.bias"].sum(0)[0])


# -- peers -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["A2C, Discrete", "RLOO"])
def test_a_cell_with_its_peer(name):
    if not (PEERS / "bin" / "python").exists():
        pytest.skip("no peers: python -m benchmarks peers install")
    assert is_right(named(name), parity.run(named(name), 0))
