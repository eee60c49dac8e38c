"""Agents act: observations of an environment → its actions, and texts → their completions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from pg_agents.agents.common.compatibility import check_spaces
from pg_agents.agents.construction import C, Constructed
from pg_agents.data.tree import Tree
from pg_agents.distributions import draw
from pg_agents.llm.generating import completions, sampling_as
from pg_agents.llm.make_language_networks import language_policy
from pg_agents.llm.texts import coder_of_env, coder_of_model
from pg_agents.policies import Memory
from pg_agents.policies.acting import actions_of, memory_of, tensors_of

NEW_TOKENS = 64  # in a completion, unless somebody says how many


class Acting(Constructed[C]):
    """A module with a policy, which acts for one observation or a batch of them."""

    @torch.no_grad()
    def act(
        self,
        observation: Tree,
        memory: Memory = None,
        *,
        episode_starts: Any = None,  # noqa: ANN401
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Memory]:
        """Return an action for one observation, or actions [B, …] for a batch, and the memory for the next call.

        Args:
            observation: from an environment, single or vector; with a mask {"observation": …, "action_mask": …}.
            memory: the memory that the last call returned; None when episodes begin.
            episode_starts: where episodes of a batch begin, bool [B]: there a recurrent policy's memory is cleared.
            greedy: take the most probable action instead of sampling one.
            generator: the generator to sample with; None: torch's default.

        Raises:
            ValueError: an observation of a wrong shape, outside its space or not finite; a memory of another batch.
            FloatingPointError: the policy's distribution is not finite.
        """
        batch, count = tensors_of(observation, self.spaces, next(self.policy.parameters()).device)
        distribution, memory = self.policy.step(batch, memory_of(self.policy, memory, episode_starts, count))
        taken = draw(distribution, lambda row: f"for observation {row}", greedy=greedy, generator=generator)
        return actions_of(self.policy.unscale_action(taken), self.spaces, count), memory

    def generate(
        self,
        texts: Iterable[Any],
        *,
        max_new_tokens: int | None = None,
        greedy: bool = False,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        env: Any = None,  # noqa: ANN401
    ) -> list[str]:
        """Return a completion of each text, in their order, by the policy as it acts in an environment of texts.

        A completion ends before the model's end-of-sequence token, or after `max_new_tokens`; other special tokens are
        spelled out. Texts are read once and continued from a cache, 64 at a time.

        Args:
            texts: texts, or chats ({"role", "content"} messages), to which the tokenizer's chat template is applied.
            max_new_tokens: the most tokens in a completion; None: 64, or with `env` as many as in its episodes.
            greedy: take the most probable tokens instead of sampling.
            seed: of the sampled tokens.
            temperature: of a language model, instead of that with which it learns; None: that.
            top_k: likewise.
            top_p: likewise.
            env: for an agent with a network of ours, whose tokens only its environment knows: that environment, if each
                of its tokens is a character.

        Raises:
            UserError: the policy is no language model and no `env` is given; there is no tokenizer; a character that
                the environment does not know.
            ValueError: an option is out of range, no list of texts, or a text is too long for the model.
            FloatingPointError: the policy's distribution is not finite.
        """
        how: dict[str, Any] = {"greedy": greedy, "seed": seed, "window": None}
        if env is None:
            policy, most = language_policy(self.policy, "; texts of a network of ours need env=…"), NEW_TOKENS
            coder = coder_of_model(policy.model, policy.tokenizer)
        else:
            coder = coder_of_env(env)
            check_spaces(self.policy, self.spaces, env)
            how["window"], most = env.unwrapped.window, env.unwrapped.task.max_new_tokens
        how["max_new_tokens"] = most if max_new_tokens is None else max_new_tokens
        with sampling_as(self.policy, temperature=temperature, top_k=top_k, top_p=top_p):
            return completions(self.policy, coder, texts, **how)
