"""A language model with random parameters, and an environment of texts for it."""

import torch
import transformers
from pg_envs import TokenVectorEnv

import pg_agents as pg

V = 50


PROMPTS = [[5, 6], [5, 6, 7, 8], [9], [5, 6, 7, 0]]


def llama(seed=0, dtype=torch.float32, **options):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **{
            "vocab_size": V,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        }
        | options
    )
    return transformers.LlamaForCausalLM(config).to(dtype)


def token_env(num_envs=12, group_size=3, max_new_tokens=5, eos=range(2, 12), prompts=PROMPTS, **options):
    """Return an environment whose rows end at different times: a fifth of the tokens end one."""
    task = {
        "score": lambda prompt, text: float(text[0] % 2),
        "vocabulary": V,
        "pad": 0,
        "max_new_tokens": max_new_tokens,
    }
    return TokenVectorEnv(num_envs, prompts=prompts, eos=list(eos), group_size=group_size, **task, **options)


def played(policy, seed=0, **options):
    return next(pg.collect_episodes(token_env(**options), policy, seed=seed))
