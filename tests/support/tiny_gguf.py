"""A .gguf file of a Llama with random parameters and forty tokens."""

import gguf
import numpy as np

from support.tiny_llama import llama

TOKENS = [
    "<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz", "ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij", "jk",
    "<|endoftext|>",
]  # fmt: skip
MERGES = [f"{token[0]} {token[1]}" for token in TOKENS if len(token) == 2]
LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
HEADS = {"q_proj": 4, "k_proj": 2}


def write_gguf(file, seed=0):
    """Write a model with random parameters to `file` and return it."""
    model = llama(seed, vocab_size=len(TOKENS))
    writer = gguf.GGUFWriter(str(file), "llama")
    for name, value in {
        "context_length": 64, "embedding_length": 32, "block_count": 2, "feed_forward_length": 64, "head_count": 4,
        "head_count_kv": 2, "rope_freq_base": 10000.0, "layer_norm_rms_eps": 1e-6, "vocab_size": len(TOKENS),
        "rope_dimension_count": 8, "tokenizer_model": "gpt2", "tokenizer_pre": "default", "token_list": TOKENS,
        "token_types": [3, 3, 3] + [1] * (len(TOKENS) - 4) + [3], "token_merges": MERGES, "bos_token_id": 1,
        "eos_token_id": 2, "unk_token_id": 0, "pad_token_id": 0,
    }.items():  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    for name, value in model.state_dict().items():
        writer.add_tensor(_name(name), _rotated(name, value.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _name(name):
    module = name.removesuffix(".weight")
    if module in OUTSIDE:
        return f"{OUTSIDE[module]}.weight"
    _, _, layer, part = module.split(".", 3)
    return f"blk.{layer}.{LAYER[part]}.weight"


def _rotated(name, value):
    """Return a weight with the rows of each head in the order that .gguf files of Llamas have."""
    heads = next((count for part, count in HEADS.items() if part in name), None)
    if heads is None:
        return value
    halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(value.shape))
