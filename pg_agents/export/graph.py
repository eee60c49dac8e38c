"""What is exported of a policy, as one module: arrays of observations → arrays of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from pg_agents.data.tree import Tree, tree_leaves, tree_map
from pg_agents.errors import UserError
from pg_agents.export.actions import ToEnvironment, noise_of, parameters_of, sampled
from pg_agents.export.arrays import ACTION, MEMORY, NEXT_MEMORY, NOISE, leaves_of, samples_of
from pg_agents.export.plain import plain_copy
from pg_agents.policies import Policy
from pg_agents.spaces.action_masks import MASK, mask_size, observes_mask, with_mask

ROWS = 3  # observations in a trial; torch takes a batch of 1 for a constant


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: its name.
        example: an array of it, [ROWS, …].
    """

    name: str
    example: Tensor

    def described(self) -> dict[str, Any]:
        """Return the name, the shape and the dtype in a form that JSON can write."""
        dtype = str(self.example.dtype).removeprefix("torch.")
        return {"name": self.name, "shape": ["batch", *self.example.shape[1:]], "dtype": dtype}


class Graph(nn.Module):
    """A policy from the arrays of observations to the environment's actions.

    Its inputs are the arrays of an observation, the mask, the memory and random numbers; its outputs are the actions,
    the parameters of their distribution and the memory.

    Args:
        policy: the policy, of one learner; it is copied.
        observation_space: of one environment.
        action_space: of one environment.
        sample: whether actions are drawn with the random numbers instead of taken as the most probable.
        action_mask: whether there is a mask beside the observation; one in the observation is there anyway.

    Attributes:
        inputs: in their order.
        outputs: in their order.
        noise: the random numbers that the graph takes; None: none.
        masked: whether there is a mask beside the observation.

    Raises:
        UserError: the memory is no tensor, the distribution cannot be sampled, or the actions have no masks.
        UnsupportedSpaceError: a dtype or a name that cannot be exported.
    """

    @torch.no_grad()
    def __init__(
        self,
        policy: Policy,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        sample: bool = False,
        action_mask: bool = False,
    ) -> None:
        super().__init__()
        self.policy, self.sample = plain_copy(policy), sample
        self.form, self.to_environment = leaves_of(observation_space), ToEnvironment(action_space)
        self.masked = action_mask and not observes_mask(observation_space)
        self.inputs = _ports_of(self.form) + ([_mask_of(action_space)] if self.masked else [])
        memory = _memory_of(policy, self.observation(self.example))
        self.remembers, self.noise = memory is not None, None
        self.inputs += [] if memory is None else [Port(MEMORY, memory)]
        distribution = self.distribution(self.example)[0]
        if sample:
            self.noise = noise_of(distribution)
            self.inputs.append(Port(NOISE, self.noise.draw(ROWS, torch.Generator().manual_seed(0))))
        found = parameters_of(distribution)
        names = [ACTION, *([] if found is None else [found[0]]), *([NEXT_MEMORY] if self.remembers else [])]
        self.outputs = [Port(*pair) for pair in zip(names, self(*self.example), strict=True)]

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Arrays for all inputs."""
        return tuple(port.example for port in self.inputs)

    def observation(self, inputs: Any) -> Tree:  # noqa: ANN401
        """Return the observations, with their mask, as a policy takes them."""
        arrays = iter(inputs)
        seen = tree_map(lambda leaf: leaf.as_seen(next(arrays)), self.form)
        return with_mask(seen, next(arrays)) if self.masked else seen

    def distribution(self, inputs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """Return the distributions for the arrays of the inputs, and the memory after them."""
        memory = inputs[-2 if self.noise else -1] if self.remembers else None
        return self.policy.step(self.observation(inputs), memory)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the arrays of the outputs for those of the inputs."""
        distribution, memory = self.distribution(inputs)
        taken = sampled(distribution, inputs[-1]) if self.sample else distribution.mode()
        action = self.to_environment(self.policy.unscale_action(taken))
        found = parameters_of(distribution)
        return action, *([] if found is None else [found[1]]), *([memory] if self.remembers else [])


def _ports_of(form: Tree) -> list[Port]:
    names = (leaf.name for leaf in tree_leaves(form))
    return [Port(*pair) for pair in zip(names, samples_of(form, ROWS), strict=True)]


def _mask_of(action_space: gym.Space) -> Port:
    """Return the input for a mask that stands beside the observation."""
    entries = mask_size(action_space)
    if entries is None:
        raise UserError(f"action_mask: {action_space} has no masks; leave it out")
    return Port(MASK, torch.ones(ROWS, entries, dtype=torch.bool))


def _memory_of(policy: Policy, observation: Tree) -> Tensor | None:
    """Return the memory at the start of an episode, zeros [ROWS, …]; None for a policy without one."""
    if not policy.recurrent:
        return None
    device = next(policy.parameters()).device
    memory = policy.step(tree_map(lambda leaf: leaf.to(device), observation), None)[1]
    if isinstance(memory, Tensor) and len(memory) == ROWS:
        return torch.zeros_like(memory, device="cpu")
    name = type(policy).__name__
    raise UserError(f"policy: the memory of {name} is not one tensor [B, …], so it cannot be exported")
