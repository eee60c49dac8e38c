"""Language models on a GPU learn what they learn on the processor, whole and shared out."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from agents.test_sharding import CASES, B, free_port, in_64_bits, learned, made, norms_in_64_bits  # noqa: F401
from support.names import ROOT
from support.text_model import write_model
from support.tiny_llama import token_env

from pg_agents.agents.common.sharded_optimizer import ShardedOptimizer
from pg_agents.data.rollout import map_steps
from pg_agents.llm.sharding import CutModel
from pg_agents.training.loop import make_collector
from pg_agents.training.ranks import GroupRanks

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def group(monkeypatch):
    """The ranks of a group of one process, which sends by nccl."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    dist.init_process_group("nccl", rank=0, world_size=1)
    yield GroupRanks()
    dist.destroy_process_group()


def assert_equal(there, here, found, expected):
    for name, value in here.named_parameters():
        torch.testing.assert_close(dict(there.named_parameters())[name].cpu(), value, rtol=1e-6, atol=1e-7, msg=name)
    for mine, wanted in zip(found, expected, strict=True):
        assert mine == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_an_update_is_that_on_the_processor(case, group):
    agent, collector = made(case), make_collector(made(case), token_env(B), seed=0)
    rollouts = [map_steps(in_64_bits, next(collector)) for _ in range(2)]
    expected = learned(agent, rollouts)
    whole = made(case).to("cuda")
    assert_equal(whole, agent, learned(whole, [one.to("cuda") for one in rollouts]), expected)
    cut = made(case).to("cuda")
    cut.ranks, networks = group, (cut.policy, cut.critic, cut.reference)
    networks = [one for one in networks if one is not None and next(one.parameters(), None) is not None]
    cut.flat_optimizer = ShardedOptimizer(cut.flat_optimizer, [CutModel(one, group) for one in networks], group)
    assert_equal(cut, agent, learned(cut, [one.to("cuda") for one in rollouts]), expected)


@pytest.mark.parametrize("how", [["--lora", "2", "--kl-weight", "0.1"], ["--dtype", "bfloat16"]])
def test_two_processes_share_one_model_out_on_one_gpu(how, tmp_path):
    write_model(tmp_path / "model")
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), f"{ROOT}", f"{ROOT / 'envs'}"])
    }
    typed = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pg_agents"]
    typed += ["train", "grpo", "pg/Copy-v0", "--policy", "hf:model", "--shard", "--device", "cuda", *how]
    typed += ["--num-envs", "8", "--group-size", "4", "--total-steps", "300", "--run-dir", "run"]
    done = subprocess.run(typed, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "speed" in done.stdout
