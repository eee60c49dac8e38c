"""Language models: what acts is what learns, whatever is shared, cached, padded or cut into chunks."""

from dataclasses import replace

import pytest
import torch
import transformers
from pg_envs import TokenVectorEnv
from support.bugs import Bug, seeded, with_arguments, with_result
from support.tiny_llama import PROMPTS, V, llama, played, token_env

import pg_agents as pg
from pg_agents.data.rollout import TokenBlock
from pg_agents.distributions import Categorical, Sampling, TokenCategorical
from pg_agents.llm import huggingface
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.kv_cache import DecodeCache, TokenCache
from pg_agents.llm.packing import Packs, pack


def gpt2(seed=0, dtype=torch.float32):
    """Return a GPT-2 with dropout everywhere, learned positions and tied embeddings, in training mode."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": V, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.3}
    drops = {"attn_pdrop": 0.5, "embd_pdrop": 0.5, "resid_pdrop": 0.5}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **drops, eos_token_id=2)).to(dtype).train()


MODELS = {"llama": llama, "gpt2": gpt2}


def naive_log_probs(policy, block, actions, temperature=1.0):
    """Return ln π of every action, [T, B], by one forward pass of each text alone, without padding."""
    result = torch.zeros(actions.shape, dtype=policy.head.weight.dtype)
    for b in range(actions.shape[1]):
        for t in range(len(actions)):
            if block.mask[t, b]:
                text = block.tokens[b, : block.lengths[t, b]]
                logits = policy.model(text[None], use_cache=False).logits[0, -1] / temperature
                result[t, b] = logits.log_softmax(-1)[actions[t, b]]
    return result


@pytest.mark.parametrize("model", MODELS)
def test_what_acted_is_what_each_text_alone_gives_and_what_learns(model):
    policy = HuggingFacePolicy(MODELS[model]())
    rollout = played(policy)
    ends = rollout.mask.sum(0)
    assert len(set(ends.tolist())) > 2 and len(set(rollout.observations.lengths[0].tolist())) > 1
    with torch.no_grad():
        naive = naive_log_probs(policy, rollout.observations, rollout.actions)
        learned = policy(rollout.observations).log_prob(rollout.actions)
    mask = rollout.mask
    torch.testing.assert_close(rollout.log_probs[mask], naive[mask], rtol=0, atol=1e-5)
    torch.testing.assert_close(learned, naive, rtol=0, atol=1e-5)
    assert float(naive[mask].std()) > 0.3  # not a uniform policy, for which anything would agree


@pytest.mark.parametrize("model", MODELS)
def test_the_cache_is_read_again_after_an_update_and_with_new_episodes(model):
    """One collector over several updates: the ratio of what learns to what acted stays 1 until the step is taken."""
    policy = HuggingFacePolicy(MODELS[model]())
    agent = pg.GRPO(policy=policy, group_size=3, epochs=1, learning_rate=0.01)
    collector = pg.collect_episodes(token_env(36), policy, group_size=3)
    for _ in range(3):
        rollout = next(collector)
        with torch.no_grad():
            log_ratio = policy(rollout.observations).log_prob(rollout.actions) - rollout.log_probs
        assert float(log_ratio[rollout.mask].abs().max()) < 1e-5
        agent.update(rollout)
        with torch.no_grad():
            moved = policy(rollout.observations).log_prob(rollout.actions) - rollout.log_probs
        assert float(moved[rollout.mask].abs().max()) > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_gradient_with_shared_prompts_is_that_of_whole_texts(model):
    policy = HuggingFacePolicy(MODELS[model](dtype=torch.float64))
    tolerance = {"gpt2": 1e-12, "llama": 1e-6}[model]  # a Llama's norms are computed in float32 whatever it is
    rollout = played(policy)
    block, mask = rollout.observations, rollout.mask
    weights = torch.randn(mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * mask
    results = []
    for shared in (True, False):
        policy.zero_grad()
        if shared:
            values = policy(block).log_prob(rollout.actions)
        else:
            logits = policy.model(block.tokens, use_cache=False).logits.log_softmax(-1)  # the padding stands behind
            rows = torch.arange(len(block.tokens))
            values = logits[rows, (block.lengths - 1).clamp(max=block.tokens.shape[1] - 1), rollout.actions]
        (weights * values).sum().backward()
        results.append([parameter.grad.clone() for parameter in policy.parameters()])
    largest = max(float(gradient.abs().max()) for gradient in results[1])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * largest)


def loss_and_gradient(policy, block, actions, weights):
    policy.zero_grad()
    distribution = policy(block)
    loss = (weights * (distribution.log_prob(actions) + 0.3 * distribution.entropy())).sum()
    loss.backward()
    return [loss.detach(), *(parameter.grad.clone() for parameter in policy.parameters())]


@pytest.mark.parametrize("change", ["wider", "padding", "order", "apart", "chunk", "room", "steps"])
def test_nothing_changes_the_gradient(change, monkeypatch):
    """More padding, other padding, another order of rows, micro-batches, chunks, no room to share, idle steps."""
    policy = HuggingFacePolicy(gpt2(dtype=torch.float64))
    rollout = played(policy)
    block, actions = rollout.observations, rollout.actions
    weights = torch.randn(actions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * rollout.mask
    expected = loss_and_gradient(policy, block, actions, weights)

    tokens, lengths, mask = block.tokens, block.lengths, block.mask
    parts = [torch.arange(len(tokens))]
    if change == "wider":
        tokens = torch.nn.functional.pad(tokens, (0, 7))
    elif change == "padding":
        total = (lengths * mask).amax(0)  # nothing behind the last decision is read, either
        tokens = torch.where(torch.arange(tokens.shape[1]) < total[:, None], tokens, 33)
    elif change == "order":
        parts = [torch.randperm(len(tokens), generator=torch.Generator().manual_seed(2))]
    elif change == "apart":
        parts = list(parts[0].split(5))
    elif change == "chunk":
        policy.chunk = 4
    elif change == "room":
        monkeypatch.setattr("pg_agents.llm.packing.ROOM", 4)
        assert len(pack(block).tokens) > len(set(map(tuple, block.windows()["tokens"][0].tolist())))
    elif change == "steps":
        lengths, mask = torch.cat([lengths, lengths[-1:]]), torch.cat([mask, torch.zeros_like(mask[:1])])
        actions, weights = torch.cat([actions, actions[-1:]]), torch.cat([weights, 0 * weights[-1:]])
    found = [torch.zeros_like(value) for value in expected]
    for rows in parts:
        part = TokenBlock(tokens[rows], lengths[:, rows], mask[:, rows])
        for total, value in zip(
            found, loss_and_gradient(policy, part, actions[:, rows], weights[:, rows]), strict=True
        ):
            total += value
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_packs_by_hand():
    """Two texts behind 1 2, the first of which decided once, and one behind 1; decisions of the first step first."""
    tokens = torch.tensor([[1, 2, 7, 0], [1, 4, 5, 6], [1, 2, 3, 9]])
    lengths = torch.tensor([[2, 1, 2], [3, 2, 3], [3, 3, 4]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 0]]).bool()
    packs = pack(TokenBlock(tokens, lengths, mask))
    assert packs.tokens.tolist() == [[1, 4, 5, 0], [1, 2, 7, 3]]
    assert packs.positions.tolist() == [[0, 1, 2, 0], [0, 1, 2, 2]]
    assert packs.texts.tolist() == [[0, 2, 2, -1], [0, 0, 1, 3]]
    assert packs.decisions.tolist() == [5, 0, 5, 6, 1, 7, 2]
    visible = packs.attention_mask(torch.float32)[1, 0] == 0
    assert visible.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_a_prompt_drawn_twice_makes_no_longer_sequence():
    """Of eight groups of four texts of six tokens two share a prompt: at most five texts stand behind it."""
    prompt = torch.tensor([5, 5, 6, 7, 8, 9, 10, 11]).repeat_interleave(4)
    tokens = torch.cat([prompt[:, None], torch.arange(32 * 6).view(32, 6) % V], 1)
    packs = pack(TokenBlock(tokens, torch.arange(1, 8)[:, None].expand(7, 32)))
    assert packs.tokens.shape == (8, 1 + 5 * 6)


def test_prompts_are_read_once_and_waiting_rows_cost_nothing():
    policy, sizes = HuggingFacePolicy(llama()), []
    policy.trunk.register_forward_pre_hook(
        lambda _, args, options: sizes.append(tuple(args[0].shape)), with_kwargs=True
    )
    memory = None
    for tokens, length in (([5, 6, 0, 0], 2), ([5, 6, 7, 0], 3), ([5, 6, 7, 0], 3), ([5, 6, 7, 8], 4)):
        window = {"tokens": torch.tensor([tokens] * 4 + [[9, 4, 3, 3]]), "length": torch.tensor([length] * 4 + [3])}
        _, memory = policy.step(window, memory)
    assert sizes == [(2, 3), (4, 1), (4, 1)]


def test_no_token_is_read_on_which_nothing_is_decided():
    policy, read = HuggingFacePolicy(llama()), []
    policy.admit(9)  # the trial of texts as long as the environment's
    policy.trunk.register_forward_pre_hook(lambda _, args, options: read.append(args[0].shape), with_kwargs=True)
    rollout = played(policy)
    lengths = rollout.mask.sum(0)
    assert len(set(lengths.tolist())) > 2  # they end at different times
    assert sum(shape[0] for shape in read if shape[1] == 1) == int((lengths - 1).sum())


def test_rows_that_wait_keep_their_distribution():
    policy = HuggingFacePolicy(llama())
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12], [9, 10, 11, 12]])
    _, cache = policy.step({"tokens": tokens, "length": torch.tensor([2, 3, 1])})
    waiting = {"tokens": tokens, "length": torch.tensor([3, 3, 1])}
    found, _ = policy.step(waiting, cache)
    torch.testing.assert_close(found.logits, policy.step(waiting)[0].logits, rtol=0, atol=1e-5)


def test_windows_that_slide_and_stacked_windows_agree_with_acting():
    policy = HuggingFacePolicy(llama())
    env = token_env(window=5, max_new_tokens=6, eos=[2])
    assert not env.metadata["append_only"]
    rollout = played(policy, window=5, max_new_tokens=6, eos=[2])
    assert isinstance(rollout.observations, dict)
    with torch.no_grad():
        learned = policy(rollout.observations).log_prob(rollout.actions)
    torch.testing.assert_close(learned[rollout.mask], rollout.log_probs[rollout.mask], rtol=0, atol=1e-5)


SAMPLINGS = [{"temperature": 0.6}, {"top_k": 5}, {"top_p": 0.7}, {"temperature": 1.4, "top_k": 8, "top_p": 0.9}]


@pytest.mark.parametrize("options", SAMPLINGS, ids=str)
def test_temperature_and_truncation_learn_as_they_act_and_left_out_do_not(options):
    model = llama()
    policy = HuggingFacePolicy(model, **options)
    rollout = played(policy)
    mask = rollout.mask
    with torch.no_grad():
        learned = policy(rollout.observations).log_prob(rollout.actions)
        plain = HuggingFacePolicy(model)(rollout.observations).log_prob(rollout.actions)
    torch.testing.assert_close(learned[mask], rollout.log_probs[mask], rtol=1e-5, atol=1e-5)
    assert float((plain - rollout.log_probs)[mask].abs().max()) > 0.05


def test_dropout_is_off_in_training_mode():
    policy = HuggingFacePolicy(gpt2())
    assert policy.model.training and policy.model.transformer.h[0].attn.attn_dropout.p == 0
    window = {"tokens": torch.tensor([[5, 6, 7]]), "length": torch.tensor([3])}
    first, second = (policy(window).entropy() for _ in range(2))
    assert torch.equal(first, second)
    assert HuggingFacePolicy(llama(attention_dropout=0.5)).model.model.layers[0].self_attn.attention_dropout == 0


@pytest.mark.parametrize("model", MODELS)
def test_gradient_checkpointing_changes_nothing(model):
    results = []
    for checkpointing in (False, True):
        policy = HuggingFacePolicy(MODELS[model](dtype=torch.float64).train())
        if checkpointing:
            policy.model.activation_checkpointing_enable()
        rollout = played(policy)
        weights = rollout.mask.double() * rollout.actions
        results.append([rollout.log_probs, *loss_and_gradient(policy, rollout.observations, rollout.actions, weights)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_critic_reads_a_copy_and_values_of_blocks_are_those_of_windows():
    model = llama()
    critic = HuggingFaceCritic(model)
    torch.nn.init.normal_(critic.head.weight)
    rollout = played(HuggingFacePolicy(model))
    values = critic(rollout.observations)
    windows = critic(rollout.observations.windows())
    torch.testing.assert_close(values[rollout.mask], windows[rollout.mask], rtol=1e-5, atol=1e-5)
    assert not values[~rollout.mask].any()
    values.sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in critic.trunk.layers.parameters())


def test_models_that_cannot_be_policies():
    config = transformers.MambaConfig(vocab_size=V, hidden_size=16, state_size=4, num_hidden_layers=1)
    with pytest.raises(ValueError, match="MambaForCausalLM cannot be a policy"):
        HuggingFacePolicy(transformers.MambaForCausalLM(config))
    config = transformers.CohereConfig(**vars(llama().config) | {"logit_scale": 0.1, "model_type": "cohere"})
    with pytest.raises(ValueError, match="other logits side by side than alone"):
        HuggingFacePolicy(transformers.CohereForCausalLM(config))


def test_bad_input():
    with pytest.raises(ValueError, match="chunk"):
        HuggingFacePolicy(llama(), chunk=0)
    policy = HuggingFacePolicy(llama(max_position_embeddings=6))
    window = {"tokens": torch.full((1, 9), 5), "length": torch.tensor([7])}
    for call, width in ((policy, 7), (policy.step, 9)):  # what is acted on could grow to its window's width
        with pytest.raises(ValueError, match=f"max_position_embeddings, 6, got one of {width} tokens"):
            call(window)
    masked = {"observation": window, "action_mask": torch.ones(1, V)}
    for call in (policy, policy.step):
        with pytest.raises(ValueError, match="action masks"):
            call(masked)


def test_grpo_trains_a_language_model():
    """Reward 1 for a first token below 25, which a random model says half the time; after 40 updates nearly always."""
    policy = HuggingFacePolicy(llama(initializer_range=0.05))
    task = {"score": lambda prompt, text: float(text[0] < 25), "vocabulary": V, "eos": 2, "max_new_tokens": 3}
    env = TokenVectorEnv(32, prompts=PROMPTS, group_size=8, **task)
    agent = pg.GRPO(policy=policy, learning_rate=1e-2, epochs=1, minibatch_size=None)
    collector = pg.collect_episodes(env, policy, group_size=8)
    means = []
    for _ in range(40):
        rollout = next(collector)
        means.append(float(rollout.episode_returns.mean()))
        agent.update(rollout)
    assert sum(means[:3]) / 3 < 0.7
    assert sum(means[-3:]) / 3 > 0.95


def test_a_language_model_stays_near_itself(tmp_path):
    """The reference is the model as it was: no divergence at first, then some; it is read once a rollout."""
    policy = HuggingFacePolicy(llama(dtype=torch.float64))
    agent = pg.GRPO(
        policy=policy,
        group_size=3,
        kl_weight=0.1,
        kl_penalty="k3-loss",
        epochs=2,
        minibatch_size=16,
        learning_rate=0.01,
    )
    begun = [parameter.clone() for parameter in policy.parameters()]
    collector, read = pg.collect_episodes(token_env(), policy, group_size=3), []
    agent.reference.trunk.register_forward_pre_hook(
        lambda module, args, options: read.append((torch.is_grad_enabled(), args[0].numel())), with_kwargs=True
    )
    divergences = []
    for _ in range(3):
        rollout = next(collector)
        divergences.append(float(agent.update(rollout)["kl_reference"]))
        grad, tokens = read.pop()
        assert not grad and not read and tokens <= pack(rollout.observations).tokens.numel()
    assert abs(divergences[0]) < 1e-6 < 1e-3 < divergences[-1]
    assert all(torch.equal(one, other) for one, other in zip(agent.reference.parameters(), begun, strict=True))
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent", policy=HuggingFacePolicy(llama(seed=7, dtype=torch.float64)))
    same = zip(loaded.reference.parameters(), begun, strict=True)
    assert all(torch.equal(one, other) for one, other in same)


def acts_without_its_temperature(self, observation, memory=None, right=HuggingFacePolicy.step):
    _, cache = right(self, observation, memory)
    return Categorical(cache.logits), cache


def reads_rows_that_wait(self, observation, memory=None, right=HuggingFacePolicy.step):
    if memory is not None:
        memory.tokens[torch.arange(len(memory.tokens)), observation["length"] - 1] = -1
    return right(self, observation, memory)


def keeps_no_logits_of_rows_that_wait(self, rows, logits, right=TokenCache.keep_logits):
    self.logits = torch.zeros_like(self.logits)
    right(self, rows, logits)


def positions_go_on(packs):
    return replace(packs, positions=torch.where(packs.texts < 0, 0, torch.arange(packs.tokens.shape[1])))


test_seeded_bugs = seeded(
    Bug(
        "dropout stays on",
        huggingface.turn_off_dropout,
        lambda model: None,
        [test_dropout_is_off_in_training_mode],
        raises=ValueError,
    ),
    Bug(
        "a language model acts without its temperature",
        HuggingFacePolicy.step,
        acts_without_its_temperature,
        [test_temperature_and_truncation_learn_as_they_act_and_left_out_do_not],
    ),
    Bug(
        "a language model learns without its temperature",
        HuggingFacePolicy.forward,
        with_result(
            HuggingFacePolicy.forward,
            lambda found: TokenCategorical(found.hidden, found.where, found.head, Sampling(), found.chunk),
        ),
        [test_temperature_and_truncation_learn_as_they_act_and_left_out_do_not],
    ),
    Bug(
        "keys and values outlive the parameters of a language model",
        HuggingFacePolicy.version,
        lambda self: 0,
        [test_the_cache_is_read_again_after_an_update_and_with_new_episodes],
    ),
    Bug(
        "a new token sees what stands behind it",
        DecodeCache.visible,
        lambda self: torch.ones(len(self.position), self.width, dtype=torch.bool),
        [test_what_acted_is_what_each_text_alone_gives_and_what_learns],
        raises=ValueError,
    ),
    Bug(
        "waiting rows are read again",
        HuggingFacePolicy.step,
        reads_rows_that_wait,
        [test_prompts_are_read_once_and_waiting_rows_cost_nothing],
    ),
    Bug(
        "logits that are kept are overwritten for rows that wait",
        TokenCache.keep_logits,
        keeps_no_logits_of_rows_that_wait,
        [test_rows_that_wait_keep_their_distribution],
    ),
    Bug(
        "completions of one prompt see each other",
        Packs.attention_mask,
        with_arguments(Packs.attention_mask, self=lambda packs: replace(packs, texts=packs.texts.clamp(max=1))),
        [
            test_packs_by_hand,
            test_gradient_with_shared_prompts_is_that_of_whole_texts,
            test_what_acted_is_what_each_text_alone_gives_and_what_learns,
        ],
        raises=ValueError,
    ),
    Bug(
        "positions go on counting through a pack",
        pack,
        with_result(pack, positions_go_on),
        [test_packs_by_hand, test_what_acted_is_what_each_text_alone_gives_and_what_learns],
        raises=ValueError,
    ),
    Bug(
        "a decision is read one token late",
        pack,
        with_result(pack, lambda packs: replace(packs, decisions=(packs.decisions + 1) % packs.tokens.numel())),
        [test_packs_by_hand, test_what_acted_is_what_each_text_alone_gives_and_what_learns],
        raises=ValueError,
    ),
)
