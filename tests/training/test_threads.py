"""With small networks and torch's default number of threads a run warns, once, and changes nothing."""

import warnings

import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.training import threads


@pytest.fixture(autouse=True)
def by_default(monkeypatch):
    """A process in which torch computes with four threads, which nobody has chosen, and nothing was said yet."""
    monkeypatch.setattr(threads, "said", [])
    monkeypatch.setattr(threads, "BY_DEFAULT", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for name in threads.CHOSEN_BY:
        monkeypatch.delenv(name, raising=False)


def said_by(agent=None, env="pg/TwoArmedBandit-v0"):
    """Return what a run warns of."""
    agent = agent or pg.Reinforce.for_env(env)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pg.train(agent, env, total_steps=8, progress=False)
    return [(str(one.message), one.filename) for one in caught if one.category is RuntimeWarning]


def test_a_run_of_a_small_agent_says_once_what_to_write_and_sets_nothing(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", None)  # who calls it fails
    ((text, file),) = said_by()
    assert "torch computes with 4 threads" in text and "write torch.set_num_threads(1)" in text and file == __file__
    assert said_by() == []


def test_whoever_has_chosen_a_number_is_told_nothing(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert said_by() == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert said_by() == []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(threads, "BY_DEFAULT", 1)
    assert said_by() == []


def test_the_command_line_chooses_one(monkeypatch, capsys, folder):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    assert main(["train", "reinforce", "pg/TwoArmedBandit-v0", "--total-steps", "8", "--quiet"]) == 0
    assert chosen == [1] and capsys.readouterr().err == ""
    assert said_by() == []


def test_pictures_and_large_networks_are_not_small():
    assert threads.is_small(pg.PPO.for_env("CartPole-v1"))
    assert not threads.is_small(pg.PPO.for_env("CartPole-v1", hidden=(512, 512)))
    assert not threads.is_small(pg.PPO.for_env("pg/Catch-v0"))


test_seeded_bugs = seeded(
    Bug(
        "runs set the number of threads behind the user's back",
        threads.warn_of_threads,
        lambda agent: torch.set_num_threads(1),
        [test_a_run_of_a_small_agent_says_once_what_to_write_and_sets_nothing],
        raises=TypeError,
    ),
)
