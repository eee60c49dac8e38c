"""Runs of language models go on with the same bits, and their frozen weights are written once."""

import pytest
import transformers
from support.resumed import differences, files, state_of, stopped_after
from support.tiny_llama import V, llama
from tokenizers import Tokenizer, models

import pg_agents as pg
from pg_agents.checkpoints.store import checkpoints_in


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    llama().save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)}, "w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2").save_pretrained(folder)
    return f"hf:{folder}"


def go(model, run_dir, **more):
    options = {"lora": 2, "kl_weight": 0.1, "group_size": 2, "minibatch_size": 8, "learning_rate": 0.05}
    agent = pg.GRPO.for_env("pg/Addition-v0", num_envs=4, seed=3, policy=model, **options)
    how = {"num_envs": 4, "seed": 5, "progress": False, "checkpoint_every": 1, "keep_checkpoints": 100}
    pg.train(agent, "pg/Addition-v0", total_steps=60, run_dir=run_dir, **how, **more)
    return state_of(agent) | files(run_dir)


def test_adapters_go_on_with_the_same_bits_and_the_model_beneath_is_written_once(model, tmp_path):
    whole = go(model, tmp_path / "whole")
    again = go(model, stopped_after(tmp_path / "whole", tmp_path / "again", 3), resume=True)
    assert differences(whole, again) == []
    sizes = [(path / "networks.safetensors").stat().st_size for path in checkpoints_in(tmp_path / "whole/checkpoints")]
    assert max(sizes) < (tmp_path / "whole/checkpoints/start/agent.safetensors").stat().st_size / 2
