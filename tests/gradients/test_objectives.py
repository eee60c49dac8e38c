"""The objectives of language-model post-training against exact gradients: J − β KL of whole texts, by enumeration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from pg_envs import TokenEnv

from pg_agents.agents import GRPO, PPO, RLOO, Reinforce, ReinforceBaseline, published
from pg_agents.agents.common import kl_regularization as reference
from pg_agents.agents.common.kl_regularization import log_ratios
from pg_agents.agents.published import PUBLISHED
from pg_agents.functional.losses import kl_term
from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.estimators import Setting, always, from_psi
from pg_agents.gradients.exact import exact_gradient, gradient_of, log_table
from pg_agents.gradients.instrument import Instrument
from pg_agents.gradients.paths import enumerate_completions, expected_score, sequence_kl
from pg_agents.gradients.report import random_policy
from pg_agents.gradients.sources import problem_of
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.policies import TabularPolicy

ENV = TokenEnv(
    prompts=[[1]],
    score=lambda prompt, text: sum(one == other for one, other in zip(text, (1, 2, 0), strict=False)) / 3,
    vocabulary=3,
    eos=0,
    max_new_tokens=3,
)
PLAIN = problem_of(ENV)  # 15 texts
POLICY, OTHER = (random_policy(ENV, PLAIN, seed) for seed in (0, 1))
REFERENCE = log_table(OTHER, PLAIN).detach()
BOTH, ALONE = PLAIN.beside(REFERENCE, 0.3), PLAIN.kl_only(REFERENCE)


@pytest.fixture(scope="module", params=["J − 0.3 KL", "−KL"])
def measured(request):
    problem = BOTH if "J" in request.param else ALONE
    instrument = Instrument(problem, POLICY, batch_size=2)
    return problem, {one.name: instrument.measure(one) for one in estimators_of(problem)}


def test_what_theory_calls_unbiased_is_and_the_rest_is_not(measured):
    problem, rows = measured
    assert all(row.enumerated for row in rows.values())
    unbiased = [name for name, row in rows.items() if row.unbiased]
    assert len(unbiased) >= 6
    for name, row in rows.items():
        if row.unbiased:
            assert row.bias < 1e-10 and row.z == 0 and row.scale == pytest.approx(1, abs=1e-9), name
        else:
            assert row.bias > 1e-3 * float(row.exact.norm()), name


def test_places_of_the_kl_that_turn_the_gradient(measured):
    _, rows = measured
    for name in ("k1 in the loss", "k2 in the loss", "k3 in the loss", "GRPO", "RLOO, k2 in the loss"):
        assert rows[name].cosine < 0.9995, name
    assert rows["RLOO, k2 in the loss"].cosine == pytest.approx(rows["k2 in the loss"].cosine, abs=1e-9)


def far_away():
    """Return a problem of staying near a reference that is 0.6 nats away, in texts of up to eight tokens, a policy."""
    env = TokenEnv(prompts=[[1]], score=lambda prompt, text: 0.0, vocabulary=2, eos=0, max_new_tokens=8)
    problem = replace(problem_of(env), observations=None)
    states, generator = problem.mdp.num_states, torch.Generator().manual_seed(0)
    start, step = (torch.randn(states, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    policy = TabularPolicy(states, 2).double()
    policy.logits.data[0] = start - torch.tensor([2.0, 0.0])
    return problem.kl_only((policy.logits.detach()[0] + step).log_softmax(-1)), policy


def test_divergences_of_the_others_lower_the_spread_far_from_the_reference():
    """RLOO's baseline of the KL-to-go, against the same without one."""
    problem, policy = far_away()
    reference = problem.reference

    def without(setting, rollout):
        states = rollout.observations % len(reference)
        ratios = log_ratios(replace(rollout, reference_log_probs=reference[states, rollout.actions]))
        return -ratios.flip(0).cumsum(0).flip(0)

    instrument = Instrument(problem, policy, batch_size=4)
    plain = instrument.measure(from_psi("KL-to-go", without, always))
    compared = instrument.measure(next(one for one in estimators_of(problem) if one.name.endswith("the others")))
    assert plain.bias < 1e-10 and compared.enumerated and compared.bias < 1e-10
    assert compared.variance < 0.9 * plain.variance


def test_every_published_objective_is_measured():
    without, beside = ({one.name for one in estimators_of(problem)} for problem in (PLAIN, BOTH))
    renamed = {"RLOO": "k1 in the reward, − the others", "RLHF's PPO": "k1 in the reward, PPO, learned V"}
    assert {renamed.get(name, name) for name in PUBLISHED} <= beside
    assert {"GRPO", "GRPO without deviation", "Dr. GRPO", "DAPO"} <= without
    for name, one in PUBLISHED.items():
        networks = {"policy": Setting.of(BOTH, log_table(POLICY, BOTH)).policy()}
        if one.agent is PPO:
            networks["critic"] = Setting.of(BOTH, log_table(POLICY, BOTH)).critic(torch.zeros(8))
        if name == "Dr. GRPO":
            networks["max_episode_steps"] = 3
        agent = one.make(**networks)
        assert agent.arguments.items() >= one.arguments.items() and (agent.reference is None) == (not agent.kl_weight)


def test_dr_grpo_is_a_multiple_without_kl_and_a_mixture_with_it():
    """Centred scores have (n − 1)/n of ∇J, the KL-to-go all of its gradient: (½ ∇J − β ∇KL)/L for pairs."""
    instrument = Instrument(BOTH, POLICY, batch_size=2)
    row = instrument.measure(next(one for one in estimators_of(BOTH) if one.name == "Dr. GRPO"))
    paid, near = exact_gradient(PLAIN, POLICY), exact_gradient(ALONE, POLICY)
    torch.testing.assert_close(row.expected, (0.5 * paid + 0.3 * near) / 10, rtol=0, atol=1e-10)


RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ROWS = {"RLOO": ("return − mean of the others", "k1 in the reward, − the others"),
        "REINFORCE++": ("reward-to-go, batch-standardised", "REINFORCE++"),
        "RLHF's PPO": ("PPO's first step, learned V", "k1 in the reward, PPO, learned V")}  # fmt: skip


def test_the_numbers_in_the_documentation_are_those_that_were_measured():
    records = [json.loads(line) for line in (RESULTS / "objectives.jsonl").read_text().splitlines()]
    cosines = {
        record["cell"]["objective"]: {row["estimator"]: row for row in record["result"]["rows"]}
        for record in records
        if record["cell"]["task"] == "three-tokens"
    }
    shown = {
        line.split("|")[1].strip(): line.split("|")[-3:-1] for line in published.__doc__.splitlines() if "|" in line
    }
    assert set(PUBLISHED) <= set(shown)
    for name in PUBLISHED:
        plain, beside = ROWS.get(name, (name, name))
        assert float(shown[name][0]) == pytest.approx(cosines["reward"][plain]["cosine"], abs=0.0051), name
        assert float(shown[name][1]) == pytest.approx(cosines["reward-kl"][beside]["cosine"], abs=0.0051), name
    for form in ("k2", "k3"):
        row = cosines["kl"][f"{form} in the loss"]
        line = next(line for line in reference.__doc__.splitlines() if line.startswith(f"| {form}-loss"))
        mean, worst = (f"{row[key]:.2f}".replace("-", "−") for key in ("cosine", "worst_cosine"))
        assert mean in line and worst in line and mean in kl_term.__doc__ and worst in kl_term.__doc__


# -- through networks and blocks of tokens -----------------------------------------------------------------------------
def gpt2(seed):
    torch.manual_seed(seed)
    sizes = {"vocab_size": 3, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8, "initializer_range": 0.5}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=0)
    return HuggingFacePolicy(transformers.GPT2LMHeadModel(config).double())


@pytest.mark.parametrize("make", [lambda seed: random_policy(ENV, PLAIN, seed), gpt2], ids=["transformer", "gpt2"])
@pytest.mark.parametrize("agent", [Reinforce, ReinforceBaseline])
@pytest.mark.parametrize("penalty", ["reward", "k2-loss", "k3-loss"])
def test_an_agents_loss_on_all_texts_has_the_gradient_of_the_objective(make, agent, penalty):
    """Every text once, weighted by its probability: ∇(J − β KL) for a penalty in the reward, something else for k3."""
    policy, other = make(0), make(1).requires_grad_(False)
    paths = enumerate_completions(ENV.task, [(1,)])
    with torch.no_grad():
        acted = policy(paths.rollout.observations).log_prob(paths.rollout.actions)
    record = replace(paths.rollout, log_probs=acted)
    chances = (acted * record.mask).sum(0).exp()
    assert float(chances.sum()) == pytest.approx(1)
    more = {"baseline": "constant", "constant": 0.4} if agent is ReinforceBaseline else {}
    learner = agent(policy=policy, reference=other, kl_weight=0.3, kl_penalty=penalty, discount=1.0, **more)
    with torch.no_grad():
        batch, metrics = learner.prepared(record)
    loss, _ = learner(replace(batch, weights=batch.weights * chances * len(chances)))
    total = expected_score(policy, paths, record.episode_returns) - 0.3 * sequence_kl(policy, other, paths)
    found, exact = -gradient_of(loss, policy), gradient_of(total, policy)
    assert exact.norm() > 0.05 and "kl_reference" in metrics
    if penalty == "reward":
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-10)
    else:
        assert float((found - exact).norm() / exact.norm()) > 0.02


def test_standardising_scores_with_the_kl_in_them_would_make_noise_of_equal_scores():
    """What `penalty_to_go` avoids: a group of equal scores whose advantages are all about one."""
    env = TokenEnv(prompts=[[1]], score=lambda prompt, text: 1.0, vocabulary=3, eos=0, max_new_tokens=3)
    paths = enumerate_completions(env.task, [(1,)])
    near = POLICY.frozen_copy()
    with torch.no_grad():
        near.head.bias += 1e-3 * torch.tensor([1.0, -1.0, 0.5])
        acted = POLICY(paths.rollout.observations).log_prob(paths.rollout.actions)
    record = replace(paths.rollout, log_probs=acted)
    agents = [one(policy=POLICY, reference=near, kl_weight=0.1) for one in (GRPO, RLOO)]
    with torch.no_grad():
        for agent in agents:
            assert float(agent.prepared(record)[0].advantages.abs().max()) < 1e-3
