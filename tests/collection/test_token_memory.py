"""Memory of token episodes: proportional to the tokens, whatever the window; and views in place of copies."""

import tracemalloc

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from pg_envs import TokenVectorEnv
from support.bugs import Bug, seeded, with_arguments
from torch import nn

from pg_agents.collection.actor import Actor
from pg_agents.collection.collectors import EpisodeCollector, collect_episodes, collect_steps
from pg_agents.data.rollout import TokenBlock
from pg_agents.distributions import Categorical
from pg_agents.policies import Policy, TransformerPolicy

ROWS, WINDOW = 64, 2048
WINDOWS_BYTES = ROWS * WINDOW * 8


class Uniform(Policy):
    """Any token but the last two, whatever was seen; it keeps what it was shown where asked to."""

    def __init__(self, vocabulary=8):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocabulary - 2))
        self.shown = None

    def forward(self, observations, memory=None, episode_starts=None):
        return Categorical(self.bias.expand(*observations["length"].shape, len(self.bias)))

    def step(self, observation, memory=None):
        if self.shown is not None:
            self.shown.append({key: value.clone() for key, value in observation.items()})
        return self.forward(observation), memory


def token_env(rows=ROWS, max_new_tokens=5, window=None, **form):
    task = {"prompts": [[1, 2, 3], [4], [1, 2]], "score": lambda prompt, completion: float(sum(completion))}
    return TokenVectorEnv(rows, **task, vocabulary=8, eos=7, max_new_tokens=max_new_tokens, window=window, **form)


def peak(collector):
    """Return the most bytes that arrays took while a rollout was collected, and the rollout."""
    next(collector)
    tracemalloc.start()
    rollout = next(collector)
    bytes_taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return bytes_taken, rollout


def test_a_window_of_2048_is_kept_once_a_row_and_not_once_a_step():
    """Peaks at 20 and at 60 steps: one [B, W] block and a few of its copies, and bytes in proportion to the tokens."""
    few, _ = peak(collect_episodes(token_env(max_new_tokens=20, window=WINDOW), Uniform()))
    many, rollout = peak(collect_episodes(token_env(max_new_tokens=60, window=WINDOW), Uniform()))
    assert isinstance(rollout.observations, TokenBlock) and rollout.mask.shape == (60, ROWS)
    assert rollout.observations.tokens.shape[1] <= 3 + 60
    assert many < 6 * WINDOWS_BYTES
    assert many - few < 40 * ROWS * 300  # bytes a token; a window a step would be 16,384
    stacked = collect_episodes(token_env(max_new_tokens=20, window=WINDOW), Uniform())
    stacked.append_only = False
    assert peak(stacked)[0] > 20 * WINDOWS_BYTES  # what it is held against


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("cap", [None, 3])
@pytest.mark.parametrize("copy", [True, False])
def test_a_policy_is_shown_the_same_windows_as_without_the_short_cut(mode, cap, copy):
    shown = []
    for append_only in (True, False):
        policy = Uniform(9)  # tokens 0 … 6, and never 7, which ends
        policy.shown = []
        env = token_env(5, autoreset_mode=mode, copy=copy)
        collector = EpisodeCollector(env, policy, max_episode_steps=cap, seed=4)
        collector.append_only = append_only
        for _ in range(4):
            next(collector)
        shown.append(policy.shown)
    assert len(shown[0]) == len(shown[1]) > 4 * (cap or 5) - 4
    for one, other in zip(*shown, strict=True):
        assert torch.equal(one["length"], other["length"])
        visible = torch.arange(one["tokens"].shape[1]) < one["length"][:, None]
        assert torch.equal(one["tokens"] * visible, other["tokens"] * visible)
        assert copy is False or torch.equal(one["tokens"], other["tokens"])  # and what stands behind the texts


def test_rows_that_wait_are_shown_what_they_were_shown_last():
    """A cache then has nothing to read, and the last token, on which nothing is decided, is not read."""
    policy = Uniform(10)  # tokens 0 … 6, and 7, which ends
    policy.shown = []
    rollout = next(collect_episodes(token_env(5, max_new_tokens=30), policy, seed=4))
    shown = torch.stack([step["length"] for step in policy.shown])
    assert not rollout.mask.all() and torch.equal(rollout.observations.mask, rollout.mask)
    assert (shown.diff(dim=0) == rollout.mask[1:].long()).all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_views_show_the_texts_of_their_time_for_ever(mode):
    """Without copies an observation's text never changes, also after its episode has ended and others have begun."""
    env = token_env(4, autoreset_mode=mode, copy=False)
    generator = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    kept = []
    for _ in range(30):
        lengths = observation["length"]
        kept.append((observation, [row[:n].tolist() for row, n in zip(observation["tokens"], lengths, strict=True)]))
        observation, _, ended, _, infos = env.step(generator.integers(8, size=4))
        for row in np.flatnonzero(infos.get("_final_obs", [])):
            final = infos["final_obs"][row]
            tokens = {"tokens": final["tokens"][None], "length": np.array([final["length"]])}
            kept.append((tokens, [final["tokens"][: final["length"]].tolist()]))
        if mode is AutoresetMode.DISABLED and ended.any():
            observation, _ = env.reset(options={"reset_mask": ended})
    assert len({id(one["tokens"].base) for one, _ in kept}) > 3
    for one, texts in kept:
        assert [row[:n].tolist() for row, n in zip(one["tokens"], one["length"], strict=True)] == texts


def test_views_are_read_only_and_save_the_copy():
    views, copies = token_env(copy=False, window=WINDOW), token_env(window=WINDOW)
    one, other = views.reset(seed=0)[0], copies.reset(seed=0)[0]
    np.testing.assert_array_equal(one["tokens"], other["tokens"])
    with pytest.raises(ValueError, match="read-only"):
        one["tokens"][0, 0] = 5
    other["tokens"][0, 0] = 5  # whose it is
    actions = np.ones(ROWS, np.int64)
    for env, least, most in ((views, 0, WINDOWS_BYTES // 50), (copies, WINDOWS_BYTES, 2 * WINDOWS_BYTES)):
        tracemalloc.start()
        env.step(actions)
        assert least <= tracemalloc.get_traced_memory()[1] <= most
        tracemalloc.stop()
    assert copies.history[0, 0] != 5


@pytest.mark.parametrize("form", [{"copy": True}, {"copy": False}])
def test_rollouts_are_the_same_with_and_without_copies(form):
    torch.manual_seed(0)
    policy = TransformerPolicy(8, 8, width=16, layers=2, heads=2)
    expected = collect_steps(token_env(6), policy, 9, seed=2)
    rollouts = collect_steps(token_env(6, **form), policy, 9, seed=2)
    for _ in range(2):
        one, other = next(rollouts), next(expected)
        assert torch.equal(one.actions, other.actions) and torch.equal(one.rewards, other.rewards)
        assert torch.equal(one.observations["tokens"], other.observations["tokens"])


def with_its_window(actor, right=Actor.act, **options):
    actions, step = right(actor, **options)
    window = np.array(actor.adapter.observation["tokens"])
    return actions, step._replace(observation={**step.observation, "tokens": window})


def starts_in_place(env, rows, right=TokenVectorEnv._start):
    copy, env.copy = env.copy, True
    right(env, rows)
    env.copy = copy


test_seeded_bugs = seeded(
    Bug(
        "the window is kept at every step",
        Actor.act,
        with_its_window,
        [test_a_window_of_2048_is_kept_once_a_row_and_not_once_a_step],
    ),
    Bug(
        "the last token of texts that have ended is read",
        Actor.act,
        with_arguments(Actor.act, waiting=lambda rows: None),
        [test_rows_that_wait_are_shown_what_they_were_shown_last],
    ),
    Bug(
        "a new episode is written over what was handed out",
        TokenVectorEnv._start,
        starts_in_place,
        [test_views_show_the_texts_of_their_time_for_ever],
    ),
)
