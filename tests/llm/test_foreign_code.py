"""Folders of models, tokenizers, adapters and agents that bring code of their own: none of it runs."""

import json

import gymnasium as gym
import pytest
import torch
import transformers
from pg_envs import text_task
from pg_envs.tokens import tokenizer_files
from pg_envs.tokens.tokenizer_files import read_tokenizer
from support.bugs import Bug, seeded
from tokenizers import Tokenizer, models, pre_tokenizers

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.llm import language_networks, loading
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.loading import load_model, new_model
from pg_agents.manifest import seal

OWN_CODE = "has its own code, which is not run; if you trust it, load"


@pytest.fixture
def folder(folder, monkeypatch):
    """A tiny Llama with a tokenizer, in the folder model/ of the present one; whoever is asked says yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "modules"))
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<pad>", "</s>", *"abcdef"])}, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>").save_pretrained("model")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=8, eos_token_id=1, **sizes)).save_pretrained(
        "model"
    )
    return folder / "model"


def changed(file, **entries):
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def with_code(folder, *, model=True, tokenizer=True):
    """Make of `folder` what its own code has to be run to read; that code leaves a file behind."""
    marker = folder.parent.absolute() / "ran"
    (folder / "payload.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    if model:
        own = {"AutoConfig": "payload.Config", "AutoModelForCausalLM": "payload.Model"}
        changed(folder / "config.json", auto_map=own, model_type="payload")
    if tokenizer:
        own = {"AutoTokenizer": ["payload.Slow", "payload.Fast"]}
        changed(folder / "tokenizer_config.json", auto_map=own, tokenizer_class="PayloadTokenizer")
    return marker


def token_env():
    return gym.make_vec("pg/Copy-v0", 4)


def saved(folder):
    pg.GRPO.for_env(token_env(), policy=f"hf:{folder}", group_size=2).save(folder.parent / "agent")
    return folder.parent / "agent"


@pytest.mark.parametrize("own", [{"model": True, "tokenizer": False}, {"model": False, "tokenizer": True}], ids=str)
def test_a_folder_with_code_is_refused_in_one_sentence_and_nothing_runs(folder, own, capsys):
    agent = saved(folder)
    marker = with_code(folder, **own)
    with_code(agent / "model", **own)
    seal(agent)
    spaces = token_env().single_observation_space, token_env().single_action_space
    calls = {
        "a model": lambda: load_model(folder),
        "its architecture": lambda: new_model(folder),
        "networks": lambda: language_networks(*spaces, critic=True, policy=f"hf:{folder}"),
        "an agent": lambda: pg.load(agent),
    }
    if own["tokenizer"]:
        calls |= {
            "a tokenizer": lambda: read_tokenizer(folder),
            "a task": lambda: text_task(folder, ["ab"], score=lambda *_: 1.0, max_new_tokens=2),
        }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=OWN_CODE):
            call()
        assert not marker.exists(), name
    for policy in ("hf:model", "hf-config:model"):
        capsys.readouterr()
        assert main(["train", "grpo", "pg/Copy-v0", "--policy", policy, "--total-steps", "8", "--quiet"]) == 2
        error = capsys.readouterr().err
        assert OWN_CODE in error and "Traceback" not in error and not marker.exists()


def test_code_that_is_not_needed_is_not_run_either(folder):
    """Many published folders name code beside an architecture that transformers has itself."""
    marker = with_code(folder)
    changed(folder / "config.json", model_type="llama")
    changed(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    model, tokenizer = load_model(folder)
    assert HuggingFacePolicy(model, tokenizer=tokenizer).outputs == 8 and tokenizer.encode("ab") == [2, 3]
    assert read_tokenizer(folder).eos == [1] and pg.load(saved(folder)).policy.outputs == 8
    assert not marker.exists()


def test_adapters_read_neither_another_model_nor_its_code(folder, monkeypatch):
    marker = with_code(folder)
    adapters = folder.parent / "adapters"
    adapters.mkdir()
    described = {"peft_type": "LORA", "base_model_name_or_path": str(folder), "r": 1, "task_type": "CAUSAL_LM"}
    (adapters / "adapter_config.json").write_text(json.dumps(described))
    (adapters / "adapter_model.safetensors").touch()
    (adapters / "model.gguf").touch()
    for path in (adapters, adapters / "model.gguf"):
        with pytest.raises(ValueError, match="holds adapters .* merge them into the model"):
            load_model(path, cache=folder.parent / "cache")
    assert not marker.exists()


def test_a_folder_does_not_choose_the_kernels_that_it_is_computed_with(folder):
    """They could come from any repository."""
    changed(folder / "config.json", _attn_implementation="somebody/kernel", _experts_implementation="somebody/kernel")
    for model, _ in (load_model(folder), new_model(folder)):
        assert model.config._attn_implementation in ("sdpa", "eager")


test_seeded_bugs = seeded(
    Bug(
        "a model's folder may ask whether to run its code",
        (loading, "OURS"),
        {"local_files_only": True},
        [test_a_folder_with_code_is_refused_in_one_sentence_and_nothing_runs],
        raises=AttributeError,
    ),
    Bug(
        "a tokenizer's folder may ask whether to run its code",
        (tokenizer_files, "OURS"),
        {"local_files_only": True},
        [test_a_folder_with_code_is_refused_in_one_sentence_and_nothing_runs],
        raises=AttributeError,
    ),
    Bug(
        "a model's folder chooses kernels from a repository",
        loading._configuration,
        lambda transformers, folder: transformers.AutoConfig.from_pretrained(folder, **loading.OURS),
        [test_a_folder_does_not_choose_the_kernels_that_it_is_computed_with],
        raises=ImportError,
    ),
)
