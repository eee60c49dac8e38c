"""What a model computes from its configuration stays exact in every precision, as in transformers' own models."""

import pytest
import torch
import transformers
from support.bugs import Bug, seeded
from support.tiny_llama import llama, played, token_env

import pg_agents as pg
from pg_agents.checkpoints.agent_state import FrozenParameters, agent_state, set_agent_state
from pg_agents.llm import precision
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.loading import load_model, new_model

BF16 = torch.bfloat16
TEXT = torch.arange(3, 43)[None] % 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a tiny Llama in bfloat16, and with it a tokenizer of a word for each id."""
    from tokenizers import Tokenizer, models

    path = tmp_path_factory.mktemp("models") / "tiny"
    llama(dtype=BF16, num_hidden_layers=1).save_pretrained(path)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(50)}, "w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2").save_pretrained(path)
    return path


def theirs(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=BF16)


def logits(model):
    with torch.no_grad():
        return model(TEXT).logits


def agent_for(folder, **options):
    options = {"group_size": 2, "dtype": "bfloat16"} | options
    return pg.GRPO.for_env("pg/Addition-v0", num_envs=4, policy=f"hf:{folder}", **options)


def test_a_model_in_bfloat16_is_that_of_transformers(folder):
    """A copy that was cast after it was read differs: the frequencies of its rotary embedding are rounded, too."""
    expected = logits(theirs(folder))
    cast = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(BF16)
    assert not torch.equal(logits(cast), expected)
    loaded, new = load_model(folder, dtype=BF16)[0], new_model(folder, dtype=BF16)[0]
    new.load_state_dict(loaded.state_dict())
    ways = {
        "loaded": loaded,
        "new with its parameters": new,
        "of an agent": agent_for(folder).policy.model,
        "cast by its policy": HuggingFacePolicy(load_model(folder)[0]).to(BF16).model,
        "rounded before": HuggingFacePolicy(cast).model,
    }
    for how, model in ways.items():
        assert torch.equal(logits(model), expected), how
        assert {parameter.dtype for parameter in model.parameters()} == {BF16}


def test_a_critic_of_a_model_that_was_rounded_has_its_frequencies_again(folder):
    rounded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(BF16)
    critic = HuggingFaceCritic(rounded)
    exact = theirs(folder).model.rotary_emb.inv_freq
    assert torch.equal(critic.trunk.rotary_emb.inv_freq, exact)
    assert torch.equal(critic.to(torch.float16).trunk.rotary_emb.inv_freq, exact)


def test_a_saved_agent_is_the_same_model_again(folder, tmp_path):
    agent = agent_for(folder, lora=2)
    with torch.no_grad():
        for name, parameter in agent.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    agent.save(tmp_path / "agent")
    other = pg.load(tmp_path / "agent")
    assert torch.equal(logits(agent.policy.model), logits(other.policy.model))
    kinds = {name: parameter.dtype for name, parameter in other.named_parameters()}
    assert kinds == {name: parameter.dtype for name, parameter in agent.named_parameters()}
    assert set(kinds.values()) == {BF16, torch.float32}  # peft keeps adapters in float32


def test_a_run_that_began_with_rounded_frequencies_goes_on_with_them():
    agent = pg.GRPO(policy=HuggingFacePolicy(llama(dtype=BF16)), group_size=3)
    state = agent_state(agent, FrozenParameters(agent))
    name = next(name for name in state.networks if name.endswith("rotary_emb.inv_freq"))
    state.networks[name] = state.networks[name].bfloat16()
    set_agent_state(agent, state, {})
    assert torch.equal(dict(agent.named_buffers())[name], state.networks[name])
    assert agent.update(played(agent.policy))
    state.networks[name] = state.networks[name].long()
    with pytest.raises(ValueError, match=r"inv_freq'? is torch.int64 .* expected torch.bfloat16"):
        set_agent_state(agent, state, {})


def test_an_agent_cast_as_a_whole_still_acts():
    agent = pg.GRPO(policy=HuggingFacePolicy(llama()), group_size=3).to(BF16)
    rollout = next(pg.collect_episodes(token_env(), agent.policy, seed=0))
    assert agent.policy.model.model.rotary_emb.inv_freq.dtype == torch.float32 and len(rollout.rewards)


test_seeded_bugs = seeded(
    Bug(
        "a cast rounds what was computed",
        precision.computed,
        lambda model, deep=True: iter(()),
        [test_a_model_in_bfloat16_is_that_of_transformers],
    ),
)
