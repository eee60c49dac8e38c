"""Models whose layers look back only so far, or change with length: right within their limits, refused beyond them."""

import pytest
import torch
import transformers
from pg_envs import TokenVectorEnv
from support.bugs import Bug, seeded, with_arguments, with_result

import pg_agents as pg
from pg_agents.data.rollout import TokenBlock
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.llm import reach, trial
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.packing import pack
from pg_agents.llm.reach import Limit, limit
from pg_agents.llm.trial import affordable

V, FAR = 16, 8
IDS = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = {**IDS, **SIZES, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
NEO = {**IDS, "hidden_size": 32, "intermediate_size": 32, "num_layers": 2, "num_heads": 4, "window_size": FAR}
NEO |= {"attention_types": [[["global", "local"], 1]], "max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}

# What a configuration says, and how long a text may then be.
KINDS = {
    "learned positions": ("gpt2", {**IDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": FAR}, "max_position"),
    "rotations": ("llama", {**LLAMA, "max_position_embeddings": FAR}, "max_position_embeddings"),
    "rotations that grow": (
        "llama", {**LLAMA, "max_position_embeddings": FAR, "rope_parameters": DYNAMIC}, "max_position_embeddings"
    ),
    "two sets of rotations": (
        "phi3", {**LLAMA, "original_max_position_embeddings": FAR, "rope_parameters": LONG}, "original_max_position"
    ),
    "local layers": ("gpt_neo", NEO, "window_size"),
    "all layers slide": ("mistral", {**LLAMA, "sliding_window": FAR}, "sliding_window"),
    "some layers slide": (
        "qwen2", {**LLAMA, "use_sliding_window": True, "sliding_window": FAR, "max_window_layers": 1}, "sliding_window"
    ),
    "every other layer slides": ("gemma3_text", {**LLAMA, "sliding_window": FAR}, "sliding_window"),
    "the most relevant": ("doge", {**LLAMA, "keep_window_size": FAR}, "keep_window_size"),
}  # fmt: skip


def model(form, seed=0, **options):
    """Return a model whose attention matters, as in one that was trained."""
    torch.manual_seed(seed)
    made = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(form, **options))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(12)
    return made.eval()


def env_of(window, num_envs=24, group_size=6, eos=(2, 3), **options):
    given = {"prompts": [[5], [6, 7], [8, 9, 5]], "score": lambda prompt, text: float(len(text)), "vocabulary": V}
    sizes = {"eos": list(eos), "max_new_tokens": window - 3, "group_size": group_size}
    return TokenVectorEnv(num_envs, **given | sizes | options)


def block_of(texts, prompt=3):
    lengths = torch.arange(prompt, texts.shape[1] + 1)[:, None]
    return TokenBlock(texts, lengths.expand(len(lengths), len(texts)))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_up_to_its_limit_a_model_acts_and_learns_as_it_is_and_beyond_it_is_refused(kind):
    form, options, name = KINDS[kind]
    made = model(form, **options)
    found = limit(made.get_decoder().config)
    assert found.tokens == FAR and name in found.name
    policy = HuggingFacePolicy(made)
    rollout = next(pg.collect_episodes(env_of(FAR), policy, seed=0))
    block, mask = rollout.observations, rollout.mask
    lengths = (block.lengths * mask).amax(0)
    assert int(lengths.max()) == FAR - 1 and len(set(lengths.tolist())) > 2
    alone = torch.zeros(mask.shape)
    for t, b in mask.nonzero().tolist():
        logits = made(block.tokens[b, : block.lengths[t, b]][None], use_cache=False).logits[0, -1]
        alone[t, b] = logits.log_softmax(-1)[rollout.actions[t, b]]
    torch.testing.assert_close(rollout.log_probs[mask], alone[mask], rtol=0, atol=1e-3)
    torch.testing.assert_close(policy(block).log_prob(rollout.actions)[mask], alone[mask], rtol=0, atol=1e-3)
    agent, longer = pg.GRPO(policy=policy, group_size=6), env_of(FAR + 1)
    message = f"window must be at most the model's .*{name}.*, {FAR}, got one of {FAR + 1} tokens; give the environment"
    for what in (
        lambda: pg.evaluate(agent, longer, episodes=2),
        lambda: pg.train(agent, longer, total_steps=10, progress=False),
        lambda: policy(block_of(torch.ones(2, FAR + 1, dtype=torch.int64))),
        lambda: HuggingFaceCritic(made)(block_of(torch.ones(2, FAR + 1, dtype=torch.int64))),
    ):
        with pytest.raises(ValueError, match=message):
            what()


@pytest.mark.parametrize("kind", ["local layers", "every other layer slides"])
def test_networks_for_an_environment_are_refused_before_anything_is_played(kind, tmp_path):
    form, options, name = KINDS[kind]
    model(form, **options).save_pretrained(tmp_path)
    env = env_of(FAR + 1)
    with pytest.raises(
        UnsupportedSpaceError, match=f"its window of 9 tokens is longer than 8, the {name} of hf-config"
    ):
        pg.GRPO.for_env(env, policy=f"hf-config:{tmp_path}", group_size=6)
    assert pg.GRPO.for_env(env_of(FAR), policy=f"hf-config:{tmp_path}", group_size=6).policy.tried == FAR


def test_windows_that_are_not_used_do_not_matter():
    everywhere = ["full_attention"] * 2
    for form, options in (
        ("qwen2", {"use_sliding_window": False, "sliding_window": FAR}),
        ("gemma3_text", {"sliding_window": FAR, "layer_types": everywhere}),
        ("mistral", {"sliding_window": None}),
    ):
        config = transformers.AutoConfig.for_model(form, **LLAMA | options)
        assert limit(config) == ("max_position_embeddings", 64)
    assert (
        limit(transformers.AutoConfig.for_model("gpt_neo", **NEO | {"attention_types": [[["global"], 2]]})).tokens == 64
    )
    assert limit(transformers.AutoConfig.for_model("bloom")) is None


@torch.no_grad()
def test_no_sequence_is_longer_than_the_positions():
    """GPT-Neo's masks are of its positions, counted in a sequence: side by side texts must not go beyond them."""
    texts = torch.randint(3, V, (20, FAR), generator=torch.Generator().manual_seed(0))
    texts[:, :3] = texts[0, :3]
    block = block_of(texts)
    assert pack(block).tokens.shape[1] > FAR == pack(block, Limit("window_size", FAR)).tokens.shape[1]
    assert pack(block, Limit("window_size", 2 * FAR)).tokens.shape[1] <= 2 * FAR
    made = model("gpt_neo", **NEO | {"max_position_embeddings": 12, "window_size": 12})
    logits = made(texts, use_cache=False).logits.log_softmax(-1)
    found = HuggingFacePolicy(made)(block).log_prob(texts.T[-1].expand(len(block.lengths), -1))
    expected = logits[:, 2:].gather(2, texts[:, -1:, None].expand(-1, FAR - 2, 1))[..., 0].T
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["local layers", "all layers slide", "every other layer slides", "the most relevant"])
def test_what_no_configuration_says_is_found_by_a_trial(kind, monkeypatch):
    monkeypatch.setattr("pg_agents.llm.reach.WINDOWS", ())
    form, options, _ = KINDS[kind]
    policy = HuggingFacePolicy(model(form, **options))
    with pytest.raises(ValueError, match=r"its texts of 24 tokens have other logits .* than alone"):
        pg.evaluate(pg.GRPO(policy=policy, group_size=6), env_of(24), episodes=1)


def test_a_trial_is_made_once_and_of_no_more_than_a_second_or_two(monkeypatch):
    lengths = []
    monkeypatch.setattr("pg_agents.llm.huggingface.try_out", lambda policy, length: lengths.append(length))
    policy = HuggingFacePolicy(model("llama", **LLAMA))
    for window in (4, 12, 12, 9, 40):
        policy.admit(window)
    assert lengths == [5, 12, 40]
    parameters = sum(parameter.numel() for parameter in policy.model.parameters())
    monkeypatch.setattr("pg_agents.llm.trial.ROOM", 30 * parameters)
    assert [affordable(policy.model, length) for length in (20, 30, 31, 10**6)] == [20, 30, 30, 30]
    policy.admit(50)
    assert lengths == [5, 12, 40]  # as long a text as there is time for was tried already


def test_positions_by_distance_and_sequences_of_another_kind_are_refused_at_once():
    for form, options in (
        ("mpt", {**IDS, "d_model": 32, "n_heads": 4, "n_layers": 2}),
        ("bloom", {**IDS, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
        ("rwkv", {**IDS, **SIZES}),
        ("mamba2", {**IDS, **SIZES, "num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 4}),
        ("recurrent_gemma", {**LLAMA, "lru_width": 32, "attention_window_size": 64}),
    ):
        with pytest.raises(ValueError, match="cannot be a policy"):
            HuggingFacePolicy(model(form, **options))


def texts_that_share_no_prompt(found):
    texts, lengths = found
    return (texts + torch.tensor([0, 2, 0, 2])[:, None]) % V, lengths


test_seeded_bugs = seeded(
    Bug(
        "layers that look back only so far are not known",
        (reach, "WINDOWS"),
        tuple(name for name in reach.WINDOWS if name != "window_size"),
        [test_up_to_its_limit_a_model_acts_and_learns_as_it_is_and_beyond_it_is_refused],
    ),
    Bug(
        "sequences of texts side by side are longer than the positions",
        pack,
        with_arguments(pack, longest=lambda _: None),
        [test_no_sequence_is_longer_than_the_positions],
    ),
    Bug(
        "a model is tried on short texts alone",
        affordable,
        lambda model, length: trial.SHORT,
        [test_what_no_configuration_says_is_found_by_a_trial],
    ),
    Bug(
        "texts are tried alone and never side by side",
        trial._texts,
        with_result(trial._texts, texts_that_share_no_prompt),
        [test_positions_by_distance_and_sequences_of_another_kind_are_refused_at_once],
    ),
)
