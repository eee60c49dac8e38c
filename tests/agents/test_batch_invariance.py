"""The gradient of an update does not depend on how a batch is cut, ordered or padded: all agents of tokens, in float64.

Wrong variants, normalised in each part or by what is padded, give something else.
"""

from dataclasses import replace

import gymnasium as gym
import pytest
import torch
import transformers
from pg_envs import TokenVectorEnv
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.agents.common import gradient_accumulation
from pg_agents.data import minibatches
from pg_agents.data.rollout import TokenBlock
from pg_agents.functional import losses
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.policies import TransformerCritic, TransformerPolicy
from pg_agents.training.loop import make_collector

V, WINDOW = 12, 24
AGENTS = {
    "reinforce": (pg.Reinforce, {}),
    "reinforce, standardised": (pg.Reinforce, {"normalize_advantages": True}),
    "reinforce-baseline": (pg.ReinforceBaseline, {"critic": True}),
    "reinforce-baseline, batch mean": (pg.ReinforceBaseline, {"baseline": "batch-mean"}),
    "rloo": (pg.RLOO, {"group_size": 3}),
    "grpo, sequence-mean": (pg.GRPO, {"group_size": 3, "aggregation": "sequence-mean"}),
    "grpo, token-mean": (pg.GRPO, {"group_size": 3, "aggregation": "token-mean", "clip_high": 0.28}),
    "grpo, constant-length": (pg.GRPO, {"aggregation": "constant-length", "max_episode_steps": 5}),
    "grpo, batch deviation": (pg.GRPO, {"group_size": 3, "advantage": "batch-standardized"}),
    "grpo, centred": (pg.GRPO, {"group_size": 3, "advantage": "centred"}),
    "ppo": (pg.PPO, {"critic": True}),
}
PENALTIES = ("reward", "k3-loss")
KINDS = ["transformer", pytest.param("gpt2", marks=pytest.mark.slow)]


def gpt2():
    sizes = {"vocab_size": V, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": WINDOW, "initializer_range": 0.5}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=0)
    return transformers.GPT2LMHeadModel(config).double()


def networks(kind, critic):
    """Return a policy, another one that is frozen, and a critic that says something, or None."""
    torch.manual_seed(0)
    if kind == "gpt2":
        model = gpt2()
        policy, other = HuggingFacePolicy(model), HuggingFacePolicy(gpt2()).requires_grad_(False)
        values = HuggingFaceCritic(model) if critic else None
    else:
        sizes = {"width": 8, "layers": 2, "heads": 2}
        policy, other = (TransformerPolicy(V, WINDOW, **sizes).double() for _ in range(2))
        for one in (policy, other):
            torch.nn.init.normal_(one.head.weight, std=0.5)
        other.requires_grad_(False)
        values = TransformerCritic(V, WINDOW, **sizes).double() if critic else None
    if values is not None:
        torch.nn.init.normal_(values.head.weight)
    return policy, other, values


def made(name, kind, penalty, **more):
    form, arguments = AGENTS[name]
    policy, other, critic = networks(kind, arguments.get("critic", False))
    arguments = arguments | {"reference": other, "kl_weight": 0.1, "kl_penalty": penalty, "entropy_weight": 0.01}
    return form(policy=policy, **arguments | ({"critic": critic} if critic is not None else {}) | more)


def played(policy):
    """Return twelve texts, of four prompts thrice, of different lengths and scores."""
    env = TokenVectorEnv(
        12,
        prompts=[[5, 6], [5, 6, 7, 8], [9], [5, 6, 7, 1]],
        score=lambda prompt, text: (sum(text) % 7) / 7,
        vocabulary=V,
        eos=[0, 2, 3],
        max_new_tokens=5,
        group_size=3,
    )
    record = next(pg.collect_episodes(env, policy, group_size=3, seed=0))
    assert isinstance(record.observations, TokenBlock) and len(set(record.mask.sum(0).tolist())) > 2
    # As if the policy had moved since it acted: ratios are not 1, and some are clipped.
    moved = 0.3 * torch.randn(record.mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return replace(record, rewards=record.rewards.double(), log_probs=record.log_probs.double() + moved)


def gradient(agent, parts):
    """Return the mean of the gradients of the losses of `parts`, [P]."""
    parameters = [parameter for parameter in agent.parameters() if parameter.requires_grad]
    total = torch.zeros(sum(parameter.numel() for parameter in parameters), dtype=torch.float64)
    for part in parts:
        agent.zero_grad()
        agent(part)[0].backward()
        total += torch.cat([parameter.grad.reshape(-1) for parameter in parameters]) / len(parts)
    return total


def prepared(agent, record):
    with torch.no_grad():
        return agent.prepared(record)[0]


# -- changes of a rollout that mean nothing ----------------------------------------------------------------------------
PER_COLUMN = ("actions", "log_probs", "rewards", "terminated", "truncated", "mask", "episode_starts", "times")


def reordered(record, order):
    """Return the rollout of the columns `order`, which may leave some out."""
    block = record.observations
    block = TokenBlock(block.tokens[order], block.lengths[:, order], block.mask[:, order])
    fields = {name: getattr(record, name)[:, order] for name in PER_COLUMN}
    return replace(record, **fields, observations=block, group_ids=record.group_ids[order])


def wider(record):
    """Return it with seven more columns of padding."""
    block = record.observations
    return replace(record, observations=replace(block, tokens=torch.nn.functional.pad(block.tokens, (0, 7), value=4)))


def longer(record):
    """Return it with two more steps in which nothing is decided."""
    fields = {name: torch.cat([getattr(record, name), getattr(record, name)[-2:]]) for name in PER_COLUMN}
    for name in ("mask", "terminated", "truncated", "episode_starts"):
        fields[name][-2:] = False
    block = record.observations
    lengths = torch.cat([block.lengths, block.lengths[-1:].expand(2, -1)])
    return replace(record, **fields, observations=TokenBlock(block.tokens, lengths, fields["mask"]))


def idle(record):
    """Return it with two more texts that never began."""
    more = reordered(record, torch.cat([torch.arange(record.mask.shape[1]), torch.tensor([0, 1])]))
    for field in (more.mask, more.observations.mask, more.terminated, more.truncated, more.episode_starts):
        field[:, -2:] = False
    more.group_ids[-2:] = more.group_ids.max() + 1
    return more


CHANGES = {
    "order": lambda record: reordered(record, torch.randperm(12, generator=torch.Generator().manual_seed(4))),
    "groups dealt out": lambda record: reordered(record, torch.arange(12).view(4, 3).T.flatten()),
    "wider": wider,
    "longer": longer,
    "idle": idle,
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AGENTS)
def test_order_and_padding_change_nothing(name, kind, penalty):
    agent = made(name, kind, penalty)
    record = played(agent.policy)
    expected = gradient(agent, [prepared(agent, record)])
    assert expected.norm() > 1e-2
    for change, function in CHANGES.items():
        found = gradient(agent, [prepared(agent, function(record))])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10, msg=lambda text, c=change: f"{c}: {text}")


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AGENTS)
def test_parts_add_up_to_the_whole(name, kind, penalty):
    agent = made(name, kind, penalty)
    batch = prepared(agent, played(agent.policy))
    expected = gradient(agent, [batch])
    for size in (1, 7, 20, 1000):
        parts = list(agent.split(batch, size))
        assert (len(parts) == 1) == (size == 1000)
        torch.testing.assert_close(gradient(agent, parts), expected, rtol=0, atol=1e-10)


def update_of(name, kind, penalty, **arguments):
    """Return the parameters after one update by plain steps down the gradient, and its metrics."""
    agent = made(name, kind, penalty, optimizer="sgd", learning_rate=0.1, max_grad_norm=0.7, **arguments)
    metrics = agent.update(played(agent.policy))
    return torch.cat([parameter.detach().reshape(-1) for parameter in agent.parameters()]), metrics


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AGENTS)
def test_steps_differentiated_a_few_at_a_time_make_the_same_update(name, kind):
    """Also of minibatches, for those that have them; metrics are those of the whole, too."""
    several = {"minibatch_size": 20, "epochs": 2} if "minibatch_size" in AGENTS[name][0].argument_names() else {}
    whole, metrics = update_of(name, kind, "reward", **several)
    for size in (1, 4, 9):
        parts, found = update_of(name, kind, "reward", micro_batch_size=size, **several)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-10)
        assert found.keys() == metrics.keys()
        for key in metrics:
            assert float(found[key]) == pytest.approx(float(metrics[key]), abs=1e-6), key
    assert float((whole - update_of(name, kind, "k3-loss", **several)[0]).abs().max()) > 1e-6


@pytest.mark.parametrize("options", [{}, {"recurrent": 4}], ids=["rows", "memory"])
@pytest.mark.parametrize("agent", [pg.PPO, pg.ReinforceBaseline])
def test_what_is_no_text_is_differentiated_in_parts_too(agent, options):
    env = gym.make_vec("CartPole-v1", 8, vectorization_mode="sync")
    moved = []
    for size in (None, 16):
        learner = agent.for_env(env, micro_batch_size=size, optimizer="sgd", learning_rate=0.1, **options).double()
        collector = make_collector(learner, env, 0)
        record = next(collector)
        learner.update(replace(record, rewards=record.rewards.double()))
        moved.append(torch.cat([parameter.detach().reshape(-1) for parameter in learner.parameters()]))
    torch.testing.assert_close(moved[1], moved[0], rtol=0, atol=1e-10)


def test_one_part_is_in_memory_at_a_time():
    agent = made("rloo", "transformer", "reward", micro_batch_size=9)
    seen = []
    agent.policy.register_forward_hook(lambda module, args, output: seen.append(args[0].lengths.shape[1]))
    record = played(agent.policy)
    seen.clear()
    agent.update(record)
    assert sum(seen) == 12 and len(seen) >= 4 and max(seen) <= 3


# -- wrong variants, which the tests above would find ------------------------------------------------------------------
def part_by_part(agent, record, sizes):
    """Return the mean gradient of rollouts of a few texts each, prepared on their own: what many trainers do."""
    texts = torch.arange(record.mask.shape[1]).split(sizes)
    return gradient(agent, [prepared(agent, reordered(record, some)) for some in texts])


@pytest.mark.parametrize("name", ["grpo, token-mean", "ppo"])
def test_tokens_counted_in_each_part_would_be_another_mean(name):
    agent = made(name, "transformer", "reward")
    if "normalize_advantages" in agent.argument_names():
        agent.config = agent.config.replace(normalize_advantages=False)
    record = played(agent.policy)
    whole = gradient(agent, [prepared(agent, record)])
    assert float((part_by_part(agent, record, 3) - whole).norm() / whole.norm()) > 1e-2


def test_texts_counted_in_each_part_are_the_same_mean_where_parts_are_equal():
    """The control: whole groups, as many texts in each part, weights that count texts."""
    agent = made("grpo, sequence-mean", "transformer", "reward")
    record = played(agent.policy)
    whole = gradient(agent, [prepared(agent, record)])
    torch.testing.assert_close(part_by_part(agent, record, 3), whole, rtol=0, atol=1e-10)
    assert float((part_by_part(agent, record, 9) - whole).norm() / whole.norm()) > 1e-2  # 9 texts, then 3


@pytest.mark.parametrize("name", ["reinforce, standardised", "reinforce-baseline, batch mean", "rloo"])
def test_texts_compared_in_each_part_would_be_another_comparison(name):
    agent = made(name, "transformer", "reward")
    record = played(agent.policy)
    whole = gradient(agent, [prepared(agent, record)])
    assert float((part_by_part(agent, record, 4) - whole).norm() / whole.norm()) > 1e-2


def test_padding_that_weighs_would_be_another_mean():
    agent = made("grpo, token-mean", "transformer", "reward")
    batch = prepared(agent, played(agent.policy))
    everything = torch.full_like(batch.weights, 1 / batch.weights.numel())
    whole, wrong = gradient(agent, [batch]), gradient(agent, [replace(batch, weights=everything)])
    assert float((wrong - whole).norm() / whole.norm()) > 1e-2


# -- the side of the padding -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("positions", [True, False], ids=["positions counted", "positions forgotten"])
def test_a_model_that_reads_left_padded_texts_gives_the_same_log_probs(positions):
    """Our texts stand at the left. Libraries that pad there agree, if they count positions from the first token."""
    policy, _, _ = networks("gpt2", critic=False)
    record = played(policy)
    block, mask = record.observations, record.mask
    with torch.no_grad():
        expected = policy(block).log_prob(record.actions)
    length = (block.lengths + 1).where(mask, 0).amax(0)
    width = int(length.max())
    shift = width - length  # of each text
    place = torch.arange(width) - shift[:, None]
    seen = (place >= 0).long()
    known = torch.nn.functional.pad(block.tokens, (0, 1))
    for t, b in mask.nonzero().tolist():  # the last action may not be in the block
        known[b, block.lengths[t, b]] = record.actions[t, b]
    tokens = known.gather(1, place.clamp(min=0))
    position = (seen.cumsum(1) - 1).clamp(min=0) if positions else torch.arange(width).expand_as(tokens)
    with torch.no_grad():
        logits = policy.model(tokens, attention_mask=seen, position_ids=position, use_cache=False).logits
    log_probs = logits.log_softmax(-1)
    rows = torch.arange(len(tokens))
    found = log_probs[rows, (block.lengths - 1 + shift).clamp(max=width - 1), record.actions]
    off = float((found - expected)[mask].abs().max())
    assert off < 1e-10 if positions else off > 1e-2


def test_a_reference_reads_no_more_at_once_than_is_differentiated():
    agent, seen = made("rloo", "transformer", "reward", micro_batch_size=9), []
    agent.reference.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].tokens.shape[0]))
    record = played(agent.policy)
    agent.update(record)
    assert sum(seen) == 12 and len(seen) == -(-record.num_transitions // 9)


test_seeded_bugs = seeded(
    Bug(
        "gradients of micro-batches count twice",
        gradient_accumulation._gradients,
        with_result(gradient_accumulation._gradients, lambda gradients: [2 * gradient for gradient in gradients]),
        [test_steps_differentiated_a_few_at_a_time_make_the_same_update],
    ),
    Bug(
        "minibatches weigh as if they were the batch",
        minibatches.columns_of,
        with_result(minibatches.columns_of, lambda part: replace(part, weights=part.weights / part.weights.sum())),
        [test_parts_add_up_to_the_whole],
    ),
    Bug(
        "tokens are counted with their padding",
        losses.mean_over_steps,
        lambda mask, num_learners=1, dtype=torch.float32: mask.to(dtype) / mask.numel(),
        [test_order_and_padding_change_nothing],
    ),
)
