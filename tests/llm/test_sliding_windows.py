"""Windows that slide: a cache that keeps what it read is wrong for more than one layer, so all is read again."""

import pytest
import torch
from pg_envs import TokenVectorEnv
from torch.nn import functional

from pg_agents.collection.collectors import collect_episodes
from pg_agents.policies import TransformerPolicy

WINDOW, VOCABULARY = 4, 7


def transformer(layers):
    """Return a transformer without positions, for which dequeuing a token moves nothing: only what was read differs."""
    torch.manual_seed(0)
    policy = TransformerPolicy(VOCABULARY, WINDOW, width=16, layers=layers, heads=2)
    torch.nn.init.normal_(policy.head.weight, std=0.5)
    torch.nn.init.zeros_(policy.trunk.positions.weight)
    return policy


def window_of(text):
    tokens = text[-WINDOW:]
    return {"tokens": torch.tensor([tokens + [0] * (WINDOW - len(tokens))]), "length": torch.tensor([len(tokens)])}


def naive_logits(policy, text):
    """Read one token at a time; keys and values of the last WINDOW tokens are kept as they were computed."""
    trunk, logits = policy.trunk, []
    kept = [([], []) for _ in trunk.layers()]
    for token in text:
        x = trunk.tokens.weight[token][None, None]
        for block, (keys, values) in zip(trunk.layers(), kept, strict=True):
            q, k, v = block.queries_keys_values(x)
            keys.append(k), values.append(v)
            del keys[:-WINDOW], values[:-WINDOW]
            attended = functional.scaled_dot_product_attention(q, torch.cat(keys, 2), torch.cat(values, 2))
            x = block.finish(x, attended)
        logits.append(policy.head(trunk.norm(x))[0, 0])
    return torch.stack(logits).log_softmax(-1)


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_keys_that_are_kept_are_wrong_beyond_one_layer_and_the_policy_does_not_keep_them(layers):
    policy, text = transformer(layers), [1, 5, 2, 6, 3, 4, 4, 1, 6, 2]
    memory, acting = None, []
    for length in range(1, len(text) + 1):
        distribution, memory = policy.step(window_of(text[:length]), memory)
        acting.append(distribution.logits[0])
    learning = torch.stack([policy(window_of(text[:length])).logits[0] for length in range(1, len(text) + 1)])
    torch.testing.assert_close(torch.stack(acting), learning, rtol=1e-5, atol=1e-5)
    naive = naive_logits(policy, text)
    torch.testing.assert_close(naive[:WINDOW], learning[:WINDOW], rtol=1e-5, atol=1e-5)  # nothing was dequeued yet
    difference = (naive - learning)[WINDOW:].abs().amax(1)
    assert difference.max() < 1e-5 if layers == 1 else difference.min() > 1e-3


@pytest.mark.parametrize("layers", [2, 3])
def test_acting_and_learning_agree_in_rollouts_whose_window_slides(layers):
    torch.manual_seed(1)
    policy = TransformerPolicy(VOCABULARY, WINDOW, width=16, layers=layers, heads=2)
    torch.nn.init.normal_(policy.head.weight, std=0.5)
    env = TokenVectorEnv(
        8,
        prompts=[[1, 2], [4], [5, 6, 2, 1]],
        score=lambda prompt, completion: 1.0,
        vocabulary=VOCABULARY,
        eos=3,
        max_new_tokens=12,
        window=WINDOW,
        group_size=2,
    )
    collector = collect_episodes(env, policy)
    for _ in range(2):
        rollout = next(collector)
        assert not env.metadata["append_only"] and len(rollout.mask) > WINDOW
        with torch.no_grad():
            learned = policy(rollout.observations).log_prob(rollout.actions)
        torch.testing.assert_close(rollout.log_probs[rollout.mask], learned[rollout.mask], rtol=1e-5, atol=1e-5)
