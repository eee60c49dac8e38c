"""Agents learn on a GPU what they learn on the processor; skipped where there is none."""

import copy
import json
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.names import ROOT

import pg_agents as pg
from pg_agents.data import devices
from pg_agents.data.devices import on_device
from pg_agents.training.loop import make_collector

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

B = 8
CASES = {
    "reinforce": ("reinforce", "CartPole-v1", {"normalize_rewards": True}),
    "reinforce-baseline": ("reinforce-baseline", "CartPole-v1", {}),
    "actor-critic": ("actor-critic", "CartPole-v1", {"num_steps": 5}),
    "a2c": ("a2c", "CartPole-v1", {"num_steps": 5}),
    "ppo": ("ppo", "CartPole-v1", {"num_steps": 16, "minibatch_size": 32, "normalize_observations": True}),
    "ppo, memory": ("ppo", "CartPole-v1", {"num_steps": 16, "minibatch_size": 32, "recurrent": 8, "hidden": None}),
    "ppo, box": ("ppo", "Pendulum-v1", {"num_steps": 16, "minibatch_size": 32}),
    "ppo, pictures": ("ppo", "pg/Catch-v0", {"num_steps": 16, "minibatch_size": 32}),
    "ppo, texts": ("ppo", "pg/Copy-v0", {"minibatch_size": 16}),
    "grpo, texts": ("grpo", "pg/Copy-v0", {"group_size": 2, "kl_weight": 0.1}),
    "rloo": ("rloo", "CartPole-v1", {"group_size": 2}),
    "npg": ("npg", "CartPole-v1", {"num_steps": 16}),
    "trpo": ("trpo", "CartPole-v1", {"num_steps": 16}),
    "average-reward": ("average-reward", "pg/TwoStateMDP-v0", {}),
}


def made(case):
    name, env_id, options = CASES[case]
    vector = {} if env_id.startswith("pg/") else {"vectorization_mode": "sync"}
    env = gym.make_vec(env_id, B, **vector)
    return pg.AGENTS[name].for_env(env, **options).double(), env


@pytest.mark.parametrize("case", CASES)
def test_an_update_is_that_on_the_processor(case):
    agent, env = made(case)
    collector = make_collector(copy.deepcopy(agent), env, seed=0)
    rollouts, other = [next(collector) for _ in range(2)], copy.deepcopy(agent).to("cuda")
    for rollout in rollouts:
        expected, found = agent.update(rollout), other.update(rollout.to("cuda"))
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-6, abs=1e-8, nan_ok=True), name
    for name, value in agent.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(other.state_dict()[name].cpu(), value, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_it_acts_and_learns_there_and_a_resumed_run_has_the_same_bits(case, tmp_path):
    name, env_id, options = CASES[case]

    def trained(total_steps, run_dir, resume=False):
        agent = pg.AGENTS[name].for_env(env_id, num_envs=B, **options).to("cuda")
        how = {"num_envs": B, "checkpoint_every": 1, "progress": False, "resume": resume}
        pg.train(agent, env_id, total_steps=total_steps, run_dir=tmp_path / run_dir, **how)
        assert {one.device.type for one in agent.parameters()} == {"cuda"}
        return agent

    steps = 40 * B if CASES[case][0] in ("actor-critic", "average-reward") else 100 * B
    whole = trained(2 * steps, "whole")
    trained(steps, "parts")
    parts = trained(2 * steps, "parts", resume=True)
    resumed = json.loads((tmp_path / "parts/summary.json").read_text())["resumed_from"]
    assert list(resumed.values()) == ["exactly"]
    if case != "ppo, pictures":  # convolutions are not added up in the same order every time
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    again = pg.load(tmp_path / "whole/agent").to("cuda")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))


def test_what_is_fetched_later_is_what_was_given():
    shape = 4, 1024, 1024  # of 16 MiB: a fetch that could not be over by itself
    torch.cuda._sleep(10**9)  # half a second, which the copies wait for
    given, found = np.zeros(shape, np.float32), []
    for number in range(8):  # in buffers of the same size, which torch might use again too early
        given[:] = number
        found.append(on_device(given, "cuda"))
    went_on = not torch.cuda.current_stream().query()
    given[:] = -1
    assert went_on, "each copy was waited for"
    for number, one in enumerate(found):
        assert one.dtype == torch.float32 and bool((one == number).all())


@pytest.mark.parametrize("case", ["ppo", "ppo, memory", "ppo, texts", "grpo, texts", "npg"])
def test_pinned_copies_change_no_bit(case, monkeypatch):
    name, env_id, options = CASES[case]

    def trained(most):
        monkeypatch.setattr(devices, "MOST", most)
        agent = pg.AGENTS[name].for_env(env_id, num_envs=B, **options).to("cuda")
        pg.train(agent, env_id, num_envs=B, total_steps=100 * B, progress=False)
        return agent

    pinned, waited = trained(devices.MOST), trained(0)
    assert all(torch.equal(a, b) for a, b in zip(pinned.parameters(), waited.parameters(), strict=True))


SCRIPT = """
import sys, torch, torch.distributed as dist
import pg_agents as pg

dist.init_process_group("gloo")
agent = pg.PPO.for_env("CartPole-v1", num_envs=4, num_steps=32, minibatch_size=64).to("cuda")
summary = pg.train(agent, "CartPole-v1", num_envs=4, total_steps=2000, progress=False)
ends = torch.stack([one.double().sum() for one in agent.parameters()]).cpu()
found = [torch.empty_like(ends) for _ in range(2)]
dist.all_gather(found, ends)
assert torch.equal(*found) and summary.total_steps >= 2000
dist.destroy_process_group()
"""


def test_two_processes_share_one(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "envs"), os.environ.get("PYTHONPATH", "")])
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    done = subprocess.run(start, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
