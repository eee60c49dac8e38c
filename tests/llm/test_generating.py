"""Completions of texts are what the policy would do in an environment that asks for them."""

import gymnasium as gym
import pytest
import torch
import transformers
from pg_envs import TokenVectorEnv
from pg_envs.tokens.texts import text_task
from support.bugs import Bug, seeded
from support.tiny_llama import V, llama
from tokenizers import Tokenizer, models, pre_tokenizers

import pg_agents as pg
from pg_agents.llm import generating, texts
from pg_agents.llm.huggingface import HuggingFacePolicy

ENDS = [*range(2, 12)]  # a fifth of the tokens: texts end at different times
ASKED = ["w20 w21", "w22", "w20 w21 w30", "w20 w21", "w40 w41 w42 w43 w44", *(f"w{i}" for i in range(23, 33))]
NEW = 9


def tokenizer():
    """Return one that begins texts with <s>, and has a word for each other id."""
    words = Tokenizer(models.WordLevel({"w0": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, V)}}, "w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    from tokenizers.processors import TemplateProcessing

    words.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", bos_token="<s>")
    found.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}w49"
    return found


def agent(**options):
    model = llama(1)
    model.generation_config.eos_token_id = ENDS
    return pg.Reinforce(policy=HuggingFacePolicy(model, tokenizer=tokenizer(), **options))


def in_an_environment(agent, greedy, asked=ASKED):
    """Return the completion of each text by the agent as it is evaluated, as the score sees it."""
    seen = {}

    def score(prompt, completion, example):
        seen[example] = completion
        return 0.0

    task = text_task(
        tokenizer(), asked, score=score, max_new_tokens=NEW, eos=ENDS, vocabulary=V, examples=range(len(asked))
    )
    pg.evaluate(agent, TokenVectorEnv(16, task=task), episodes=256, greedy=greedy)
    return [seen[i] for i in range(len(asked))]


def test_greedy_completions_are_those_of_an_environment():
    found = agent().generate(ASKED, max_new_tokens=NEW, greedy=True)
    assert found == in_an_environment(agent(), greedy=True)
    assert found[0] == found[3] and len({len(one.split()) for one in found}) > 2
    assert any(len(one.split()) < NEW for one in found)


def test_each_token_is_the_most_probable_after_all_before_it():
    made = agent()
    for asked, answer in zip(ASKED, made.generate(ASKED, max_new_tokens=NEW, greedy=True), strict=True):
        ids = tokenizer().encode(asked)
        assert ids[0] == 1
        expected = []
        while len(expected) < NEW:
            with torch.no_grad():
                expected.append(int(made.policy.model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
            if expected[-1] in ENDS:
                break
        assert answer == tokenizer().decode(expected[:-1] if expected[-1] in ENDS else expected)


def test_sampled_completions_follow_the_seed_and_the_temperature(monkeypatch):
    made = agent()
    one, again, other = (made.generate(ASKED * 4, max_new_tokens=NEW, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one[:: len(ASKED)])) > 1  # the same text four times
    cold = made.generate(ASKED, max_new_tokens=NEW, temperature=1e-3, seed=1)
    assert (
        cold
        == made.generate(ASKED, max_new_tokens=NEW, top_k=1)
        == made.generate(ASKED, max_new_tokens=NEW, greedy=True)
    )
    assert made.policy.sampling.temperature == 1 and made.policy.sampling.top_k is None
    monkeypatch.setattr(generating, "ROWS", 2)
    assert made.generate(ASKED, max_new_tokens=NEW, greedy=True) == cold


def test_a_text_is_read_once_and_what_has_ended_is_not_read_again(monkeypatch):
    made, read = agent(), []
    made.policy.admit(3 + NEW)  # tries longer texts than before
    trunk = made.policy.trunk
    trunk.register_forward_hook(lambda module, given, found: read.append(found.last_hidden_state.shape[:2]))
    answers = made.generate(["w20 w21"] * 6 + ["w22"], max_new_tokens=NEW, seed=3)
    assert read[0] == (2, 3)  # two texts, the longer of three tokens
    rows = [shape[0] for shape in read[1:]]
    assert all(shape[1] == 1 for shape in read[1:]) and rows == sorted(rows, reverse=True) and rows[-1] < 7
    assert len(answers) == 7


def test_chats_are_read_through_their_template():
    made = agent()
    chat = [{"role": "user", "content": "w20"}, {"role": "user", "content": "w21"}]
    expected = texts.coder_of_model(made.policy.model, made.policy.tokenizer).encode(chat)
    assert expected == [20, 21, 49]  # nothing is added to a chat
    assert made.generate([chat], max_new_tokens=2, greedy=True)


# -- a network of ours -------------------------------------------------------------------------------------------------
def test_a_network_of_ours_knows_the_characters_of_its_environment():
    env = gym.make_vec("pg/Copy-v0", 8, length=2, symbols=3)
    made = pg.Reinforce.for_env(env, seed=5)
    coder = texts.coder_of_env(env)
    assert coder.encode("ab→") == [1, 4, 5, 2] and coder.answer([5, 4, 3]) == "ba"
    asked = [first + second + "→" for first in "abc" for second in "abc"]
    found = made.generate(asked, greedy=True, env=env)

    told = {}
    task = env.unwrapped.task
    env.unwrapped.task = type(task)(
        **{**vars(task), "score": lambda p, c: told.update({task.text(p): coder.answer(c)}) or 0.0}
    )
    pg.evaluate(made, env, episodes=64)
    assert told.keys() <= set(asked) and len(told) == 9
    assert [told[text] for text in asked] == found


def test_what_cannot_be_generated_is_said():
    made = agent()
    for asked, said in {"w20": "^texts must be several", 3: "^texts must be several"}.items():
        with pytest.raises(ValueError, match=said):
            made.generate(asked)
    with pytest.raises(ValueError, match="^max_new_tokens must be a whole number, 1 or above, got 0"):
        made.generate(["w20"], max_new_tokens=0)
    with pytest.raises(ValueError, match="^temperature must be a number above 0"):
        made.generate(["w20"], temperature=0)
    with pytest.raises(ValueError, match="fewer max_new_tokens"):
        made.generate(["w20"], max_new_tokens=100)
    assert made.generate([]) == []
    with pytest.raises(pg.UserError, match="^policy: it has no tokenizer"):
        pg.Reinforce(policy=HuggingFacePolicy(llama())).generate(["w20"])
    ours, env = pg.Reinforce.for_env("pg/Copy-v0"), gym.make_vec("pg/Copy-v0", 2)
    with pytest.raises(pg.UserError, match="^policy: this agent's is a .*, no language model .* env="):
        ours.generate(["ab"])
    with pytest.raises(pg.UserError, match="^texts: 'z' in 'az' is none of the environment's characters"):
        ours.generate(["az"], env=env)
    with pytest.raises(ValueError, match="^max_new_tokens: 30 after a text of 3 tokens"):
        ours.generate(["ab"], env=env, max_new_tokens=30)
    with pytest.raises(ValueError, match="^top_p: 0.9 is for language models"):
        ours.generate(["ab"], env=env, top_p=0.9)
    with pytest.raises(pg.UserError, match="^env: it knows no characters"):
        ours.generate(["ab"], env=gym.make("CartPole-v1"))


test_seeded_bugs = seeded(
    Bug(
        "the token that ends a text is part of it",
        texts.Coder.answer,
        lambda self, completion: self.decode(completion),
        [test_greedy_completions_are_those_of_an_environment],
    ),
)
