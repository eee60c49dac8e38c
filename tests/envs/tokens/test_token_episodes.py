"""Token episodes against a plain loop: ends, stops, scores, groups and resets; and rollouts of them."""

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from pg_envs import EvaluationError, TokenEnv, TokenTask, TokenVectorEnv
from pg_envs.tokens import token_task
from support.bugs import Bug, seeded, with_arguments

from pg_agents.agents import ActorCritic
from pg_agents.collection.collectors import collect_episodes
from pg_agents.policies import TransformerCritic, TransformerPolicy

EOS, VOCABULARY, CAP = (3, 5), 6, 5
PROMPTS = [[1], [2, 4], [4, 4, 1], [1, 0, 2, 4]]


def score(prompt, completion):
    return sum(prompt) + 0.1 * len(completion) + 0.01 * completion[-1]


def token_reward(prompt, completion):
    return 100.0 * completion[-1] + len(prompt)


def is_double(prompt, completion):
    return completion[-2:] == [completion[-1]] * 2 and completion[-1] != prompt[-1]


STOPS = {
    "none": None,
    "sequences": [[4, 4], [0, 1, 0], [2]],
    "callable": is_double,
}


def stops(stop, prompt, completion):
    if stop is None:
        return False
    if callable(stop):
        return stop(prompt, completion)
    text = "".join(map(str, completion))
    return any(text.endswith("".join(map(str, sequence))) for sequence in stop)


class PlainRow:
    """One row as the specification says it, in plain Python."""

    def __init__(self, generator, window, stop):
        self.generator, self.window, self.stop = generator, window, stop

    def begin(self, prompt):
        self.prompt, self.completion, self.reason = tuple(prompt), [], ""

    def step(self, token):
        if self.reason:
            return 0.0, False
        self.completion.append(int(token))
        if token in EOS:
            self.reason = "eos"
        elif stops(self.stop, self.prompt, self.completion):
            self.reason = "verifier"
        elif len(self.completion) == CAP:
            self.reason = "length"
        reward = token_reward(self.prompt, self.completion)
        return reward + (score(self.prompt, self.completion) if self.reason else 0.0), bool(self.reason)

    def seen(self):
        text = [*self.prompt, *self.completion][-self.window :]
        return text + [0] * (self.window - len(text)), len(text)


def assert_same(rows, observation, infos):
    for row, plain in enumerate(rows):
        tokens, length = plain.seen()
        assert observation["tokens"][row].tolist() == tokens and observation["length"][row] == length
        assert infos["stop_reason"][row] == plain.reason and infos["prompt_length"][row] == len(plain.prompt)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    seed=st.integers(0, 50),
    form=st.sampled_from([(4, 1), (4, 2), (6, 3), (3, 3)]),
    window=st.sampled_from([None, 4, 6]),
    stop=st.sampled_from(sorted(STOPS)),
    copy=st.booleans(),
)
def test_a_plain_loop_gives_the_same(data, seed, form, window, stop, copy):
    """Autoreset mode DISABLED: ended rows absorb, and any set of whole groups may be reset at any time."""
    num_envs, size = form
    env = TokenVectorEnv(
        num_envs,
        prompts=PROMPTS,
        score=score,
        token_reward=token_reward,
        stop=STOPS[stop],
        vocabulary=VOCABULARY,
        eos=EOS,
        max_new_tokens=CAP,
        window=window,
        group_size=size,
        copy=copy,
    )
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    rows = [PlainRow(np.random.default_rng(seed + row), env.window, STOPS[stop]) for row in range(num_envs)]

    def begin(groups):
        for group in groups:
            members = rows[group * size : (group + 1) * size]
            prompt = PROMPTS[members[0].generator.integers(len(PROMPTS))]
            for row in members:
                row.begin(prompt)

    begin(range(num_envs // size))
    assert_same(rows, *env.reset(seed=seed))
    for _ in range(12):
        actions = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=num_envs, max_size=num_envs))
        observation, rewards, terminated, truncated, infos = env.step(np.array(actions))
        expected = [row.step(token) for row, token in zip(rows, actions, strict=True)]
        assert rewards.tolist() == pytest.approx([reward for reward, _ in expected])
        assert terminated.tolist() == [end for _, end in expected] and not truncated.any()
        assert_same(rows, observation, infos)
        groups = data.draw(st.sets(st.integers(0, num_envs // size - 1)))
        if groups and data.draw(st.booleans()):
            begin(sorted(groups))
            mask = np.isin(np.arange(num_envs) // size, sorted(groups))
            assert_same(rows, *env.reset(options={"reset_mask": mask}))


def transformer(window, seed=0):
    torch.manual_seed(seed)
    policy = TransformerPolicy(VOCABULARY, window, width=16, layers=2, heads=2)
    torch.nn.init.normal_(policy.head.weight, std=0.3)
    return policy


@pytest.mark.parametrize("stop", sorted(STOPS))
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_rollouts_hold_the_episodes_and_mask_what_follows(stop, window, mode):
    task = {"prompts": PROMPTS, "score": score, "stop": STOPS[stop], "eos": EOS, "token_reward": token_reward}
    sizes = {"vocabulary": VOCABULARY, "max_new_tokens": CAP, "window": window}
    group_size = 3 if mode is AutoresetMode.DISABLED else 1
    env = TokenVectorEnv(6, **task, **sizes, autoreset_mode=mode, group_size=group_size)
    collector = collect_episodes(env, transformer(env.window), seed=1)
    reasons = set()
    for _ in range(3):
        rollout = next(collector)
        windows = rollout.observations if window else rollout.observations.windows()
        for b in range(6):
            first = windows["tokens"][0, b, : windows["length"][0, b]].tolist()
            row = PlainRow(None, env.window, STOPS[stop])
            row.begin(first)
            for t in range(len(rollout.mask)):
                assert rollout.mask[t, b] == (not row.reason)
                if row.reason:
                    assert rollout.rewards[t, b] == 0 and not rollout.terminated[t, b]
                    continue
                tokens, length = row.seen()
                assert (
                    windows["tokens"][t, b, :length].tolist() == tokens[:length] and windows["length"][t, b] == length
                )
                reward, end = row.step(int(rollout.actions[t, b]))
                assert float(rollout.rewards[t, b]) == pytest.approx(reward, rel=1e-6)
                assert bool(rollout.terminated[t, b]) == end
            reasons.add(row.reason)
        assert not rollout.truncated.any() and len(rollout.final_rows) == 0
    assert reasons >= ({"eos", "verifier"} if stop != "none" else {"eos", "length"})


# -- the stop ----------------------------------------------------------------------------------------------------------
def stopping(stop, num_envs=1, **changes):
    task = {"prompts": [[1, 4]], "score": score, "vocabulary": VOCABULARY, "eos": 3, "max_new_tokens": 4, "stop": stop}
    env = TokenVectorEnv(num_envs, **{**task, **changes})
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("stop", [[[4, 2]], lambda prompt, completion: completion[-2:] == [4, 2]])
def test_a_verifier_stops_and_the_completion_is_scored(stop):
    env = stopping(stop, num_envs=4)
    steps = [env.step(np.array(tokens)) for tokens in ([4, 2, 4, 5], [2, 0, 3, 4], [0, 0, 0, 0], [0, 4, 0, 2])]
    assert [step[2].tolist() for step in steps] == [
        [False] * 4,
        [True, False, True, False],
        [False] * 4,
        [False, True, False, True],
    ]
    assert steps[-1][4]["stop_reason"].tolist() == ["verifier", "length", "eos", "length"]
    assert steps[1][1].tolist() == pytest.approx([5.22, 0, 5.23, 0])
    assert not any(step[3].any() for step in steps)


def test_a_prompt_is_no_part_of_a_stop_sequence():
    """1 4 · 2 does not hold 4 2 in its completion."""
    assert not stopping([[4, 2]]).step(np.array([2]))[2].any()


def test_what_counts_where_several_ends_meet():
    everything = {"stop": lambda prompt, completion: True, "max_new_tokens": 1}
    assert stopping(**everything).step(np.array([3]))[4]["stop_reason"].tolist() == ["eos"]
    assert stopping(**everything).step(np.array([2]))[4]["stop_reason"].tolist() == ["verifier"]


def test_nothing_is_bootstrapped_where_a_verifier_stops():
    env = stopping([[0], [1], [2], [4], [5]], num_envs=8)
    torch.manual_seed(1)
    critic = TransformerCritic(VOCABULARY, env.window, width=16, layers=1, heads=2)
    torch.nn.init.constant_(critic.head.bias, 50.0)
    agent = ActorCritic(policy=transformer(env.window), critic=critic, discount=1.0)
    rollout = next(collect_episodes(env, agent.policy, seed=3))
    with torch.no_grad():
        batch, _ = agent.prepared(rollout)
    assert len(rollout.mask) == 1 and rollout.terminated.all() and (rollout.actions != 3).any()
    torch.testing.assert_close(batch.targets.double(), rollout.rewards)


def test_single_environments_stop_too():
    env = TokenEnv(prompts=[[1]], score=score, vocabulary=6, eos=3, max_new_tokens=9, stop=[[4]])
    env.reset(seed=0)
    assert not env.step(2)[2]
    _, _, terminated, truncated, info = env.step(4)
    assert terminated and not truncated and info["stop_reason"] == "verifier"


@pytest.mark.parametrize("bad", [None, float("nan"), "yes"])
def test_a_stop_that_says_neither_yes_nor_no_is_shown_with_its_texts(bad):
    with pytest.raises(EvaluationError, match="stop failed on prompt '1 4' and completion '2'"):
        stopping(lambda prompt, completion: bad).step(np.array([2]))


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ([[6]], "stop must be token ids from 0 to 5"),
        ([[]], "stop must be token ids, at least one"),
        ([3], "stop must be token ids"),
        ([[1, 1, 1, 1, 1]], "stop: .* is longer than max_new_tokens = 4"),
    ],
)
def test_bad_stop_sequences_are_named(stop, message):
    with pytest.raises(ValueError, match=message):
        stopping(stop)


# -- scores by the batch -----------------------------------------------------------------------------------------------
def batched(score_batch, num_envs=3, prompts=([1, 4], [1, 5], [1, 4])):
    task = TokenTask(prompts, None, 6, 3, 4, score_batch=score_batch)
    env = TokenVectorEnv(num_envs, task=task)
    env.reset(seed=6)
    return env


def test_one_call_scores_all_that_end_in_one_step():
    calls = []

    def score_batch(prompts, completions, numbers):
        calls.append((prompts, completions, numbers))
        return [10.0 * number for number in numbers]

    env = batched(score_batch, num_envs=6)
    numbers = [int(np.random.default_rng(6 + row).integers(3)) for row in range(6)]
    assert set(numbers) == {0, 1, 2}  # the first and the last prompt read alike
    env.step(np.array([2, 2, 2, 2, 2, 2]))
    _, rewards, *_ = env.step(np.array([3, 2, 3, 3, 2, 3]))
    assert len(calls) == 1
    ended = [0, 2, 3, 5]
    assert calls[0][2] == [numbers[row] for row in ended] and calls[0][1] == [[2, 3]] * 4
    assert rewards.tolist() == [10.0 * numbers[row] if row in ended else 0.0 for row in range(6)]
    assert env.task.judge((1, 5), [3]) == 10.0 and env.task.judge((1, 4), [3]) == 0.0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0], "score_batch returned 1 scores for 2 completions.*prompt '1 4' and completion '2 3'"),
        ([1.0, 2.0, 3.0], "score_batch returned 3 scores for 2 completions"),
        ([1.0, float("nan")], "score_batch failed on prompt '1 4' and completion '4 3'.*got nan"),
        ([[1.0], [2.0]], r"score_batch failed on prompt '1 4' and completion '2 3'.*got \[1.0\]"),
        (np.ones((2, 1)), r"score_batch failed on prompt '1 4' and completion '2 3'.*got array\(\[1.\]\)"),
        (None, "score_batch returned None for 2 completions.*'2 3'; return a list with a number for each, in their"),
        ({1: 1.0, 2: 2.0}, r"score_batch returned {1: 1.0, 2: 2.0} for 2 completions.*; return a list"),
        ({1.0, 2.0}, r"score_batch returned {1.0, 2.0} for 2 completions.*; return a list"),
        ("12", "score_batch returned '12' for 2 completions.*; return a list"),
        (np.float64(1.0), r"score_batch returned np.float64\(1.0\) for 2 completions.*; return a list"),
        (np.array(1.0), r"score_batch returned array\(1.\) for 2 completions.*; return a list"),
        ({"a" * 999: 1}, r"score_batch returned {'a{78}… \(dict\) for 2 completions"),
    ],
    ids=str,
)
def test_scores_that_are_wrong_are_shown_with_their_texts(scores, message):
    env = batched(lambda prompts, completions, numbers: scores, num_envs=2, prompts=[[1, 4]])
    env.step(np.array([2, 4]))
    with pytest.raises(EvaluationError, match=message):
        env.step(np.array([3, 3]))


def test_a_task_needs_one_way_to_score_and_one_place_for_its_arguments():
    with pytest.raises(ValueError, match="score or score_batch, and not both"):
        TokenTask([[1]], None, 6, 3, 4)
    with pytest.raises(ValueError, match="score or score_batch, and not both"):
        TokenTask([[1]], score, 6, 3, 4, score_batch=lambda *_: [])
    with pytest.raises(ValueError, match="task: it has its own eos"):
        TokenVectorEnv(2, task=TokenTask([[1]], score, 6, 3, 4), eos=2)


@pytest.mark.parametrize(
    "given",
    [[True, False], (1, 0), np.array([1.0, 0.0], np.float32), np.array([True, False]), iter([1.0, 0.0])],
    ids=["bools", "tuple", "float32", "bools of numpy", "iterator"],
)
def test_numbers_in_order_are_scores_whatever_they_come_in(given):
    env = batched(lambda prompts, completions, numbers: given, num_envs=2, prompts=[[1, 4]])
    env.step(np.array([2, 4]))
    assert env.step(np.array([3, 3]))[1].tolist() == [1.0, 0.0]


test_seeded_bugs = seeded(
    Bug(
        "a verifier's stop is not heard",
        TokenVectorEnv._stopped,
        lambda self, rows, length: np.zeros(len(rows), bool),
        [
            test_a_verifier_stops_and_the_completion_is_scored,
            test_rollouts_hold_the_episodes_and_mask_what_follows,
        ],
    ),
    Bug(
        "a stop sequence may begin in the prompt",
        TokenVectorEnv._stopped,
        with_arguments(TokenVectorEnv._stopped, length=lambda length: length + CAP),
        [test_a_prompt_is_no_part_of_a_stop_sequence],
    ),
    Bug(
        "completions are judged by the prompts of other rows",
        TokenTask.judge_batch,
        with_arguments(TokenTask.judge_batch, numbers=lambda numbers: numbers[::-1]),
        [test_one_call_scores_all_that_end_in_one_step],
    ),
    Bug(
        "the keys of a dict are read as scores",
        token_task._in_order,
        lambda values: hasattr(values, "__iter__") and getattr(values, "shape", None) != () and type(values) is not str,
        [test_scores_that_are_wrong_are_shown_with_their_texts],
    ),
)
