"""The tasks: their prompts, their scores, and what the random and the right answers collect."""

import itertools
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pg_envs import addition_pairs, known_returns
from pg_envs.tokens import tasks
from pg_envs.tokens.tasks import BOS, EOS, SEP, addition, copy, parity, random_agreement, reverse, shorter, sort
from support.bugs import Bug, seeded, with_arguments

IDS = [f"pg/{name}-v0" for name in ("Copy", "Reverse", "Sort", "Parity", "Addition", "Shorter")]
ABC = {letter: tasks.FIRST + place for place, letter in enumerate("abcd")}
NUMERALS = {digit: tasks.FIRST + place for place, digit in enumerate("0123456789+")}


def ids(text, symbols):
    """Token ids of a prompt ("ab→", "1+2=") or a completion ("ab.")."""
    marks = {"→": SEP, "=": SEP, ".": EOS}
    tokens = [{**symbols, **marks}[letter] for letter in text]
    return (BOS, *tokens) if text[-1:] in ("→", "=") else tokens


# -- scores ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("task", "symbols", "prompt", "completion", "score"),
    [
        (copy(), ABC, "abcd→", "abcd.", 1.0),
        (copy(), ABC, "abcd→", "abcc.", 4 / 5),  # one wrong
        (copy(), ABC, "abcd→", "abcd", 4 / 5),  # no end
        (copy(), ABC, "abcd→", "abcda.", 4 / 6),  # too long
        (copy(), ABC, "abcd→", "abcddddd", 4 / 8),
        (copy(), ABC, "abcd→", "ab.", 2 / 5),  # too short: the end is out of place
        (copy(), ABC, "abcd→", ".", 0.0),
        (copy(), ABC, "abcd→", "", 0.0),
        (reverse(), ABC, "abcd→", "dcba.", 1.0),
        (reverse(), ABC, "abcd→", "abcd.", 1 / 5),
        (reverse(), ABC, "abcd→", "dc.", 2 / 5),
        (reverse(), ABC, "abcd→", "dcbaa.", 4 / 6),
        (reverse(), ABC, "abcd→", "", 0.0),
        (sort(), ABC, "dbab→", "abbd.", 1.0),
        (sort(), ABC, "dbab→", "dbab.", 2 / 5),
        (sort(), ABC, "dbab→", "abbdd.", 4 / 6),
        (sort(), ABC, "dbab→", "a.", 1 / 5),
        (sort(), ABC, "dbab→", "", 0.0),
        (parity(), NUMERALS, "0111→", "1.", 1.0),
        (parity(), NUMERALS, "0110→", "0.", 1.0),
        (parity(), NUMERALS, "0110→", "1.", 1 / 2),
        (parity(), NUMERALS, "0110→", "0", 1 / 2),
        (parity(), NUMERALS, "0110→", "00.", 1 / 3),
        (parity(), NUMERALS, "0110→", ".", 0.0),
        (parity(), NUMERALS, "0110→", "", 0.0),
        (addition(), NUMERALS, "37+5=", "42.", 1.0),
        (addition(), NUMERALS, "0+0=", "0.", 1.0),
        (addition(), NUMERALS, "99+99=", "198.", 1.0),
        (addition(), NUMERALS, "99+99=", "199.", 3 / 4),
        (addition(), NUMERALS, "37+5=", "042.", 0.0),
        (addition(), NUMERALS, "37+5=", "422.", 2 / 4),
        (addition(), NUMERALS, "37+5=", "4.", 1 / 3),
        (addition(), NUMERALS, "37+5=", "", 0.0),
        (shorter(), ABC, "abcd→", ".", 1.0),
        (shorter(), ABC, "abcd→", "ab.", 6 / 8),
        (shorter(), ABC, "abcd→", "abcdabc.", 1 / 8),
        (shorter(), ABC, "abcd→", "abcdabcd", 0.0),
        (shorter(), ABC, "abcd→", "", 0.0),
    ],
)
def test_scores_by_hand(task, symbols, prompt, completion, score):
    assert task.judge(ids(prompt, symbols), ids(completion, symbols)) == pytest.approx(score)


@pytest.mark.parametrize("build", [copy, reverse, sort, parity])
def test_only_the_right_completion_scores_one(build):
    task = build(length=2, **({} if build is parity else {"symbols": 2}))
    for body in itertools.product((4, 5), repeat=2):
        prompt = (BOS, *body, SEP)
        every = [list(tokens) for size in range(5) for tokens in itertools.product(range(6), repeat=size)]
        assert [tokens for tokens in every if task.judge(prompt, tokens) == 1.0] == [task.answer(prompt)]


# -- prompts -----------------------------------------------------------------------------------------------------------
def test_prompts_of_symbols_are_uniform():
    task, generator = copy(length=2, symbols=3), np.random.default_rng(0)
    drawn = np.array([task.draw(generator, 4) for _ in range(9000)])
    assert (drawn[:, 0] == BOS).all() and (drawn[:, 3] == SEP).all()
    counts = np.bincount((drawn[:, 1] - 4) * 3 + drawn[:, 2] - 4, minlength=9)
    assert len(counts) == 9 and np.abs(counts - 1000).max() < 4 * np.sqrt(9000 / 9 * 8 / 9)  # four standard errors


def test_numbers_have_no_leading_zeros_and_are_uniform():
    task, generator = addition(digits=1), np.random.default_rng(0)
    texts = [task.text(task.draw(generator, 5)) for _ in range(5000)]
    assert {len(text) for text in texts} == {4}
    assert np.abs(np.unique(texts, return_counts=True)[1] - 50).max() < 5 * np.sqrt(50)
    longer = [addition(digits=3).text(addition(digits=3).draw(generator, 9)) for _ in range(300)]
    numbers = [number for text in longer for number in text[:-1].split("+")]
    assert all(number == str(int(number)) for number in numbers) and max(map(int, numbers)) > 900


# -- environments ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", IDS)
def test_check_env_is_clean(name, recwarn):
    check_env(gym.make(name).unwrapped, skip_render_check=True)
    assert not list(recwarn)


@pytest.mark.parametrize("name", IDS)
def test_right_answers_collect_the_optimum(name):
    env = gym.make_vec(name, 32, group_size=4)
    observation, infos = env.reset(seed=5)
    task = env.unwrapped.task
    lengths = infos["prompt_length"]
    prompts = [tuple(row[:size].tolist()) for row, size in zip(observation["tokens"], lengths, strict=True)]
    answers = [task.answer(prompt) for prompt in prompts]
    returns, done = np.zeros(32), np.zeros(32, bool)
    for step in range(max(map(len, answers))):
        actions = np.array([answer[step] if step < len(answer) else 0 for answer in answers])
        _, rewards, terminated, _, infos = env.step(actions)
        returns, done = returns + rewards, done | terminated
    assert known_returns(env).optimal == 1.0
    assert (returns == 1.0).all() and done.all() and set(infos["stop_reason"]) == {"eos"}


def random_returns(env, episodes, seed):
    """Returns of the uniformly random policy, [episodes · B]."""
    generator, collected = np.random.default_rng(seed), []
    size, vocabulary = env.num_envs, env.single_action_space.n
    env.reset(seed=seed)
    for _ in range(episodes):
        returns = np.zeros(size)
        for _ in range(env.unwrapped.task.max_new_tokens):
            returns += env.step(generator.integers(vocabulary, size=size))[1]
        collected.append(returns)
        env.reset()
    return np.concatenate(collected)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, {}) for name in IDS),
        ("pg/Copy-v0", {"length": 2, "symbols": 1, "max_new_tokens": 2}),  # the cap leaves no room for EOS
        ("pg/Addition-v0", {"digits": 1, "max_new_tokens": 2}),  # sums from 10 on cannot be finished
        ("pg/Shorter-v0", {"length": 1, "symbols": 1, "max_new_tokens": 3}),
    ],
)
def test_the_random_return_is_what_simulation_finds(name, arguments):
    env = gym.make_vec(name, 500, **arguments)
    returns = random_returns(env, 20, seed=1)
    error = returns.std() / np.sqrt(len(returns))
    assert 0 < error < 0.01
    assert known_returns(env).random == pytest.approx(returns.mean(), abs=5 * error)


@pytest.mark.parametrize("build", [copy, sort])
def test_the_random_return_is_the_enumerated_one(build):
    task = build(length=1, symbols=1, max_new_tokens=3)  # V = 5
    expected = 0.0
    for tokens in itertools.product(range(5), repeat=3):  # the tokens after EOS are never asked for
        completion = list(tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens)
        expected += task.judge((BOS, 4, SEP), completion) / 5**3
    assert task.known.random == pytest.approx(expected, rel=1e-12)


def test_a_cap_below_the_answer_lowers_the_optimum():
    assert known_returns(gym.make("pg/Copy-v0", max_new_tokens=3)).optimal == pytest.approx(3 / 5)
    # digits=1: 55 of 100 pairs have a sum below 10, whose answers hold 2 tokens, the others hold 3
    task = addition(digits=1, max_new_tokens=2)
    assert task.known.optimal == pytest.approx(0.55 + 0.45 * 2 / 3)
    prompt = ids("7+8=", NUMERALS)
    assert task.judge(prompt, task.answer(prompt)) == pytest.approx(2 / 3)


def test_returns_are_not_known_under_a_shorter_time_limit_nor_the_best_one_with_a_sliding_window():
    assert known_returns(gym.make("pg/Copy-v0", max_episode_steps=3)).random is None
    full, sliding = known_returns(gym.make("pg/Copy-v0")), known_returns(gym.make("pg/Copy-v0", window=6))
    assert sliding.optimal is None and sliding.random == full.random


def test_arguments_pass_through_make():
    env = gym.make("pg/Reverse-v0", length=7, symbols=3, render_mode="ansi")
    observation, info = env.reset(seed=0)
    assert info["prompt_length"] == 9 and env.action_space.n == 7 and len(observation["tokens"]) == 9 + 11
    _, infos = gym.make_vec("pg/Addition-v0", 4, digits=3, group_size=2).reset(seed=0)
    assert infos["group_id"].tolist() == [0, 0, 1, 1]
    assert gym.make("pg/Parity-v0", length=6).unwrapped.task.longest_prompt == 8


def test_texts_can_be_read():
    env = gym.make("pg/Reverse-v0", render_mode="ansi")
    env.reset(seed=0)
    body = env.render()
    assert len(body) == 5 and body[-1] == "→" and set(body[:-1]) <= set("abcd")
    for letter in reversed(body[:-1]):
        env.step(ABC[letter])
    _, reward, *_ = env.step(EOS)
    assert reward == 1.0 and env.render() == body + body[-2::-1] + "."
    assert addition().text(ids("12+34=", NUMERALS)) == "12+34="
    assert copy().text([BOS, 4, 5, SEP, 5, 4, EOS, 0]) == "ab→ba._"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pg/Copy-v0", {"length": 0}, "length must be at least 1"),
        ("pg/Sort-v0", {"symbols": 0}, "symbols must be at least 1 and at most 52, got 0"),
        ("pg/Sort-v0", {"symbols": 53}, "symbols must be at least 1 and at most 52, got 53"),
        ("pg/Addition-v0", {"digits": 0}, "digits must be at least 1"),
        ("pg/Copy-v0", {"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ("pg/Shorter-v0", {"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ],
)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        gym.make(name, **arguments)


def test_sums_are_held_out_in_ids_too():
    """Either side asks its own pairs alone, and what random tokens collect is that of its answers' lengths."""
    asked = {}
    for split in ("train", "held_out"):
        task = addition(digits=1, split=split)
        asked[split] = {task.text(prompt) for prompt in task.prompts}
        pairs = addition_pairs(1, split)
        assert asked[split] == {f"{a}+{b}=" for a, b in pairs}
        lengths = Counter(len(str(a + b)) + 1 for a, b in pairs)
        shares = {length: count / len(pairs) for length, count in lengths.items()}
        assert task.known.random == pytest.approx(random_agreement(shares, 15, 6)) and task.known.optimal == 1
    assert not asked["train"] & asked["held_out"] and len(asked["train"] | asked["held_out"]) == 100
    env = gym.make_vec("pg/Addition-v0", 50, digits=1, split="held_out")
    env.reset(seed=0)
    assert set(env.unwrapped.texts()) <= asked["held_out"]
    with pytest.raises(ValueError, match="split must be all, train or held_out, got 'test'"):
        addition(split="test")
    with pytest.raises(ValueError, match="there is no folder nowhere"):
        addition(tokenizer="nowhere")


test_seeded_bugs = seeded(
    Bug(
        "held-out sums are trained on",
        addition_pairs,
        with_arguments(addition_pairs, split=lambda _: "all"),
        [test_sums_are_held_out_in_ids_too],
    )
)
