"""An agent beside what is exported of it: the same observations, memories, masks and random numbers for both."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from pg_agents.agents import Agent
from pg_agents.data.tree import Tree, tree_leaves, tree_map
from pg_agents.export.actions import parameters_of
from pg_agents.export.graph import Graph
from pg_agents.policies import is_token_window
from pg_agents.policies.acting import tensors_of
from pg_agents.spaces.action_masks import MASK, mask_size, observes_mask, with_mask

Arrays = dict[str, NDArray[Any]]
Runner = Callable[[Arrays], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class Difference:
    """How far two policies are apart.

    Attributes:
        observations: how many were compared.
        equal: on how many the actions were equal, within 1e-5 for real numbers.
        parameters: the largest difference of a parameter of the distributions.
        memory: the largest difference of a number in the memories; 0 without one.
    """

    observations: int
    equal: int
    parameters: float
    memory: float


def far_from_uniform(agent: Agent, seed: int = 0) -> Agent:
    """Return the agent with other parameters, so that its actions differ, and a normalisation of what it could see."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            width = max(1, parameter[0].numel()) if parameter.ndim else 1
            parameter += torch.randn(parameter.shape, generator=generator) * 0.5 / width**0.5
    assert agent.spaces is not None
    seen = tensors_of(batch_of(agent.spaces[0], 500, seed), agent.spaces, torch.device("cpu"))[0]
    for scale in agent.observation_scales:
        scale.update(tree_map(lambda leaf: leaf[None], seen), torch.ones(1, 500, dtype=torch.bool))
    return agent


def batch_of(space: gym.Space, rows: int, seed: int = 0) -> Tree:
    """Return observations drawn from a space, [rows, …]; each mask allows its first entries."""
    source = copy.deepcopy(space)
    source.seed(seed)
    drawn = (source.sample() for _ in range(rows))
    batch = tree_map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *drawn)
    if isinstance(batch, dict) and MASK in batch:
        batch[MASK][:, 0] = 1
    if is_token_window(space):
        batch["length"] = batch["length"].clip(1)  # nobody acts on an empty text
    return batch


def graph_runner(graph: Graph) -> Runner:
    """Return what runs the module that is exported, in torch."""
    outputs = [port.name for port in graph.outputs]

    @torch.no_grad()
    def run(arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        found = graph(*(torch.from_numpy(arrays[port.name]) for port in graph.inputs))
        return dict(zip(outputs, (tensor.numpy() for tensor in found), strict=True))

    return run


def file_runner(content: Any) -> Runner:  # noqa: ANN401
    """Return what runs an exported file in onnxruntime, given its path or its bytes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return lambda arrays: dict(zip(outputs, session.run(None, arrays), strict=True))


def difference(agent: Agent, graph: Graph, run: Runner, *, rows: int, steps: int = 1, seed: int = 0) -> Difference:
    """Return how what is exported differs from the agent, on `rows` observations in each of `steps` steps.

    Args:
        agent: the agent.
        graph: what is exported, for its inputs.
        run: runs it.
        rows: observations of a step.
        steps: steps, with the memory of the one before.
        seed: of observations, masks and random numbers.
    """
    assert agent.spaces is not None
    memory: Any = None
    kept = np.zeros((rows, 0)) if not graph.remembers else np.zeros((rows, graph.outputs[-1].example.shape[-1]))
    kept, equal, worst, apart = kept.astype(np.float32), 0, 0.0, 0.0
    for step in range(steps):
        seen, arrays = observed(agent, graph, rows, seed + step)
        if graph.remembers:
            arrays["memory"] = kept
        how: dict[str, Any] = {"greedy": True}
        if graph.noise is not None:
            arrays["noise"] = graph.noise.draw(rows, torch.Generator().manual_seed(seed)).numpy()
            how = {"generator": torch.Generator().manual_seed(seed)}
        expected = parameters_before(agent, seen, memory)
        actions, memory = agent.act(seen, memory, **how)
        found = run(arrays)
        equal += _equal(found["action"], actions)
        if expected is not None:
            worst = max(worst, _largest(found[expected[0]], expected[1]))
        if graph.remembers:
            kept, apart = found["next_memory"], max(apart, _largest(found["next_memory"], memory.numpy()))
    return Difference(rows * steps, equal, worst, apart)


def observed(agent: Agent, graph: Graph, rows: int, seed: int) -> tuple[Tree, Arrays]:
    """Return a batch of observations as the agent takes it, and as what is exported does."""
    assert agent.spaces is not None
    seen = batch_of(agent.spaces[0], rows, seed)
    arrays = dict(zip((port.name for port in graph.inputs), tree_leaves(seen), strict=False))
    random = np.random.default_rng(seed)
    if observes_mask(agent.spaces[0]):
        seen[MASK][:, 1:] = random.random(seen[MASK][:, 1:].shape) < 0.5
    if graph.masked:
        masks = random.random((rows, mask_size(agent.spaces[1]) or 0)) < 0.5
        seen, arrays[MASK] = with_mask(seen, masks), masks
    return seen, arrays


@torch.no_grad()
def parameters_before(agent: Agent, seen: Tree, memory: Any) -> tuple[str, NDArray[Any]] | None:  # noqa: ANN401
    """Return the parameters of the agent's distributions and their name."""
    batch, _ = tensors_of(seen, agent.spaces, torch.device("cpu"))
    found = parameters_of(agent.policy.step(batch, memory)[0])
    return None if found is None else (found[0], found[1].numpy())


def _equal(found: NDArray[Any], actions: NDArray[Any]) -> int:
    """Return on how many observations the actions are equal; their shapes and dtypes must be."""
    assert found.shape == actions.shape and found.dtype == actions.dtype, (found.dtype, actions.dtype)
    apart = found.astype(np.float64) - actions
    limit = 1e-5 * np.maximum(1, np.abs(actions)) if actions.dtype.kind == "f" else 0
    return int((np.abs(apart) <= limit).reshape(len(actions), -1).all(1).sum())


def _largest(found: NDArray[Any], expected: NDArray[Any]) -> float:
    finite = np.isfinite(expected)
    assert found.shape == expected.shape and (np.isfinite(found) == finite).all()
    return float(np.abs(found[finite] - expected[finite]).max(initial=0.0))
