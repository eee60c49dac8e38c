"""A run of processes that share out a language model: it goes on as it was, with fewer, and alone."""

import json

import pytest
import torch
from support.text_model import write_model
from training.test_ranks_of_runs import launched

import pg_agents as pg

SCRIPT = """
import hashlib, json, sys
import torch, torch.distributed as dist
import pg_agents as pg

torch.set_num_threads(1)
dist.init_process_group("gloo")
steps, how = int(sys.argv[1]), json.loads(sys.argv[2])
options = {"policy": "hf:model", "group_size": 4, "kl_weight": 0.1, "micro_batch_size": 9, "learning_rate": 1e-3}
agent = pg.GRPO.for_env("pg/Copy-v0", num_envs=8, seed=dist.get_rank(), lora=how.pop("lora"), **options)
how |= {"checkpoint_every": 100, "eval_env": "pg/Copy-v0", "eval_every": 100, "eval_episodes": 4}
summary = pg.train(agent, "pg/Copy-v0", num_envs=8, total_steps=steps, **how)
parameters = b"".join(one.detach().numpy().tobytes() for one in agent.parameters())
digest = hashlib.sha256(parameters).hexdigest()
found = summary.total_steps, list(summary.resumed_from.values()), digest
with open(f"rank-{dist.get_rank()}.json", "w") as file:
    json.dump(found, file)
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, 2])
def test_a_run_goes_on_to_the_bit_and_is_loaded_whole(lora, tmp_path):
    write_model(tmp_path / "model")
    how = {"script": SCRIPT, "shard": True, "lora": lora}
    whole = launched(tmp_path, 2, 330, run_dir="whole", **how)
    assert whole[0] == whole[1]
    assert json.loads((tmp_path / "whole/config.json").read_text())["shard"] is True
    launched(tmp_path, 2, 120, run_dir="parts", **how)
    then = launched(tmp_path, 2, 330, run_dir="parts", resume=True, **how)
    assert then[0][1] == ["exactly"] and then[0][::2] == whole[0][::2]
    agent, other = (pg.load(tmp_path / name / "agent") for name in ("whole", "parts"))
    for name, value in agent.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    begun = pg.load(tmp_path / "whole/checkpoints/start")
    assert any(not torch.equal(value, begun.state_dict()[name]) for name, value in agent.state_dict().items())
    alone = launched(tmp_path, 1, 500, run_dir="parts", resume=True, **how | {"shard": False})
    assert alone[0][0] >= 500 and alone[0][1] == ["exactly", "with new episodes"]
