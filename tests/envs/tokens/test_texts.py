"""Tasks in text: what scores are handed, what is never done to ids, and what is said of bad input."""

import numpy as np
import pytest
from pg_envs import EvaluationError, TokenVectorEnv, text_task
from pg_envs.tokens import encoding
from pg_envs.tokens.texts import Reader
from support.bugs import Bug, seeded

LETTERS = "0123456789+= \n?:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>|"


class Characters:
    """A tokenizer with a token for each character, for "the", and for the end: some texts have several spellings."""

    pieces = [*LETTERS, "the", "<end>"]
    the, eos_token_id = len(pieces) - 2, len(pieces) - 1

    def __init__(self):
        self.encoded = []

    def encode(self, text):
        self.encoded.append(text)
        ids = []
        while text:
            piece = "the" if text.startswith("the") else text[0]
            ids.append(self.pieces.index(piece))
            text = text[len(piece) :]
        return ids

    def decode(self, ids):
        return "".join(self.pieces[token] for token in ids)

    def get_vocab(self):
        return {piece: number for number, piece in enumerate(self.pieces)}


class Chat(Characters):
    def encode(self, text, add_special_tokens=True):
        return super().encode(("|" if add_special_tokens else "") + text)

    def apply_chat_template(self, messages, *, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<assistant>"


def zero(prompt, completion, example):
    return 0.0


def spelled(*pieces):
    return [Characters.pieces.index(piece) for piece in pieces]


def finished(task, *completions, seed=0):
    """Play completions (lists of ids) in as many rows; return rewards and the environment."""
    env = TokenVectorEnv(len(completions), task=task)
    env.reset(seed=seed)
    rewards = np.zeros(len(completions))
    for t in range(max(map(len, completions))):
        rewards += env.step(np.array([ids[min(t, len(ids) - 1)] for ids in completions]))[1]
    return rewards, env


def test_scores_are_handed_texts_and_the_example_of_the_very_prompt():
    """Two prompts read alike and have different answers: each is judged by its own; of others nothing is known."""
    seen = []

    def score(prompt, completion, example):
        seen.append((prompt, completion, example))
        return float(completion == example)

    prompts, examples = ["a?", "b?", "a?"], ["x", "y", "z"]
    task = text_task(Characters(), prompts, examples=examples, score=score, max_new_tokens=3)
    end = Characters.eos_token_id
    numbers = [int(np.random.default_rng(row).integers(3)) for row in range(20)]
    rewards, _ = finished(task, *[[*spelled("z"), end]] * 20)
    assert {0, 2} <= set(numbers)
    assert seen == [(prompts[n], "z", examples[n]) for n in numbers]
    assert rewards.tolist() == [float(n == 2) for n in numbers]
    with pytest.raises(ValueError, match="is not among the 3 prompts of the task"):
        task.judge(tuple(spelled("c", "?")), spelled("z"))


def test_completions_stay_the_ids_that_were_sampled():
    tokenizer, seen = Characters(), []
    task = text_task(tokenizer, ["a the"], score=lambda *texts: seen.append(texts) or 1.0, max_new_tokens=4)
    assert tokenizer.encoded == ["a the"] and list(task.prompts[0]) == spelled("a", " ", "the")
    letters = [*spelled("t", "h", "e"), Characters.eos_token_id]
    _, env = finished(task, letters)
    assert env.history[0].tolist() == spelled("a", " ", "the") + letters
    assert seen == [("a the", "the", "a the")] and tokenizer.encoded == ["a the"]
    assert env.texts() == ("a thethe<end>",)


def test_only_the_end_token_that_ended_is_left_out():
    seen = []
    score = lambda prompt, completion, example: seen.append(completion) or 0.0  # noqa: E731
    task = text_task(Characters(), ["a"], score=score, max_new_tokens=3, eos=[Characters.eos_token_id, 0])
    finished(task, spelled("b", "0"), [*spelled("b", "c"), Characters.eos_token_id], spelled("b", "c", "d"), [0])
    assert sorted(seen) == ["", "b", "bc", "bcd"]


def test_one_call_scores_a_batch_of_texts():
    calls = []

    def score_batch(prompts, completions, examples):
        calls.append((prompts, completions, examples))
        return [len(completion) + example for completion, example in zip(completions, examples, strict=True)]

    task = text_task(Characters(), ["a"], examples=[10], score_batch=score_batch, max_new_tokens=3)
    end = Characters.eos_token_id
    rewards, _ = finished(task, [*spelled("b"), end], [*spelled("the"), end], spelled("c", "c", "c"))
    assert calls == [(["a"] * 2, ["b", "the"], [10] * 2), (["a"], ["ccc"], [10])]
    assert rewards.tolist() == [11.0, 13.0, 13.0]


def test_a_stop_reads_texts():
    task = text_task(
        Characters(),
        ["ab"],
        score=lambda prompt, completion, example: len(completion),
        stop=lambda prompt, completion: completion.endswith(prompt[-1]),
        max_new_tokens=9,
    )
    rewards, env = finished(task, spelled("the", "a", "b"))
    assert rewards.tolist() == [5.0] and env.stop_reason.tolist() == ["verifier"]


def test_chats_go_through_the_template_and_get_no_marks_twice():
    chat = [{"role": "user", "content": "a?"}]
    task = text_task(Chat(), [chat, "a?"], score=zero, max_new_tokens=3)
    assert [task.text(ids) for ids in task.prompts] == ["<user>a?<assistant>", "|a?"]


def test_encodings_that_are_objects_and_tokenizers_that_only_have_a_length():
    class Encoding:
        ids = (1, 2)

    class Lean:
        eos_token_id = 3
        encode = staticmethod(lambda text: Encoding())
        decode = staticmethod(str)

        def __len__(self):
            return 5

    task = text_task(Lean(), ["a"], score=zero, max_new_tokens=3)
    assert task.prompts[0] == [1, 2] and task.vocabulary == 5 and task.eos == [3]
    assert text_task(Lean(), ["a"], score=zero, max_new_tokens=3, vocabulary=9).vocabulary == 9  # rows of the model


def test_a_failing_score_is_shown_with_its_texts():
    def score(prompt, completion, example):
        return {"x": 1.0, "y": float("nan"), "z": None}[completion]

    task = text_task(Characters(), ["a the"], score=score, max_new_tokens=3)
    end = Characters.eos_token_id
    for letter, message in (
        ("y", "ValueError: a finite number"),
        ("z", "ValueError: a finite number"),
        ("q", "KeyError: 'q'"),
    ):
        expected = f"^score failed on prompt 'a the' and completion '{letter}': {message}"
        with pytest.raises(EvaluationError, match=expected) as caught:
            finished(task, [*spelled("x"), end], [*spelled(letter), end])
        assert caught.value.__cause__ is not None
    both = text_task(Characters(), ["a the"], score_batch=lambda *texts: [1.0], max_new_tokens=3)
    message = "score_batch returned 1 scores for 2 completions.* prompt 'a the' and completion 'x<end>'"
    with pytest.raises(EvaluationError, match=message):
        finished(both, [*spelled("x"), end], [*spelled("y"), end])


class NoEnd(Characters):
    eos_token_id = None


class NoSize:
    encode, decode, eos_token_id = Characters.encode, Characters.decode, 1
    pieces, encoded = Characters.pieces, []


@pytest.mark.parametrize(
    ("tokenizer", "changes", "message"),
    [
        (NoEnd, {}, "eos: the tokenizer names no end-of-sequence id"),
        (Characters, {"vocabulary": 50}, r"vocabulary must hold all of the tokenizer's \d+ ids, got 50"),
        (NoSize, {}, "vocabulary: the tokenizer does not say how many ids it has"),
        (Characters, {"prompts": [""]}, "prompts: '' has no tokens"),
        (Characters, {"prompts": ["a", "abc"], "max_prompt_length": 2}, r"at most 2 tokens fit.*got 3 in 'abc'"),
        (Characters, {"prompts": [[{"role": "user", "content": "a"}]]}, "a chat needs a tokenizer with apply_chat"),
        (Characters, {"prompts": []}, "prompts must hold at least one"),
        (Characters, {"prompts": "abc"}, r"prompts must be several, in order, got str 'abc'; write \[prompt\]"),
        (Characters, {"prompts": {"a": 1}}, "prompts must be several, in order, got dict"),
        (Characters, {"prompts": 3}, "prompts must be several, in order, got int 3"),
        (Chat, {"prompts": [{"role": "user", "content": "a"}]}, r"got one chat: .*; write \[chat\]"),
        (Chat, {"prompts": [["a"]]}, "prompts must be texts or chats, each of which is a list of {.*got one that is"),
        (Chat, {"prompts": [[1, 2]]}, r"prompts must be texts or chats, .* got one that is \[1, 2\]"),
        (Characters, {"examples": "x"}, "examples must be several, in order, got str 'x'; write a list in the order"),
        (Characters, {"examples": {"a": 1}}, "examples must be several, in order, got dict"),
        (Characters, {"stop": "b"}, "stop must be a function of texts, got 'b'"),
        (Characters, {"score": 1.0}, "score must be a function of texts, got 1.0"),
        (Characters, {"examples": [1, 2]}, "examples must be as many as the prompts, 1, got 2"),
        (Characters, {"score": None}, "score: give score or score_batch"),
        (Characters, {"score_batch": zero}, "score: give score or score_batch"),
        (Characters, {"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ],
)
def test_bad_arguments_are_named(tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        text_task(tokenizer(), **{"prompts": ["a"], "score": zero, "max_new_tokens": 3, **changes})


def test_prompts_longer_than_the_window_are_refused():
    task = text_task(Characters(), ["abc"], score=zero, max_new_tokens=3)
    with pytest.raises(ValueError, match="window must hold the longest prompt, 3 tokens, got 2"):
        TokenVectorEnv(2, task=task, window=2)


def encodes_chats_with_marks(tokenizer, prompt, right=encoding.encoded):
    text, ids = right(tokenizer, prompt)
    return text, ids if isinstance(prompt, str) else encoding._ids(tokenizer, text)


def scores_by_the_first_that_reads_so(self, score, number, answer, right=Reader._score):
    return right(self, score, self.texts.index(self.texts[number]), answer)


test_seeded_bugs = seeded(
    Bug(
        "a chat begins with the tokenizer's own marks twice",
        encoding.encoded,
        encodes_chats_with_marks,
        [test_chats_go_through_the_template_and_get_no_marks_twice],
    ),
    Bug(
        "a text is judged by the example of another prompt that reads alike",
        Reader._score,
        scores_by_the_first_that_reads_so,
        [test_scores_are_handed_texts_and_the_example_of_the_very_prompt],
    ),
    Bug(
        "the end-of-sequence token is part of the text that is judged",
        Reader.answer,
        lambda self, completion: self.decode(completion),
        [test_only_the_end_token_that_ended_is_left_out],
    ),
)
