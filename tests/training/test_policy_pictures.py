"""What is shown of a tabular policy: curves, or a picture about ten times a run, with names and numbers."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pg_agents as pg
from pg_agents.training.policy_pictures import FONT, HEAD, HEIGHT, WIDTH, PolicyProbe, table_picture

DARK = [8, 48, 107]


class Small(gym.Env):
    def __init__(self, states, actions, **metadata):
        self.observation_space, self.action_space = Discrete(states, start=3), Discrete(actions)
        self.metadata = metadata


def shown(probabilities, steps=100, *, probe=None, resumed_from=(), **arguments):
    """Return what the probe shows of a policy with these probabilities, [L, S, A], at a step of 100."""
    _, states, actions = np.shape(probabilities)
    agent = pg.Reinforce.for_spaces(Discrete(states), Discrete(actions), **arguments)
    with torch.no_grad():
        agent.policy.logits.copy_(torch.tensor(probabilities).log())
    run = SimpleNamespace(agent=agent, steps=steps, total_steps=100, over=steps >= 100, resumed_from=resumed_from)
    return (probe or PolicyProbe(Small(states, actions)))(run)


def test_one_state_is_drawn_as_a_curve_for_each_action():
    values = shown([[[0.5, 0.3, 0.2]]])
    assert list(values) == ["tabular/action_0", "tabular/action_1", "tabular/action_2"]
    assert list(values.values()) == pytest.approx([0.5, 0.3, 0.2])


def test_few_states_are_drawn_as_curves_and_learners_averaged():
    values = shown([[[0.9, 0.1], [0.4, 0.6]], [[0.5, 0.5], [0.2, 0.8]]], num_learners=2)
    assert values == pytest.approx({
        "tabular/state_0/action_0": 0.7, "tabular/state_0/action_1": 0.3,
        "tabular/state_1/action_0": 0.3, "tabular/state_1/action_1": 0.7,
    })  # fmt: skip


def cell(picture, state, action):
    """Return the colour of a cell, near its upper left corner, of a picture with one block of two actions."""
    left = picture.shape[1] - 16 - 2 * WIDTH
    return picture[HEIGHT + HEAD + HEIGHT * state + 2, left + WIDTH * action + 2].tolist()


def test_more_states_are_a_picture_with_a_row_a_state():
    table = np.full((10, 2), 0.5)
    table[3] = 1.0, 0.0
    states, actions = [f"a long name of state {s}" for s in range(10)], ["l", "r"]
    picture = table_picture(table, states, actions)
    assert picture.dtype == np.uint8 and picture.shape[0] == HEIGHT + HEAD + 10 * HEIGHT + 8
    assert cell(picture, 3, 0) == DARK and cell(picture, 3, 1) == [255, 255, 255]
    assert cell(picture, 4, 0) == cell(picture, 4, 1) == [132, 152, 181]


@pytest.mark.parametrize(("states", "actions"), [(10, 2), (48, 4), (100, 12)])
def test_names_and_numbers_are_written(states, actions):
    """Whatever is renamed or changed changes the picture, where it stands."""
    table = np.full((states, actions), 1 / actions)
    names = [str(s) for s in range(states)], ["up", "right", *map(str, range(2, actions))]
    before = table_picture(table, *names)
    other = [*names[0][:-1], "x"]
    changed = np.argwhere((table_picture(table, other, names[1]) != before).any(-1))
    in_block = (states - 1) % 16
    top = HEIGHT + HEAD + HEIGHT * in_block
    assert len(changed) and top <= changed[:, 0].min() and changed[:, 0].max() < top + HEIGHT
    changed = np.argwhere((table_picture(table, names[0], ["no", *names[1][1:]]) != before).any(-1))
    assert len(changed) and changed[:, 0].min() > HEIGHT + FONT and changed[:, 0].max() < HEIGHT + HEAD
    table[-1, -1] += 0.01  # a colour one cannot tell apart, a number one can
    changed = (table_picture(table, *names) != before).any(-1)
    assert changed[top + 2 : top + HEIGHT - 2].any() and not changed[:top].any()


def test_names_come_from_the_environment_and_numbers_from_its_space():
    given = PolicyProbe(Small(2, 2, state_names=("here", "there"), action_names=("stay", "go")))
    assert given.names == (["here", "there"], ["stay", "go"])
    assert PolicyProbe(Small(2, 2, state_names=("too", "many", "names"))).names == (["3", "4"], ["0", "1"])
    for env in (gym.make("pg/GridWorld-v0"), gym.make_vec("pg/GridWorld-v0", 2)):
        states, actions = PolicyProbe(env).names
        assert states[:5] == ["0, 0", "0, 1", "0, 2", "0, 3", "1, 0"] and len(states) == 12
        assert actions == ["up", "right", "down", "left"]


def test_tables_that_nobody_could_read_are_not_drawn():
    assert shown(np.full((1, 101, 2), 0.5).tolist()) == shown(np.full((1, 2, 13), 1 / 13).tolist()) == {}
    assert [*shown(np.full((1, 100, 12), 1 / 12).tolist())] == ["tabular/probabilities"]


def test_a_picture_is_drawn_when_a_tenth_of_the_run_is_reached_and_after_it_was_resumed_not_again():
    table, probe = np.full((1, 10, 2), 0.5).tolist(), PolicyProbe(Small(10, 2))
    drawn = [step for step in range(3, 101) if shown(table, step, probe=probe)]
    assert drawn == [3, *range(10, 101, 10)]
    probe = PolicyProbe(Small(10, 2))
    drawn = [step for step in range(34, 101) if shown(table, step, probe=probe, resumed_from={12: "", 33: ""})]
    assert drawn == [*range(40, 101, 10)]


def test_a_run_has_about_ten_pictures_for_tensorboard(tmp_path):
    env = "pg/GridWorld-v0"
    agent = pg.A2C.for_env(env, num_envs=2, num_steps=2)
    pg.train(agent, env, num_envs=2, total_steps=400, run_dir=tmp_path / "r", progress=False)
    images = EventAccumulator(str(tmp_path / "r"), size_guidance={"images": 0}).Reload().Images("tabular/probabilities")
    assert [image.step for image in images] == [4, *range(40, 401, 40)]
    assert len((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()) == 100
