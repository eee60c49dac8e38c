"""Tokenizers on disk: what a folder says of a model's tokens, and what is wrong with it."""

import json

import pytest
import transformers
from pg_envs import TokenVectorEnv, text_task
from pg_envs.tokens.tokenizer_files import read_tokenizer
from support.bugs import Bug, seeded, with_result

WORDS = ["<pad>", "<s>", "</s>", "one", "two", "three"]


@pytest.fixture
def folder(tmp_path):
    """A tokenizer of six words beside the configuration of a model with eight rows, which ends texts in three ways."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    spelling = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    spelling.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="</s>").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 8, "eos_token_id": [7, 2]}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 6}))
    return tmp_path


def test_the_models_ids_and_ends_come_with_its_tokenizer(folder):
    found = read_tokenizer(folder)
    assert (found.eos, found.vocabulary) == ([2, 6, 7], 8)
    assert found.tokenizer.encode("two three") == [4, 5]
    env = TokenVectorEnv(2, task=text_task(str(folder), ["one two"], score=len_of, max_new_tokens=4))
    assert env.single_action_space.n == 8 and env.task.eos == [2, 6, 7]
    env.reset(seed=0)
    rewards, ended = env.step([6, 3])[1:3]
    assert ended.tolist() == [True, False] and rewards.tolist() == [0.0, 0.0]  # the end is no part of the answer
    typed = text_task(folder, ["one two"], score=len_of, max_new_tokens=4, eos=5, vocabulary=20)
    assert typed.eos == [5] and typed.vocabulary == 20


def len_of(prompt, completion, example):
    return float(len(completion))


def test_a_tokenizer_alone(folder):
    for name in ("config.json", "generation_config.json"):
        (folder / name).unlink()
    assert read_tokenizer(folder)[1:] == ([2], None)
    assert text_task(folder, ["one"], score=len_of, max_new_tokens=1).vocabulary == 6


def test_what_is_wrong_is_said(folder, tmp_path_factory, monkeypatch):
    with pytest.raises(ValueError, match="tokenizer: there is no folder nowhere"):
        read_tokenizer("nowhere")
    with pytest.raises(ValueError, match="tokenizer: .* holds none that transformers can read"):
        read_tokenizer(tmp_path_factory.mktemp("empty"))
    (folder / "generation_config.json").unlink()
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({k: v for k, v in content.items() if not k.startswith("eos_token")}))
    with pytest.raises(ValueError, match="names no end-of-sequence id; set eos_token_id"):
        read_tokenizer(folder)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("pg_envs.tokens.tokenizer_files.import_module", missing)
    with pytest.raises(ImportError, match=r"needs transformers: pip install transformers$"):
        read_tokenizer(folder)


def test_a_gguf_file_is_read_by_its_name(folder, monkeypatch):
    (folder / "model.gguf").touch()
    seen, tokenizer = [], read_tokenizer(folder).tokenizer

    def read(where, **options):
        seen.append((where, options["gguf_file"]))
        return tokenizer

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", read)
    found = read_tokenizer(folder / "model.gguf")
    assert seen == [(folder, "model.gguf")] and found.eos == [2] and found.vocabulary is None


test_seeded_bugs = seeded(
    Bug(
        "a model's other end-of-sequence ids are forgotten",
        read_tokenizer,
        with_result(read_tokenizer, lambda found: found._replace(eos=[found.tokenizer.eos_token_id])),
        [test_the_models_ids_and_ends_come_with_its_tokenizer],
    )
)
