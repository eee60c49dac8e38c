"""A run of several processes: one writes, all learn from the environments of all."""

import io
import json
import os
import subprocess
import sys

import pytest
import torch
from support.names import ROOT
from support.ranks import on_ranks

import pg_agents as pg
from pg_agents.training.ranks import check_same, first_opens, give_from_first, largest, seed_of_rank, states_of_ranks

SCRIPT = """
import hashlib, json, sys
import torch, torch.distributed as dist
import pg_agents as pg

torch.set_num_threads(1)
dist.init_process_group("gloo")
steps, how = int(sys.argv[1]), json.loads(sys.argv[2])
agent = pg.PPO.for_env("pg/CartPole-v1", num_envs=4, seed=dist.get_rank(), num_steps=32, minibatch_size=64, epochs=2)
try:
    how |= {"checkpoint_every": 500, "eval_env": "pg/CartPole-v1", "eval_every": 500, "eval_episodes": 2}
    summary = pg.train(agent, "pg/CartPole-v1", num_envs=4, total_steps=steps, **how)
    assert summary.evaluations or dist.get_rank()  # the first evaluates
except ValueError as error:
    found = str(error)
else:
    parameters = b"".join(one.detach().numpy().tobytes() for one in agent.parameters())
    digest = hashlib.sha256(parameters).hexdigest()
    assert agent.ranks.count == 1  # it learns alone again
    found = summary.total_steps, summary.episodes, list(summary.resumed_from.values()), digest
with open(f"rank-{dist.get_rank()}.json", "w") as file:
    json.dump(found, file)
dist.destroy_process_group()
"""


def launched(folder, count, steps, script=SCRIPT, **how):
    """Return what each of several processes has found: its error, or its steps, episodes, ways and parameters."""
    (folder / "script.py").write_text(script)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "envs")))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    typed = [*start, "script.py", str(steps), json.dumps({"progress": False, **how})]
    done = subprocess.run(typed, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"rank-{number}.json").read_text()) for number in range(count)]


@pytest.mark.slow
def test_all_learn_the_same_and_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(tmp_path):
    whole = launched(tmp_path, 2, 1500, run_dir="whole")
    assert whole[0] == whole[1]  # parameters bit for bit, though they began with different ones
    assert json.loads((tmp_path / "whole/config.json").read_text())["ranks"] == 2
    launched(tmp_path, 2, 700, run_dir="parts")
    then = launched(tmp_path, 2, 1500, run_dir="parts", resume=True)
    (steps, episodes, ways, digest), expected = then[0], whole[0]
    assert ways == ["exactly"] and [steps, episodes, digest] == [*expected[:2], expected[3]]
    more = launched(tmp_path, 3, 2200, run_dir="parts", resume=True)
    assert more[0] == more[1] == more[2] and more[0][2] == ["exactly", "with new episodes"]
    agent, said = pg.PPO.for_env("pg/CartPole-v1", num_envs=4, num_steps=32, minibatch_size=64, epochs=2), io.StringIO()
    how = {"run_dir": tmp_path / "parts", "resume": True, "progress": said, "eval_env": "pg/CartPole-v1"}
    pg.train(agent, "pg/CartPole-v1", num_envs=4, total_steps=2500, **how)
    assert "with new episodes: the running episodes are given up, as 3 processes learned together" in said.getvalue()
    config = json.loads((tmp_path / "parts/config.json").read_text())
    assert config["ranks"] == 1 and [one.get("ranks") for one in config["earlier"]][-2:] == [2, 3]


@pytest.mark.slow
def test_what_one_cannot_open_and_what_differs_ends_all(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    errors = launched(tmp_path, 2, 100, run_dir="full")
    assert errors == ["run_dir: full exists and is not an empty folder; give a new one"] * 2
    differing = SCRIPT.replace("total_steps=steps,", "total_steps=steps + dist.get_rank(),")
    errors = launched(tmp_path, 2, 100, differing)
    assert errors == ["total_steps: rank 0 has 100, rank 1 has 101; start all ranks with the same"] * 2


def test_states_of_ranks_are_those_that_were_given():
    given = [{"row": torch.arange(3 + n).numpy(), "text": "a" * n, "none": None} for n in range(3)]
    for found in on_ranks(3, lambda rank: states_of_ranks(given[rank.number], rank)):
        assert [one["text"] for one in found] == ["", "a", "aa"]
        assert [one["row"].tolist() for one in found] == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_all_decide_as_the_one_who_wants_most():
    assert on_ranks(2, lambda rank: largest(rank, rank.number, 5 - rank.number)) == [[1, 5], [1, 5]]


def test_ranks_with_something_else_are_refused_on_all():
    def check(rank):
        with pytest.raises(ValueError, match=r"^clip: rank 0 has 0.2, rank 1 has 0.3; start all ranks with the same"):
            check_same(rank, {"seed": 0, "clip": (2 + rank.number) / 10})

    on_ranks(2, check)


def test_all_begin_with_the_parameters_of_the_first():
    layers = [torch.nn.BatchNorm1d(3) for _ in range(2)]
    torch.nn.init.normal_(layers[0].weight)
    layers[1].num_batches_tracked += 7
    on_ranks(2, lambda rank: give_from_first(layers[rank.number], rank))
    for name, value in layers[0].state_dict().items():
        assert torch.equal(layers[1].state_dict()[name], value)


def test_each_rank_has_random_numbers_of_its_own():
    class Rank:
        def __init__(self, number):
            self.number = number

    seeds = {seed_of_rank(seed, Rank(number)) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400 and seed_of_rank(3, Rank(0)) == 3


def test_what_the_first_cannot_open_is_refused_on_all():
    class Locked:
        def __enter__(self):
            raise ValueError("run_dir: it is locked")

        def __exit__(self, *of_an_error):
            raise AssertionError

    def opens(rank):
        with pytest.raises(ValueError, match="^run_dir: it is locked$"), first_opens(rank, Locked()):
            raise AssertionError

    on_ranks(2, opens)
