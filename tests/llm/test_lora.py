"""LoRA: few parameters learn, the reference is the model without them, and nothing else changes."""

import pytest
import torch
from support.bugs import Bug, seeded, with_result
from support.tiny_llama import V, llama, played, token_env

import pg_agents as pg
from pg_agents.llm import lora
from pg_agents.llm.huggingface import HuggingFacePolicy, WithoutAdapters
from pg_agents.llm.lora import with_lora


def names_that_learn(policy):
    return {name for name, parameter in policy.named_parameters() if parameter.requires_grad}


def test_adapters_begin_as_the_model_and_are_all_that_learns():
    plain, adapted = HuggingFacePolicy(llama()), HuggingFacePolicy(with_lora(llama(), 4))
    rollout = played(plain)
    torch.testing.assert_close(played(adapted).log_probs, rollout.log_probs, rtol=0, atol=1e-5)
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    agent = pg.GRPO(policy=adapted, group_size=3, epochs=1, learning_rate=0.01)
    for _ in range(2):
        agent.update(rollout)
    moved = {name for name, value in adapted.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == names_that_learn(adapted) and all("lora_" in name for name in moved)
    assert 0 < sum(adapted.state_dict()[name].numel() for name in moved) < 0.5 * sum(map(torch.numel, before.values()))


@pytest.mark.parametrize("penalty", ["reward", "k3-loss"])
def test_the_reference_is_the_model_without_adapters(penalty):
    policy = HuggingFacePolicy(with_lora(llama(), 4))
    agent = pg.GRPO(policy=policy, group_size=3, epochs=1, learning_rate=0.02, kl_weight=0.1, kl_penalty=penalty)
    assert isinstance(agent.reference, WithoutAdapters) and not list(agent.reference.parameters())
    collector = pg.collect_episodes(token_env(), policy, group_size=3)
    divergences = [float(agent.update(next(collector))["kl_reference"]) for _ in range(3)]
    assert divergences[0] == pytest.approx(0, abs=1e-6) and abs(divergences[-1]) > 1e-4
    rollout, original = played(policy), HuggingFacePolicy(llama())
    with torch.no_grad():
        found, expected = (p(rollout.observations).log_prob(rollout.actions) for p in (agent.reference, original))
        learned = policy(rollout.observations).log_prob(rollout.actions)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert float((learned - found).abs().max()) > 1e-3
    torch.testing.assert_close(learned, rollout.log_probs * rollout.mask, rtol=0, atol=1e-5)  # adapters are on again


def test_outputs_and_bad_input():
    policy = HuggingFacePolicy(with_lora(llama()))
    assert policy.frozen_copy().outputs == V
    with pytest.raises(ValueError, match="rank must be a whole number, 1 or above, got 0"):
        with_lora(llama(), 0)


def test_adapters_that_have_learned_already_are_part_of_the_reference():
    """What is compared with is the policy as it is at the start, whatever it has learned before, and it stays that."""
    policy = HuggingFacePolicy(with_lora(llama(), 4))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            parameter.add_(0.1 if "lora_B" in name else 0.0)
    agent = pg.GRPO(policy=policy, group_size=3, epochs=1, learning_rate=0.02, kl_weight=0.1)
    assert not isinstance(agent.reference, WithoutAdapters)
    assert float(agent.update(played(policy))["kl_reference"]) == pytest.approx(0, abs=1e-5)


def test_a_reference_of_a_model_that_learns_besides_its_adapters_stays():
    policy = HuggingFacePolicy(with_lora(llama(), 4))
    norm = next(parameter for name, parameter in policy.named_parameters() if "norm" in name)
    norm.requires_grad_(True)
    reference, rollout = policy.frozen_copy(), played(policy)
    with torch.no_grad():
        before = reference(rollout.observations).log_prob(rollout.actions)
        norm.add_(1.0)
        assert torch.equal(reference(rollout.observations).log_prob(rollout.actions), before)
        assert not torch.equal(policy(rollout.observations).log_prob(rollout.actions), before)


test_seeded_bugs = seeded(
    Bug(
        "adapters that have learned already are left out of the reference",
        lora._some_logits,
        with_result(lora._some_logits, lambda logits: 0 * logits),
        [test_adapters_that_have_learned_already_are_part_of_the_reference],
    ),
    Bug(
        "a reference shares parameters that learn",
        lora._some_logits,
        with_result(lora._some_logits, torch.Tensor.detach),
        [test_a_reference_of_a_model_that_learns_besides_its_adapters_stays],
    ),
)
