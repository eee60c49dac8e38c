"""Sums in text with a held-out split, and reasoning-gym's tasks."""

import re
import subprocess
import sys
import types

import numpy as np
import pytest
from pg_envs import TokenVectorEnv, addition_pairs, addition_text, reasoning_gym_task
from pg_envs.tokens.text_tasks import first_integer
from support.bugs import Bug, seeded


class Bytes:
    eos_token_id = 128

    def encode(self, text):
        return list(text.encode())

    def decode(self, ids):
        return "".join(chr(token) for token in ids)

    def __len__(self):
        return 129


@pytest.mark.parametrize("digits", [1, 2])
def test_no_sum_is_on_both_sides(digits):
    everything, train, apart = (addition_pairs(digits, split) for split in ("all", "train", "held_out"))
    assert len(everything) == 100**digits and sorted(train + apart) == everything
    either_way = {(b, a) for a, b in train}
    assert not set(apart) & (set(train) | either_way)
    assert abs(len(apart) / len(everything) - 0.2) < 0.03
    assert {a for a, _ in train} == set(range(10**digits))
    assert addition_pairs(digits, "held_out") == apart
    assert len(addition_pairs(digits, "held_out", 0.5)) > 2 * len(apart)


def test_the_split_is_for_ever():
    """Written down once: whoever trained on it before must not find its pairs on the other side."""
    assert addition_pairs(1, "held_out")[:6] == [(0, 0), (0, 3), (0, 4), (1, 7), (2, 2), (2, 4)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" 7\n", 7), ("It is 12, not 13", 12), ("", None), ("seven", None), (" -3", -3), ("007", 7), ("4.5", 4)],
)
def test_first_integer(text, expected):
    assert first_integer(text) == expected


def test_the_task_asks_and_rewards():
    task = addition_text(Bytes())
    assert task.text(task.prompts[34]) == "Question: What is 3+4?\nAnswer:" and len(task.prompts) == 100
    for completion, reward in ((" 7", 1.0), (" 77", 0.0), (" 7 or 8", 1.0), ("x", 0.0)):
        assert task.judge(tuple(task.prompts[34]), [*completion.encode(), 128]) == reward
    env = TokenVectorEnv(8, task=addition_text(Bytes(), digits=2, split="held_out", max_new_tokens=5), group_size=4)
    env.reset(seed=0)
    held_out = set(addition_pairs(2, "held_out"))
    asked = [text.removeprefix("Question: What is ").split("?")[0].split("+") for text in env.texts()]
    assert all((int(a), int(b)) in held_out for a, b in asked) and asked[0] == asked[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"digits": 4}, "digits must be 1, 2 or 3, got 4"),
        ({"split": "test"}, "split must be all, train or held_out, got 'test'"),
        ({"held_out": 1.0}, "held_out must be above 0 and below 1"),
    ],
)
def test_bad_splits_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        addition_text(Bytes(), **arguments)


# -- reasoning-gym -----------------------------------------------------------------------------------------------------
class Dataset:
    """reasoning-gym's interface: a sequence of entries, and a verifier."""

    def __init__(self, size, seed, largest=9):
        numbers = np.random.default_rng(seed).integers(largest + 1, size=(size, 2)).tolist()
        self.entries = [{"question": f"{a} and {b}?", "answer": str(a + b), "metadata": {}} for a, b in numbers]

    def __iter__(self):
        return iter(self.entries)

    def score_answer(self, answer, entry):
        return 1.0 if answer == entry["answer"] else 0.01


@pytest.fixture
def library(monkeypatch):
    def create_dataset(name, **options):
        if name != "sums":
            raise ValueError(f"Dataset '{name}' not registered")
        return Dataset(**options)

    monkeypatch.setitem(sys.modules, "reasoning_gym", types.SimpleNamespace(create_dataset=create_dataset))


def test_solved_sums_stand_before_the_question_and_are_never_held_out():
    task = addition_text(Bytes(), digits=2, split="held_out", shots=3)
    text = task.decode(list(task.prompts[0]))
    *shown, asked = text.split("Question: ")[1:]
    apart = set(addition_pairs(2, "held_out"))
    for solved in shown:
        a, b, total = map(int, re.findall(r"\d+", solved))
        assert a + b == total and (a, b) not in apart
    assert len(shown) == 3 and asked.endswith("?\nAnswer:")
    a, b = map(int, re.findall(r"\d+", asked))
    assert (a, b) in apart and task.judge(task.prompts[0], [ord(c) for c in f" {a + b}"]) == 1
    with pytest.raises(ValueError, match="shots must be from 0 to 80, got 81"):
        addition_text(Bytes(), shots=81)


def test_reasoning_gym_asks_and_its_verifier_scores(library):
    task = reasoning_gym_task("sums", Bytes(), max_new_tokens=5, size=7, seed=3, largest=4)
    entries = Dataset(7, 3, 4).entries
    assert [task.text(ids) for ids in task.prompts] == [entry["question"] for entry in entries]
    for ids, entry in zip(task.prompts, entries, strict=True):
        assert task.judge(tuple(ids), [*f" {entry['answer']}\n".encode(), 128]) == 1.0
        assert task.judge(tuple(ids), [*b"99", 128]) == 0.01
    last = reasoning_gym_task("sums", Bytes(), max_new_tokens=9, size=1, answer=lambda text: text.split("=")[-1])
    assert last.judge(tuple(last.prompts[0]), [*f"x={Dataset(1, 0).entries[0]['answer']}".encode(), 128]) == 1.0


def test_reasoning_gym_in_chats(library):
    class Chat(Bytes):
        def encode(self, text, add_special_tokens=True):
            assert not add_special_tokens
            return super().encode(text)

        def apply_chat_template(self, messages, *, tokenize, add_generation_prompt):
            return f"<{messages[0]['role']}>{messages[0]['content']}<assistant>"

    task = reasoning_gym_task("sums", Chat(), max_new_tokens=5, size=2, chat=True)
    assert task.text(task.prompts[1]) == f"<user>{Dataset(2, 0).entries[1]['question']}<assistant>"


def test_what_reasoning_gym_does_not_know_is_named(library):
    with pytest.raises(ValueError, match="'nothing' not registered"):
        reasoning_gym_task("nothing", Bytes(), max_new_tokens=5)
    with pytest.raises(ValueError, match=r"options: reasoning-gym's sums does not take \{'smallest': 1\}"):
        reasoning_gym_task("sums", Bytes(), max_new_tokens=5, smallest=1)


def test_without_reasoning_gym_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(ImportError, match="pip install reasoning-gym"):
        reasoning_gym_task("sums", Bytes(), max_new_tokens=5)


def test_nothing_optional_is_imported_with_the_package():
    code = "import sys, pg_envs; print(sorted({'reasoning_gym', 'transformers', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def pairs_apart_in_one_order(digits=1, split="all", held_out=0.2, right=addition_pairs):
    apart = {(a, b) for a, b in right(digits, "held_out", held_out) if a <= b}
    return [pair for pair in right(digits) if split == "all" or (pair in apart) == (split == "held_out")]


test_seeded_bugs = seeded(
    Bug(
        "b + a is trained on where a + b is held out",
        addition_pairs,
        pairs_apart_in_one_order,
        [test_no_sum_is_on_both_sides],
    )
)
