"""The transformer: what is cached equals what is computed afresh, blocks equal windows, and nothing sees ahead."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_arguments
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pg_agents.data.rollout import TokenBlock
from pg_agents.policies import TransformerCritic, TransformerPolicy
from pg_agents.policies.transformer import Trunk

VOCABULARY, WINDOW = 7, 9


def transformer(window=WINDOW, seed=0, form=TransformerPolicy):
    torch.manual_seed(seed)
    policy = form(VOCABULARY, window, width=16, layers=2, heads=2)
    torch.nn.init.normal_(policy.head.weight, std=0.5)
    return policy


def window_of(texts, window=WINDOW):
    """Return the observations of texts: the last `window` tokens of each, then padding."""
    seen = [text[-window:] for text in texts]
    tokens = [text + [0] * (window - len(text)) for text in seen]
    return {"tokens": torch.tensor(tokens), "length": torch.tensor([len(text) for text in seen])}


@torch.no_grad()
def assert_cache_is_exact(policy, observations):
    """Step through observations with the cache; each must give what a pass over its windows alone gives."""
    memory = None
    for observation in observations:
        distribution, memory = policy.step(observation, memory)
        for row in range(len(observation["length"])):
            length = int(observation["length"][row])
            alone = policy({"tokens": observation["tokens"][row : row + 1, :length], "length": torch.tensor([length])})
            torch.testing.assert_close(distribution.logits[row], alone.logits[0], rtol=1e-5, atol=1e-5)


def test_cache_with_ragged_prompts_and_rows_that_end_and_begin_anew():
    """Row 0 grows all along; row 1 begins a new episode at step 2; row 2 ends at step 1 and waits."""
    long, other, third = [3, 1, 4, 1, 5, 2], [2, 6], [5, 3, 5, 6]
    rows = [
        [long[:3], other, third],
        [long[:4], [*other, 1], [*third, 2]],
        [long[:5], [2, 2, 2], [*third, 2]],
        [long, [2, 2, 2, 4], [*third, 2]],
    ]
    assert_cache_is_exact(transformer(), [window_of(texts) for texts in rows])


def test_cache_where_a_new_episode_overwrote_the_middle_of_an_old_one():
    """1 2 3, then 1 4, then 1 4 3 5: the 3 was read behind 1 2 and must be read again behind 1 4."""
    rows = [[[1, 2, 3]], [[1, 4]], [[1, 4, 3, 5]]]
    assert_cache_is_exact(transformer(), [window_of(texts) for texts in rows])


@pytest.mark.parametrize("repeat", [False, True])
def test_cache_in_windows_that_slide(repeat):
    """Each new token moves all the others to another position: they are read again. Equal tokens need not be."""
    text = [3] * 12 if repeat else [3, 1, 4, 1, 5, 2, 6, 5, 3, 5]
    rows = [[text[:length], text[1:length]] for length in range(3, len(text) + 1)]
    assert_cache_is_exact(transformer(window=4), [window_of(texts, 4) for texts in rows])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), window=st.sampled_from([4, WINDOW]))
def test_cache_is_exact_whatever_is_seen(data, window):
    """Two rows of few tokens, which at each step grow by one, stay, or begin anew with a prompt of any length."""
    token = st.integers(1, 2)
    prompt = st.lists(token, min_size=1, max_size=window)
    texts, seen = [data.draw(prompt), data.draw(prompt)], []
    for _ in range(8):
        seen.append(window_of(texts, window))
        moves = data.draw(st.lists(st.sampled_from(["grow", "grow", "stay", "anew"]), min_size=2, max_size=2))
        for row, move in enumerate(moves):
            full = len(texts[row]) >= WINDOW and window == WINDOW
            if move == "anew" or (move == "grow" and full):
                texts[row] = data.draw(prompt)
            elif move == "grow":
                texts[row] = [*texts[row], data.draw(token)]
    assert_cache_is_exact(transformer(window), seen)


def test_cache_does_not_outlive_the_parameters_it_was_computed_from():
    policy = transformer()
    observations = [window_of([[1, 2, 3, 4]]), window_of([[1, 2, 3, 4, 5]])]
    with torch.no_grad():
        _, memory = policy.step(observations[0])
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.ones_like(parameter).cumsum(-1).sin())
        distribution, _ = policy.step(observations[1], memory)
        torch.testing.assert_close(distribution.logits, policy(observations[1]).logits, rtol=1e-5, atol=1e-5)


def block():
    """Return five steps of three rows whose prompts have 2, 4 and 1 tokens; the last ends after two."""
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6, 0, 0], [6, 5, 4, 3, 2, 1, 6, 5], [2, 3, 4, 0, 0, 0, 0, 0]])
    lengths = torch.tensor([[2, 4, 1], [3, 5, 2], [4, 6, 3], [5, 7, 3], [6, 8, 3]])
    return TokenBlock(tokens, lengths)


def shared_block():
    """Return four steps of five rows: three behind 1 2, two behind 6 5 4; two end early."""
    tokens = torch.tensor(
        [[1, 2, 3, 4, 5, 0], [1, 2, 5, 0, 0, 0], [6, 5, 4, 3, 2, 1], [1, 2, 6, 6, 3, 0], [6, 5, 4, 1, 2, 0]]
    )
    lengths = torch.tensor([[2, 2, 3, 2, 3], [3, 3, 4, 3, 4], [4, 3, 5, 4, 5], [5, 3, 6, 5, 5]])
    return TokenBlock(tokens, lengths)


def test_windows_by_hand():
    windows = block().windows()
    assert windows["tokens"].shape == (5, 3, 8) and torch.equal(windows["length"], block().lengths)
    assert windows["tokens"][0].tolist() == [[1, 2, 0, 0, 0, 0, 0, 0], [6, 5, 4, 3, 0, 0, 0, 0], [2] + [0] * 7]
    assert windows["tokens"][4, 1].tolist() == [6, 5, 4, 3, 2, 1, 6, 5]
    assert windows["tokens"][4, 2].tolist() == [2, 3, 4, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("make", [block, shared_block])
@pytest.mark.parametrize("form", [TransformerPolicy, TransformerCritic])
def test_block_equals_its_windows_in_value_and_gradient(form, make):
    network, seen = transformer(form=form), make()
    results = []
    weights = torch.randn(seen.lengths.shape, generator=torch.Generator().manual_seed(1))
    for observations in (seen, seen.windows()):
        output = network(observations)
        values = output if form is TransformerCritic else output.log_prob(torch.full_like(seen.lengths, 2))
        network.zero_grad()
        (weights * values).sum().backward()
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        results.append([values.detach(), *[gradient.clone() for gradient in gradients]])
    assert results[0][0].std() > 0.01
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_block_of_one_step_behind_a_shared_prompt():
    policy, seen = transformer(), TokenBlock(torch.tensor([[1, 2], [1, 2], [1, 2]]), torch.tensor([[2, 2, 2]]))
    torch.testing.assert_close(policy(seen).logits, policy(seen.windows()).logits, rtol=1e-5, atol=1e-5)


def test_a_prompt_that_rows_share_is_read_once_in_acting_and_in_learning(monkeypatch):
    policy, read, sizes = transformer(), Trunk.read, []
    monkeypatch.setattr(Trunk, "read", lambda self, tokens: sizes.append(tuple(tokens.shape)) or read(self, tokens))
    policy(shared_block())
    with torch.no_grad():
        policy.step(window_of([[1, 2, 3], [1, 2, 3], [4, 5, 3], [1, 2, 6], [4, 5, 3]]))
    assert sizes == [(2, 3), (2, 2)]  # prompts × their tokens; the last token of a window is not among those
    policy(block())
    assert sizes[2:] == [(3, 8)]  # where nothing is shared whole texts are read at once


def test_later_tokens_change_nothing_before_them():
    policy, tokens = transformer(), block().tokens
    with torch.no_grad():
        plain = policy.trunk(tokens)
        for position in range(1, 8):
            changed = tokens.clone()
            changed[:, position] = (changed[:, position] + 1) % VOCABULARY
            difference = (policy.trunk(changed) - plain).abs().amax((0, 2))
            assert difference[:position].max() < 1e-6 and difference[position:].min() > 1e-4


def test_order_and_position_matter():
    policy = transformer()
    with torch.no_grad():
        logits = policy(window_of([[1, 2, 3], [2, 1, 3], [1, 1, 3]])).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-3 < (logits[0] - logits[2]).abs().max()


def test_leading_dimensions_and_padding_of_windows():
    policy = transformer()
    flat = window_of([[1, 2], [3, 4, 5], [6], [2, 2, 2, 2]])
    stacked = {key: value.unflatten(0, (2, 2)) for key, value in flat.items()}
    noisy = {**flat, "tokens": torch.where(flat["tokens"] == 0, 6, flat["tokens"])}  # nonsense behind the text
    with torch.no_grad():
        expected = policy(flat).logits
        torch.testing.assert_close(policy(stacked).logits.flatten(0, 1), expected)
        torch.testing.assert_close(policy(noisy).logits, expected)


def test_one_block_by_hand():
    """One head, one token: attention returns its value, so the block is x + out(v) and then x + mlp(norm(x))."""
    torch.manual_seed(0)
    policy = TransformerPolicy(VOCABULARY, 3, width=4, layers=1, heads=1)
    trunk, layer = policy.trunk, policy.trunk.layers()[0]
    with torch.no_grad():
        x = trunk.tokens.weight[5] + trunk.positions.weight[0]
        value = (layer.project.weight @ layer.norm1(x) + layer.project.bias)[8:]
        x = x + layer.out(value)
        x = x + layer.mlp(layer.norm2(x))
        expected = policy.head(trunk.norm(x)).log_softmax(-1)
        torch.testing.assert_close(policy(window_of([[5]], 3)).logits[0], expected)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width must be a multiple of heads=4, got 30"):
        TransformerPolicy(VOCABULARY, WINDOW, width=30, heads=4)


def test_one_step_behind_shared_prompts_has_second_derivatives():
    """Natural gradients differentiate twice; no token stands behind the prompts."""
    policy = TransformerPolicy(5, 4, width=8, layers=1, heads=2)
    block = TokenBlock(torch.tensor([[1, 2, 3, 0]] * 4), torch.full((1, 4), 3))
    expected = policy({"tokens": block.tokens, "length": block.lengths[0]}).logits
    parameters = list(policy.parameters())
    with sdpa_kernel(SDPBackend.MATH):
        log_probs = policy(block).logits
        first = torch.autograd.grad(log_probs[..., 0].sum(), parameters, create_graph=True, allow_unused=True)
        total = sum(gradient.square().sum() for gradient in first if gradient is not None)
        second = torch.autograd.grad(total, parameters, allow_unused=True)
    torch.testing.assert_close(log_probs[0], expected, rtol=0, atol=1e-5)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in second)


def attend_to_everything(q, k, v, attn_mask=None, is_causal=False, right=functional.scaled_dot_product_attention):
    return right(q, k, v, attn_mask=attn_mask)


def forgets_which_prompt(self, cache, tokens, stale, right=TransformerPolicy._read_again):
    right(self, cache, tokens, stale)
    rows = stale.nonzero().squeeze(1)
    for part in (cache.keys, cache.values):
        part[:, rows] = part[:, rows.flip(0)]


def as_long_as_the_longest(block):
    return replace(block, lengths=block.lengths[0].max().expand_as(block.lengths))


test_seeded_bugs = seeded(
    Bug(
        "attention sees what comes after",
        (functional, "scaled_dot_product_attention"),
        attend_to_everything,
        [test_later_tokens_change_nothing_before_them],
    ),
    Bug(
        "a block's distributions are a token late",
        Trunk.follow,
        with_arguments(
            Trunk.follow,
            block=lambda block: replace(block, lengths=(block.lengths + 1).clamp(max=block.tokens.shape[1])),
        ),
        [test_block_equals_its_windows_in_value_and_gradient],
    ),
    Bug(
        "cached keys are kept when the parameters change",
        Trunk.version,
        lambda self: 0,
        [test_cache_does_not_outlive_the_parameters_it_was_computed_from],
    ),
    Bug(
        "keys are kept when the window slides",
        TransformerPolicy._read_again,
        lambda self, cache, tokens, stale: None,
        [test_cache_in_windows_that_slide],
    ),
    Bug(
        "a completion is read behind another row's prompt",
        Trunk._behind,
        with_arguments(Trunk._behind, source=lambda source: source.flip(0)),
        [test_block_equals_its_windows_in_value_and_gradient],
    ),
    Bug(
        "padding behind a short prompt is seen",
        Trunk._behind,
        with_arguments(Trunk._behind, there=torch.ones_like),
        [test_block_equals_its_windows_in_value_and_gradient],
    ),
    Bug(
        "a completion's positions begin at the longest prompt's end",
        Trunk._behind,
        with_arguments(Trunk._behind, block=as_long_as_the_longest),
        [test_block_equals_its_windows_in_value_and_gradient],
    ),
    Bug(
        "rows get the keys of another's prompt",
        TransformerPolicy._read_again,
        forgets_which_prompt,
        [test_cache_with_ragged_prompts_and_rows_that_end_and_begin_anew],
    ),
)
