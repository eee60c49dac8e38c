"""Preferences: who is preferred how often, a reward model that explains it, and scores for an environment."""

import math
from dataclasses import replace

import pytest
import torch
from pg_envs import TokenVectorEnv
from pg_envs.tokens.token_task import TokenTask
from support.bugs import Bug, seeded, with_arguments, with_result

import pg_agents as pg
from pg_agents.functional.losses import preference_loss
from pg_agents.llm.reward_model import Preferences, RewardModel, simulated_preferences, whole_texts
from pg_agents.policies import Critic, TransformerCritic, TransformerPolicy

EOS = 4
TASK = TokenTask([[0], [1], [0, 1]], lambda prompt, completion: float(completion.count(prompt[0])), 6, EOS, 3, pad=5)


class Counting(Critic):
    """r = a · (how often token 0 stands in the text)."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(()))

    def forward(self, observations, memory=None, episode_starts=None):
        position = torch.arange(observations["tokens"].shape[1])
        seen = (observations["tokens"] == 0) & (position < observations["length"][:, None])
        return self.a * seen.sum(1)


def pairs(rows=400, seed=0):
    torch.manual_seed(seed)
    policy = TransformerPolicy(6, 5, width=8, layers=1, heads=1)
    return next(pg.collect_episodes(TokenVectorEnv(rows, task=TASK, group_size=2), policy, seed=seed))


def test_loss_by_hand():
    loss = preference_loss(torch.tensor([2.0, -1.0]), torch.tensor([0.0, 1.0]))
    assert loss.tolist() == pytest.approx([math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))])
    assert preference_loss(torch.tensor([1e4]), torch.tensor([0.0])).item() == 0


def test_whole_texts_hold_the_last_token_and_nothing_behind_it():
    rollout = pairs(40)
    texts = whole_texts(rollout)
    for row in range(40):
        prompt = rollout.observations.tokens[row, : int(rollout.observations.lengths[0, row])].tolist()
        completion = rollout.actions[:, row][rollout.mask[:, row]].tolist()
        text = texts["tokens"][row].tolist()
        assert text[: texts["length"][row]] == prompt + completion and not any(text[texts["length"][row] :])


def test_preferences_are_those_of_bradley_and_terry():
    """Every pair is of one prompt, and where utilities differ by d the better is preferred in σ(d) of the cases."""
    rollout = pairs(12_000)
    found = simulated_preferences(rollout, torch.Generator().manual_seed(1))
    one, two = (rollout.rewards * rollout.mask).sum(0).view(-1, 2).T
    one_text, two_text = whole_texts(rollout)["tokens"].unflatten(0, (-1, 2)).unbind(1)
    first = (found.preferred["tokens"] == one_text).all(1)
    assert torch.equal(found.preferred["tokens"] + found.other["tokens"], one_text + two_text)  # each of a pair once
    for difference in (1.0, 2.0):
        for better, chosen in ((one - two, first), (two - one, ~first)):
            some = better == difference
            p, n = 1 / (1 + math.exp(-difference)), int(some.sum())
            assert n > 100 and abs(float(chosen[some].float().mean()) - p) < 4.5 * math.sqrt(p * (1 - p) / n)
    for mine, other in zip(found.preferred["tokens"], found.other["tokens"], strict=True):
        assert mine[0] == other[0]


def test_a_model_of_the_right_form_finds_the_utility():
    """u(y) = 2 · count, with prompts of token 0 alone: the maximum-likelihood a is near 2 (standard error 0.04)."""
    torch.manual_seed(0)
    counts = torch.randint(0, 4, (2, 20_000))
    texts = [torch.arange(3) < count[:, None] for count in counts]
    sides = [{"tokens": (~text).long(), "length": torch.full((20_000,), 3)} for text in texts]
    better = torch.rand(20_000) < torch.sigmoid(2.0 * (counts[0] - counts[1]))
    chosen = [
        {k: torch.where(better[:, None] if v.dim() == 2 else better, v, sides[1][k]) for k, v in sides[0].items()}
    ]
    chosen += [
        {k: torch.where(better[:, None] if v.dim() == 2 else better, sides[1][k], v) for k, v in sides[0].items()}
    ]
    preferences = Preferences(*chosen)
    model = RewardModel(Counting())
    losses = model.fit(preferences, epochs=3, learning_rate=0.05)
    assert model.network.a.item() == pytest.approx(2.0, abs=0.15)
    assert losses[-1] < losses[0] < math.log(2)
    both = torch.cat([model(preferences.preferred), model(preferences.other)])
    assert float(both.mean().detach()) == pytest.approx(0, abs=1e-4)
    assert model.accuracy(preferences) > 0.5


def test_scores_are_rewards_of_the_very_texts_in_an_environment():
    torch.manual_seed(0)
    model = RewardModel(TransformerCritic(6, 5, width=8, layers=1, heads=1))
    torch.nn.init.normal_(model.network.head.weight)
    task = TokenTask([[0], [0, 1]], None, 6, EOS, 3, pad=5, score_batch=model.scores)
    policy = TransformerPolicy(6, 5, width=8, layers=1, heads=1)
    rollout = next(pg.collect_episodes(TokenVectorEnv(16, task=task), policy, seed=0))
    expected = model(whole_texts(rollout)).detach()
    torch.testing.assert_close((rollout.rewards * rollout.mask).sum(0).float(), expected, atol=1e-5, rtol=0)
    assert float(expected.std()) > 0.1


def test_bad_input():
    with pytest.raises(ValueError, match="give its environment group_size=2"):
        policy = TransformerPolicy(6, 5, width=8, layers=1, heads=1)
        simulated_preferences(next(pg.collect_episodes(TokenVectorEnv(9, task=TASK, group_size=3), policy)))
    with pytest.raises(ValueError, match="at least one pair"):
        nothing = {"tokens": torch.zeros(0, 3, dtype=torch.int64), "length": torch.zeros(0, dtype=torch.int64)}
        RewardModel(Counting()).fit(Preferences(nothing, nothing))
    two = {"tokens": torch.zeros(2, 3, dtype=torch.int64), "length": torch.tensor([1, 3])}
    with pytest.raises(ValueError, match=r"preferred, other: they must hold the same number of texts, got \[0, 2\]"):
        Preferences(two, nothing)
    for wrong in (0, 4):
        with pytest.raises(ValueError, match="other: lengths must be from 1 to the window's, 3"):
            Preferences(two, two | {"length": torch.tensor([1, wrong])})
    with pytest.raises(ValueError, match="whole token episodes"):
        import gymnasium as gym

        env = gym.make_vec("CartPole-v1", 2)
        whole_texts(next(pg.collect_steps(env, pg.Reinforce.for_env(env).policy, 4)))


test_seeded_bugs = seeded(
    Bug(
        "texts are judged without their last token",
        whole_texts,
        with_result(whole_texts, lambda texts: texts | {"length": texts["length"] - 1}),
        [test_whole_texts_hold_the_last_token_and_nothing_behind_it],
    ),
    Bug(
        "a text is compared with itself",
        simulated_preferences,
        with_result(simulated_preferences, lambda found: Preferences(found.preferred, found.preferred)),
        [test_preferences_are_those_of_bradley_and_terry],
    ),
    Bug(
        "the better of two texts is always preferred",
        simulated_preferences,
        with_arguments(simulated_preferences, rollout=lambda rollout: replace(rollout, rewards=1e6 * rollout.rewards)),
        [test_preferences_are_those_of_bradley_and_terry],
    ),
)
