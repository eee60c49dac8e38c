"""Prompts as ids: begin marks once, no end marks, whatever a tokenizer adds; completions with every mark in them."""

from functools import partial

import numpy as np
import pytest
import transformers
from pg_envs import TokenVectorEnv, text_task
from pg_envs.tokens import encoding
from support.bugs import Bug, seeded
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

BEGIN, END, PAD, SYSTEM = range(4)
MARKS = ["<s>", "</s>", "<pad>", "<sys>"]
AROUND = {
    "nothing": None,
    "begin": "<s> $A",
    "end": "$A </s>",
    "both": "<s> $A </s>",
    "several": "<s> <sys> $A </s> </s>",
}
FORMS = ["tokenizers", "transformers"]


def tokenizer(form, around="both"):
    """Return a tokenizer of letters, of either package, that puts marks around texts."""
    spelling = {piece: i for i, piece in enumerate([*MARKS, *"abcdef?:"])}
    made = Tokenizer(models.WordLevel(spelling, unk_token="<pad>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    made.add_special_tokens(MARKS)
    if AROUND[around]:
        marks = list(zip(MARKS, range(len(MARKS)), strict=True))
        made.post_processor = processors.TemplateProcessing(single=AROUND[around], special_tokens=marks)
    if form == "tokenizers":
        return made
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def zero(*_):
    return 0.0


def prompts_of(coder, *texts, **options):
    task = text_task(coder, texts, **{"score": zero, "max_new_tokens": 4, "eos": END} | options)
    return [list(prompt) for prompt in task.prompts]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("around", "begin"),
    [("nothing", []), ("begin", [BEGIN]), ("end", []), ("both", [BEGIN]), ("several", [BEGIN, SYSTEM])],
)
def test_prompts_begin_with_their_marks_once_and_never_end_in_one_that_was_added(form, around, begin):
    coder = tokenizer(form, around)
    written = "".join(MARKS[mark] for mark in begin)
    assert prompts_of(coder, "ab", written + "ab", "a" + written + "b") == [
        [*begin, 4, 5], [*begin, 4, 5], [*begin, 4, *begin, 5]
    ]  # fmt: skip
    assert prompts_of(coder, "ab</s>") == [[*begin, 4, 5, END]]  # it is in the text: a turn of a chat, say
    if begin:
        assert prompts_of(coder, written, "") == [begin, begin[:1]]  # a completion from nothing


@pytest.mark.parametrize("around", ["nothing", "both"])
@pytest.mark.parametrize("begin", ["", "{{ bos_token }}"])
def test_a_chat_has_the_marks_of_its_template_and_no_others(around, begin):
    coder = tokenizer("transformers", around)
    coder.chat_template = begin + "{% for m in messages %}{{ m.content }}</s>{% endfor %}<sys>"
    chat = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}]
    marked = [BEGIN] if begin else []
    assert prompts_of(coder, chat) == [[*marked, 4, 10, END, 5, END, SYSTEM]]
    written = coder.apply_chat_template(chat, tokenize=False)
    expected = [BEGIN] if begin or around == "both" else []  # as a text it is like any other
    assert prompts_of(coder, written) == [[*expected, 4, 10, END, 5, END, SYSTEM]]


@pytest.mark.parametrize("form", FORMS)
def test_scores_see_the_marks_that_a_policy_writes_and_not_the_end_of_its_completion(form):
    seen = []
    task = text_task(
        tokenizer(form), ["a?"], eos=END, max_new_tokens=4, score=lambda *texts: seen.append(texts[:2]) or 0.0
    )
    env = TokenVectorEnv(2, task=task)
    env.reset(seed=0)
    for actions in ([4, SYSTEM], [PAD, 4], [END, BEGIN], [4, 4]):
        env.step(np.array(actions))
    assert seen == [("a?", "a<pad>"), ("a?", "<sys>a<s>a")]
    assert env.texts() == ("<s>a?a<pad></s>", "<s>a?<sys>a<s>a")


@pytest.mark.parametrize(("setting", "turn_on"), [("padding", "enable_padding"), ("truncation", "enable_truncation")])
def test_a_tokenizer_that_pads_or_cuts_off_is_refused(setting, turn_on):
    coder = tokenizer("tokenizers")
    getattr(coder, turn_on)(**{"length": 9} if setting == "padding" else {"max_length": 1})
    with pytest.raises(ValueError, match=rf"tokenizer: its {setting} is on.*tokenizer.no_{setting}\(\)"):
        prompts_of(coder, "ab")
    of_transformers = transformers.PreTrainedTokenizerFast(tokenizer_object=coder, eos_token="</s>")
    assert prompts_of(of_transformers, "ab") == [[BEGIN, 4, 5]]  # it turns them off itself


def begins_twice(marked, bare, right=encoding._begun_once):
    found = right(marked, bare)
    return marked[:1] + found if found == bare else found


test_seeded_bugs = seeded(
    Bug(
        "an end mark that a tokenizer adds stays behind prompts",
        encoding._begun_once,
        lambda marked, bare: marked,
        [test_prompts_begin_with_their_marks_once_and_never_end_in_one_that_was_added],
    ),
    Bug(
        "a text that begins with the begin mark gets another",
        encoding._begun_once,
        begins_twice,
        [test_prompts_begin_with_their_marks_once_and_never_end_in_one_that_was_added],
    ),
    Bug(
        "scores do not see all marks that a policy writes",
        encoding.spelled_out,
        lambda coder: partial(coder.decode, skip_special_tokens=True),
        [test_scores_see_the_marks_that_a_policy_writes_and_not_the_end_of_its_completion],
    ),
)
