"""Agents act: observations of an environment → its actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pg_agents.agents.construction import C, Constructed
from pg_agents.data.tree import Tree
from pg_agents.distributions import draw
from pg_agents.export.onnx_file import export_onnx
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
        export_onnx(self.policy, self.spaces, Path(path), agent=self.name, sample=sample, action_mask=action_mask)
