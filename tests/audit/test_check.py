"""The audit: policies that act otherwise than they learn are stopped before the first update, and the cause named."""

import math
import re
from copy import copy
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from pg_envs import TokenVectorEnv
from support.bugs import Bug, seeded, with_arguments
from torch import nn

import pg_agents as pg
from pg_agents.audit import check, sampling_test
from pg_agents.audit.check import Audits, audit, beginning
from pg_agents.audit.mismatch import Mismatch
from pg_agents.data.rollout import TokenBlock
from pg_agents.distributions import Categorical
from pg_agents.policies import Policy, TransformerPolicy

V, WINDOW = 12, 9


class Positions(Policy):
    """A language model in small: logits of the last token plus logits of its position, in acting and in learning."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.tokens = nn.Parameter(2 * torch.randn(V, V, generator=generator))
        self.positions = nn.Parameter(2 * torch.randn(WINDOW, V, generator=generator))

    def logits(self, tokens, position):
        return self.tokens[tokens] + self.positions[position]

    def forward(self, observations, memory=None, episode_starts=None):
        if isinstance(observations, TokenBlock):
            position = self.learned_positions(observations)
            rows = torch.arange(len(observations.tokens))
            last = (observations.lengths - 1).clamp(max=observations.tokens.shape[1] - 1)
            return Categorical(self.learned(self.logits(observations.tokens[rows, last], position)))
        last = observations["length"] - 1
        return Categorical(self.logits(observations["tokens"].gather(-1, last[..., None]).squeeze(-1), last))

    def learned_positions(self, block):
        return (block.lengths - 1).clamp(max=WINDOW - 1)

    def learned(self, logits):
        return logits


class Hot(Positions):
    """Acts at temperature 0.6, learns at 1."""

    def step(self, observation, memory=None):
        return Categorical(self(observation).unnormalized / 0.6), memory


class Few(Positions):
    """Acts with the three most probable tokens, learns with all."""

    def step(self, observation, memory=None):
        logits = self(observation).unnormalized
        return Categorical(logits.masked_fill(logits < logits.topk(3).values[..., -1:], -torch.inf)), memory


class Padded(Positions):
    """Learns as if prompts were padded on the left and positions counted from the padding."""

    def learned_positions(self, block):
        return super().learned_positions(block) + block.lengths[0].max() - block.lengths[0]


class Dropping(Positions):
    """Dropout is left on in learning."""

    def learned(self, logits):
        return nn.functional.dropout(logits, 0.2, self.training)


class Noisy(Positions):
    """Dropout is left on in both, so that eval() does not help."""

    def logits(self, tokens, position):
        return nn.functional.dropout(super().logits(tokens, position), 0.2, self.training)


class Rounded(Positions):
    """Acts in bfloat16."""

    def step(self, observation, memory=None):
        last = observation["length"] - 1
        tokens = observation["tokens"].gather(-1, last[..., None]).squeeze(-1)
        with torch.autocast("cpu", torch.bfloat16):
            return Categorical(self.logits(tokens, last).float()), memory

    def logits(self, tokens, position):
        return super().logits(tokens, position) @ torch.eye(V)


class Forgetful(Positions):
    """Acts one token late: what it saw at the step before."""

    def step(self, observation, memory=None):
        distribution = self(observation)
        return Categorical(distribution.unnormalized if memory is None else memory), distribution.unnormalized


class Endless(Positions):
    """Does not learn the token that ends a text."""

    def forward(self, observations, memory=None, episode_starts=None):
        distribution = super().forward(observations)
        if isinstance(observations, TokenBlock):
            last = observations.mask.clone()
            last[:-1] &= ~observations.mask[1:]
            scale = torch.where(last, 0.0, 1.0)[..., None]
            return Categorical(distribution.unnormalized * scale)
        return distribution


BROKEN = {
    Hot: r"temperature: logits are divided by 0\.6 times",
    Few: "truncation: in acting the least probable actions are left out",
    Padded: "padding, or positions: alone the text has .* only texts with short prompts differ",
    Dropping: r"dropout: they agree in eval\(\) mode",
    Noisy: "dropout, or other noise: two passes",
    Rounded: "precision: between 16 and 32 bits",
    Forgetful: "memory: a step that begins without any",
    Endless: "end of sequence: only the last token",
}


def token_env(num_envs=12, **options):
    """Return an environment with prompts of one to three tokens, whose texts end at different times."""
    given = {"prompts": [[5], [6, 7], [8, 9, 5]], "score": lambda prompt, text: float(len(text)), "vocabulary": V}
    sizes = {"eos": [3, 4, 2], "max_new_tokens": 6, "group_size": 2, "window": WINDOW}
    return TokenVectorEnv(
        num_envs, **given | sizes | options, decode=lambda ids: "".join("abcdefghijkl"[i] for i in ids)
    )


@pytest.mark.parametrize("form", BROKEN, ids=lambda form: form.__name__)
def test_a_broken_policy_is_stopped_before_the_first_update_and_the_cause_is_named(form, tmp_path):
    policy = form()
    before = [parameter.clone() for parameter in policy.parameters()]
    agent = pg.GRPO(policy=policy, group_size=2, epochs=1)
    with pytest.raises(pg.AuditError, match=f"Likely cause: {BROKEN[form]}") as caught:
        pg.train(agent, token_env(), total_steps=200, progress=False, run_dir=tmp_path / "r")
    assert all(torch.equal(*pair) for pair in zip(before, policy.parameters(), strict=True))
    message = str(caught.value)
    largest, wrong, taken = re.search(r"up to ([\d.e-]+|inf), .* in (\d+) of (\d+) decisions", message).groups()
    t, b, recorded, learned = re.search(
        r"step (\d+) of environment (\d+), action '.' after the prompt '\w+': recorded (-?[\d.]+), learned (\S+)\.",
        message,
    ).groups()
    assert abs(abs(float(recorded) - float(learned)) - float(largest)) < 0.02 * float(largest) + 2e-4
    assert 0 < int(wrong) <= int(taken) and int(t) < 6 and int(b) < 12
    assert message.count("Likely cause") == 1 and policy.training


@pytest.mark.parametrize("form", [Positions, lambda: TransformerPolicy(V, WINDOW)])
def test_policies_in_order_pass(form):
    policy = form()
    agent = pg.GRPO(policy=policy, group_size=2)
    assert pg.train(agent, token_env(), total_steps=60, progress=False).total_steps >= 60
    rollout = next(pg.collect_episodes(token_env(), policy))
    assert 0 <= audit(policy, rollout) < 1e-5


@pytest.mark.parametrize("name", ["grpo", "ppo", "actor-critic", "reinforce-baseline"])
def test_windows_of_tokens_are_looked_at_too(name):
    """Rollouts of steps hold windows, whose policy acts with a cache."""

    class Late(TransformerPolicy):
        def step(self, observation, memory=None):
            distribution, memory = super().step(observation, memory)
            return Categorical(distribution.unnormalized * 2), memory

    env = token_env()
    form = pg.AGENTS[name]
    more = {"group_size": 2} if name == "grpo" else {"critic": form.for_env(env).critic}
    policy = Late(V, WINDOW)
    nn.init.normal_(policy.head.weight, std=0.2)
    with pytest.raises(pg.AuditError, match=r"temperature: logits are divided by 0\.5 times"):
        pg.train(form(policy=policy, **more), env, total_steps=50, progress=False)


def test_a_memory_is_audited_from_the_start_of_the_rollout():
    env = gym.make_vec("CartPole-v1", 3)
    agent = pg.A2C.for_env(env, recurrent=8)
    rollout = next(pg.collect_steps(env, agent.policy, 20))
    assert 0 <= audit(agent.policy, rollout) < 1e-5
    assert not audit(agent.policy, beginning(rollout)) > 1e-5
    mlp = pg.A2C.for_env(env).policy  # acts by the function it learns by
    assert torch.tensor(audit(mlp, next(pg.collect_steps(env, mlp, 5)))).isnan()


def test_the_beginning_of_a_long_rollout(monkeypatch):
    monkeypatch.setattr("pg_agents.audit.check.DECISIONS", 30)
    policy = TransformerPolicy(V, WINDOW)
    rollout = next(pg.collect_episodes(token_env(), policy))
    part = beginning(rollout)
    few = 30 // len(rollout.mask)
    assert part.mask.shape == (len(rollout.mask), few) and part.observations.tokens.shape[0] == few
    assert beginning(rollout, 2 * len(rollout.mask)).mask.shape[1] == 2
    assert audit(policy, rollout) < 1e-5
    rollout = next(pg.collect_steps(token_env(), policy, 9))
    assert beginning(rollout).mask.shape == (2, 12) and audit(policy, rollout) < 1e-5


def test_an_audit_draws_no_random_numbers():
    policy = Dropping()
    rollout = next(pg.collect_episodes(token_env(), policy))
    state = torch.get_rng_state()
    with pytest.raises(pg.AuditError):
        audit(policy, rollout)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("dtype", "most"), [(torch.bfloat16, "2"), (torch.float16, r"0\.25")])
def test_parameters_of_16_bits_are_given_more_room(dtype, most):
    policy = Hot().to(dtype)
    rollout = next(pg.collect_episodes(token_env(), policy))
    with pytest.raises(pg.AuditError, match=rf"rounding: {most}, .*temperature: logits are divided by 0\.[56]"):
        audit(policy, rollout)
    policy = TransformerPolicy(V, WINDOW).to(dtype)
    nn.init.normal_(policy.head.weight)
    assert audit(policy, next(pg.collect_episodes(token_env(), policy))) < 0.25


# -- texts that grow ---------------------------------------------------------------------------------------------------
class Nearsighted(Positions):
    """Learns another distribution than it acts with where a text has more than six tokens."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.tokens[:, 3] += 7.0  # texts are short, at first

    def forward(self, observations, memory=None, episode_starts=None):
        distribution = super().forward(observations)
        if isinstance(observations, TokenBlock):
            return Categorical(torch.where(observations.lengths[..., None] > 6, 0.5, 1.0) * distribution.unnormalized)
        return distribution


def test_texts_that_grow_beyond_what_was_audited_are_audited():
    """Whoever is paid for every token grows: the run stops when a text is long enough to differ, and not before."""
    policy = Nearsighted()
    agent = pg.GRPO(policy=policy, group_size=8, epochs=1, learning_rate=0.2)
    env = token_env(64, group_size=8, eos=[3])
    first = next(pg.collect_episodes(env, policy, group_size=8, seed=1))
    assert int((first.observations.lengths * first.mask).max()) <= 6 and audit(policy, first) < 1e-5
    found = "log-probabilities of texts of up to [78] tokens differ .* Likely cause"
    with pytest.raises(pg.AuditError, match=found) as caught:
        pg.train(agent, env, total_steps=20_000, progress=False, seed=1)
    row = int(re.search(r"of environment (\d+), action", str(caught.value))[1])
    assert 0 <= row < 64


def test_of_texts_longer_than_any_before_the_longest_is_looked_at_with_those_beside_it(monkeypatch):
    monkeypatch.setattr("pg_agents.audit.check.FEW", 20)
    policy, compared = Positions(), []
    bias = policy.tokens.detach()[:, 3]
    monkeypatch.setattr("pg_agents.audit.check.Mismatch", lambda *args: compared.append(args[1]) or Mismatch(*args))
    audits, most = Audits(policy), []
    for change in (9.0, 0.0, -9.0, 0.0):  # texts end at once, twice, then grow
        bias += change
        rollout = next(pg.collect_episodes(token_env(64, eos=[3]), policy, seed=1))
        lengths = (rollout.observations.lengths * rollout.mask).amax(0)
        most.append(int(lengths.max()))
        audits(rollout)
        audits(rollout)
        if change == 9.0:
            assert compared.pop() is rollout and not compared
    assert most[0] == most[1] < most[2] == most[3] == audits.longest > int(lengths[:3].max())
    (part,) = compared
    assert part.mask.shape == (len(rollout.mask), 20 // len(rollout.mask)) and policy.training
    assert int((part.observations.lengths * part.mask).max()) == most[2]


def test_in_16_bits_a_small_difference_everywhere_is_no_rounding():
    """Each stays below the 2 that rounding may make of one; their mean does not stay below 0.15."""
    policy = Hot().bfloat16()
    rollout = next(pg.collect_episodes(token_env(), policy))
    mismatch = Mismatch(policy, rollout)
    learned = mismatch.learned.float()
    for gap, fine in ((0.05, True), (0.3, False)):
        shifted = replace(rollout, log_probs=(learned + gap) * rollout.mask)
        assert Mismatch(policy, shifted).agree(mismatch.learned) == fine


# -- draws -------------------------------------------------------------------------------------------------------------
class Secretly(Categorical):
    """Draws with another temperature than its log-probabilities have."""

    temperature = 1.0

    def sample(self, generator=None):
        return Categorical(self.unnormalized / self.temperature).sample(generator)


@pytest.mark.parametrize(
    ("temperature", "how"), [(0.6, "colder, or greedy"), (2.0, "hotter"), (1e-6, "colder, or greedy")]
)
def test_draws_of_another_distribution_than_the_recorded_one_are_noticed(temperature, how, monkeypatch):
    """No comparison of log-probabilities sees it: those of acting and of learning are the same."""

    class Drawing(Positions):
        def step(self, observation, memory=None):
            return Secretly(self(observation).unnormalized), memory

    monkeypatch.setattr(Secretly, "temperature", temperature)
    env = token_env(num_envs=256)
    rollout = next(pg.collect_episodes(env, Drawing()))
    assert float(Mismatch(Drawing(), rollout).difference.max()) < 1e-5
    with pytest.raises(pg.AuditError, match=f"not drawn from .* Likely cause: sample\\(\\) is {how}, and log_prob"):
        audit(Drawing(), rollout)


def test_draws_of_the_recorded_distribution_are_not_suspected():
    """Of 60 rollouts none: uniform policies, peaked ones, and ones that are all but certain."""
    for seed in range(20):
        for scale in (0.0, 1.0, 6.0):
            policy = Positions()
            with torch.no_grad():
                policy.tokens.mul_(scale)
                policy.positions.mul_(scale)
            assert audit(policy, next(pg.collect_episodes(token_env(num_envs=96), policy, seed=seed))) < 1e-4


class LooksInEvalMode(Mismatch):
    def __init__(self, policy, rollout):
        super().__init__(policy.eval(), rollout)


class OfTheFirstRolloutAlone(Audits):
    def __call__(self, rollout):
        if self.longest is None:
            super().__call__(rollout)


class FromTheSecondRolloutOn(Audits):
    def __call__(self, rollout):
        if self.longest is not None:
            super().__call__(rollout)
        self.longest = 0


def distance_where_nothing_was_decided(self, log_probs, other=None, right=Mismatch.distance):
    looked_at = copy(self)
    looked_at.rollout = replace(self.rollout, mask=torch.ones_like(self.rollout.mask))
    return right(looked_at, log_probs, other)


def passed_with_the_runs_random_numbers(self, policy, skip=0, right=Mismatch._passed):
    torch.rand(1)
    return right(self, policy, skip)


test_seeded_bugs = seeded(
    Bug(
        "the audit looks at a policy in eval() mode",
        Mismatch,
        LooksInEvalMode,
        [(test_a_broken_policy_is_stopped_before_the_first_update_and_the_cause_is_named, "Dropping")],
    ),
    Bug(
        "the audit is of the second rollout",
        Audits,
        FromTheSecondRolloutOn,
        [test_a_broken_policy_is_stopped_before_the_first_update_and_the_cause_is_named],
    ),
    Bug(
        "the audit compares what learns with itself",
        Mismatch.distance,
        lambda self, log_probs, other=None, right=Mismatch.distance: right(
            self, log_probs, log_probs if other is None else other
        ),
        [test_a_broken_policy_is_stopped_before_the_first_update_and_the_cause_is_named],
    ),
    Bug(
        "what decisions that were never taken differ by is looked at",
        Mismatch.distance,
        distance_where_nothing_was_decided,
        [(test_a_broken_policy_is_stopped_before_the_first_update_and_the_cause_is_named, "Endless")],
    ),
    Bug(
        "the audit uses up the run's random numbers",
        Mismatch._passed,
        passed_with_the_runs_random_numbers,
        [test_an_audit_draws_no_random_numbers],
    ),
    Bug(
        "texts that grow beyond what was audited are not audited",
        Audits,
        OfTheFirstRolloutAlone,
        [test_texts_that_grow_beyond_what_was_audited_are_audited],
    ),
    Bug(
        "of texts that have grown the first are audited, not the longest",
        check._columns,
        with_arguments(check._columns, beside=lambda _: 0),
        [test_of_texts_longer_than_any_before_the_longest_is_looked_at_with_those_beside_it],
    ),
    Bug(
        "draws are not looked at",
        check.drawn_otherwise,
        lambda mismatch: None,
        [test_draws_of_another_distribution_than_the_recorded_one_are_noticed],
    ),
    Bug(
        "draws of all policies but uniform ones are suspected",
        sampling_test._excess,
        lambda log_probs: log_probs.clamp(min=-1000.0) + math.log(log_probs.shape[1]),
        [test_draws_of_the_recorded_distribution_are_not_suspected],
        raises=pg.AuditError,
    ),
)
