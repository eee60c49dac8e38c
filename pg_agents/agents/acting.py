"""Agents act: observations of an environment → its actions."""

from __future__ import annotations

from typing import Any

import torch

from pg_agents.agents.construction import C, Constructed
from pg_agents.data.tree import Tree
from pg_agents.distributions import draw
from pg_agents.policies import Memory
from pg_agents.policies.acting import actions_of, memory_of, tensors_of


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
