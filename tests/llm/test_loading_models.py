"""Models on disk: what is read is what was written, and what is wrong with a folder is said."""

import sys

import pytest
import torch
import transformers

from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.loading import end_ids, load_model


@pytest.fixture
def folder(tmp_path):
    """A tiny Llama in bfloat16 with a tokenizer of ten words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "0", "1", "2", "3", "4", "+", "="])}
    words_tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    words_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words_tokenizer, eos_token="</s>")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=12, **sizes, eos_token_id=[2, 9])
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.bfloat16().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_is_read_in_float32_with_all_its_ends(folder):
    model, tokenizer = load_model(folder)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert end_ids(model, tokenizer) == (2, 9)
    ids = tokenizer("1 + 2 =").input_ids
    assert ids == [4, 8, 5, 9]
    window = {"tokens": torch.tensor([ids]), "length": torch.tensor([4])}
    assert HuggingFacePolicy(model)(window).log_prob(torch.tensor([6])).shape == (1,)


def test_what_is_wrong_is_said(folder, tmp_path_factory):
    with pytest.raises(ValueError, match="no folder with weights"):
        load_model(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="cache: give a folder"):
        load_model("model.gguf")
    with pytest.raises(ValueError, match="there is no file"):
        load_model(folder / "model.gguf", cache=tmp_path_factory.mktemp("cache"))


def test_more_ids_than_the_model_has(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["5", "6", "7"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="tokenizer has 13 ids, its model 12"):
        load_model(folder)


def test_no_end_of_sequence(folder):
    model, tokenizer = load_model(folder)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="names no eos_token_id"):
        load_model(folder)


def test_a_missing_extra_gives_the_install_line(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # what is None cannot be imported
    with pytest.raises(ImportError, match=r'pip install -c constraints.txt -e "\.\[llm\]"'):
        load_model(folder)
