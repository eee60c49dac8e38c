"""Agents act: observations of an environment → its actions, and texts → their completions."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pg_agents.agents.common.compatibility import check_spaces
from pg_agents.agents.construction import C, Constructed
from pg_agents.data.tree import Tree, tree_map
from pg_agents.distributions import draw
from pg_agents.elsewhere import with_names_checked
from pg_agents.export.onnx_file import export_onnx
from pg_agents.llm.generating import completions, sampling_as
from pg_agents.llm.make_language_networks import language_policy
from pg_agents.llm.texts import coder_of_env, coder_of_model
from pg_agents.policies import Memory, Policy
from pg_agents.policies.acting import actions_of, memory_of, tensors_of
from pg_agents.spaces.conversion import brief

NEW_TOKENS = 64  # in a completion, unless somebody says how many


class Acting(Constructed[C]):
    """A module with a policy, which acts for one observation or a batch of them."""

    warned_of_spaces = False

    @with_names_checked
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

        An agent of your own networks knows the spaces of the environment in which `train` had it learn last, or those
        that you set: agent.spaces = (env.observation_space, env.action_space). Before either, it takes one observation
        and returns what the policy returns, which need not be an action that an environment accepts.

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
        made_for, device = self.spaces or self.learned_in, next(self.policy.parameters()).device
        batch, count = tensors_of(observation, made_for, device, as_learned=self.spaces is None)
        before = memory_of(self.policy, memory, episode_starts, count)
        distribution, memory = _stepped(self.policy, batch, before, known=made_for is not None)
        taken = draw(distribution, lambda row: f"for observation {row}", greedy=greedy, generator=generator)
        if made_for is None and taken.is_floating_point():
            self._warn_of_unknown_spaces()
        return actions_of(self.policy.unscale_action(taken), made_for, count), memory

    def export(self, path: str | Path, *, sample: bool = False, action_mask: bool = False) -> None:
        """Write the policy to a file in the ONNX format, which acts without this package and without torch.

        All that `act` does between an observation and an action is inside; docs/export.md says how to use the file.

        Args:
            path: the file, like "policy.onnx"; one that is there is replaced.
            sample: draw actions with random numbers that the file takes as an input, instead of the most probable ones.
            action_mask: take masks of allowed actions beside the observations, as environments give them in `info`; one
                in the observation is an input anyway.

        Raises:
            UserError: a package of the extra `onnx` is missing, or the policy cannot be exported.
            NotSavedError: the file cannot be written.
        """
        how: dict[str, Any] = {"agent": self.name, "sample": sample, "action_mask": action_mask}
        export_onnx(self.policy, self.spaces or self.learned_in, Path(path), **how)

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

    def _warn_of_unknown_spaces(self) -> None:
        if not self.warned_of_spaces:
            self.warned_of_spaces = True
            warnings.warn(
                "act: the agent has learned in no environment yet, so its action space is unknown and actions are not "
                "clipped to it; set agent.spaces = (env.observation_space, env.action_space)",
                UserWarning,
                stacklevel=5,  # above no_grad and with_names_checked
            )


def _stepped(policy: Policy, batch: Tree, memory: Memory, *, known: bool) -> tuple[Any, Memory]:
    """Return the policy's distributions for a batch of observations, and the memory after them.

    Raises:
        ValueError: the policy fails on an observation of a space that is not `known`.
    """
    try:
        return policy.step(batch, memory)
    except (RuntimeError, TypeError, LookupError, ValueError, AttributeError) as error:
        if known:
            raise
        shapes = brief(tree_map(lambda leaf: tuple(leaf.shape[1:]), batch))
        raise ValueError(
            f"observation: {type(policy).__name__} fails on one of the shape {shapes}: {brief(error)}; act takes one "
            "observation, the first item of what env.reset returns; batches too, once the agent has learned in an "
            "environment or agent.spaces = (env.observation_space, env.action_space) is set"
        ) from error
