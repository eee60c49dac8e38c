"""A small causal language model in a folder, with a tokenizer of characters, as pages call it: PATH."""

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

CHARACTERS = {chr(i): i - 32 for i in range(32, 127)} | {"\n": 95, "</s>": 96}


def write_model(path):
    """Write the model, and return its tokens' ids by their texts."""
    spelling = Tokenizer(models.WordLevel(CHARACTERS, unk_token=" "))
    spelling.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="</s>", pad_token="</s>")
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    end = CHARACTERS["</s>"]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(
        vocab_size=len(CHARACTERS), max_position_embeddings=256, eos_token_id=end, pad_token_id=end, **sizes
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return CHARACTERS
