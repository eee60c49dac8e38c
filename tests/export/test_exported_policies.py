"""What is exported of a policy does what the agent does."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from support.any_space import ACTIONS, OBSERVATIONS
from support.bugs import Bug, seeded
from torch import nn

import pg_agents as pg
from benchmarks.correctness._export.beside import difference, far_from_uniform, file_runner, graph_runner
from pg_agents.export import actions, plain
from pg_agents.export.graph import Graph

BOX = Box(-1, 1, (3,))
FAR = Box(1.7e9 - 60, 1.7e9 + 60, (3,), np.float64)
ARM = Box(np.array([-2, 0]), np.array([5, 0.1]), dtype=np.float64)
EVERY_SPACE = [(observation, "discrete") for observation in OBSERVATIONS] + [("matrix", action) for action in ACTIONS]


class Wide(nn.Module):
    """An encoder of a user's, with a dict of arrays."""

    size = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 6))

    def forward(self, seen):
        return self.layers(torch.cat([seen["a"], seen["b"].float()], -1))


# name: the observation space, the action space, options of the agent, options of the export
KINDS = {
    "squashed": (BOX, ARM, {"squash": True}, {}),
    "clipped": (BOX, ARM, {}, {}),
    "normalized": (FAR, Discrete(4), {"normalize_observations": True}, {}),
    "memory": (BOX, Discrete(3), {"recurrent": 16}, {}),
    "memory-normalized": (Box(-9, 9, (3,)), ARM, {"recurrent": 8, "normalize_observations": True}, {}),
    "mask": (BOX, Discrete(4, start=-1), {}, {"action_mask": True}),
    "mask-of-choices": (BOX, MultiDiscrete([2, 3, 2], start=[0, 5, 1]), {}, {"action_mask": True}),
    "mask-of-bits": (BOX, MultiBinary(4), {}, {"action_mask": True}),
    "mask-observed": (Dict(observation=BOX, action_mask=MultiBinary(4)), Discrete(4), {}, {}),
    "mask-among-others": (Dict(x=BOX, action_mask=MultiBinary(4)), Discrete(4), {"recurrent": 8}, {}),
    "many-actions": (BOX, Discrete(40), {}, {}),
    "table": (Discrete(6, start=2), Discrete(3), {}, {"action_mask": True}),
    "relu": (BOX, Discrete(3), {"activation": "relu", "hidden": (8, 8)}, {}),
    "own-encoder": (Dict(a=BOX, b=MultiBinary(2)), Discrete(3), {"encoder": Wide}, {}),
    "tokens": (Dict(tokens=Box(0, 9, (7,), np.int64), length=Discrete(8)), Discrete(10), {}, {}),
    "pictures": (Box(0, 255, (36, 36, 3), np.uint8), Discrete(3), {}, {}),
}


def agent_of(kind, agent=pg.PPO):
    observation_space, action_space, options, _ = KINDS[kind]
    made = {name: value() if isinstance(value, type) else value for name, value in options.items()}
    return far_from_uniform(agent.for_spaces(observation_space, action_space, **made))


def check(agent, path=None, *, rows=100, samples=(False, True), **how):
    """Compare what is exported with the agent, for greedy and for sampled actions: run by torch, or as a file."""
    for sample in samples:
        graph = Graph(agent.policy, *agent.spaces, sample=sample, **how)
        if path is not None:
            agent.export(path, sample=sample, **how)
        found = difference(agent, graph, graph_runner(graph) if path is None else file_runner(path), rows=rows, steps=2)
        assert found.equal == found.observations == 2 * rows
        assert found.parameters <= 1e-5 and found.memory <= 1e-5


@pytest.mark.parametrize(("observation", "action"), EVERY_SPACE)
def test_every_space(observation, action):
    check(far_from_uniform(pg.PPO.for_spaces(OBSERVATIONS[observation], ACTIONS[action])))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy(kind):
    check(agent_of(kind), rows=20 if kind == "pictures" else 100, **KINDS[kind][3])


@pytest.mark.parametrize("name", list(pg.AGENTS))
def test_every_agent(name):
    check(far_from_uniform(pg.AGENTS[name].for_spaces(BOX, Discrete(3))))


def test_a_file_acts_as_the_agent(tmp_path):
    """One that normalises numbers near 1.7·10⁹, of which 32 bits would keep two digits less than they differ by."""
    check(agent_of("normalized"), tmp_path / "policy.onnx", samples=(False,))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_every_kind_acts_as_the_agent(kind, tmp_path):
    check(agent_of(kind), tmp_path / "p.onnx", rows=20 if kind == "pictures" else 100, **KINDS[kind][3])


@pytest.mark.slow
@pytest.mark.parametrize(("observation", "action"), EVERY_SPACE)
def test_a_file_of_every_space_acts_as_the_agent(observation, action, tmp_path):
    check(far_from_uniform(pg.PPO.for_spaces(OBSERVATIONS[observation], ACTIONS[action])), tmp_path / "p.onnx")


def test_random_numbers_are_those_of_act():
    """The same generator gives the same actions, and they are not the greedy ones."""
    agent = agent_of("many-actions")
    graph = Graph(agent.policy, *agent.spaces, sample=True)
    noise = graph.noise.draw(500, torch.Generator().manual_seed(3)).numpy()
    seen = np.zeros((500, 3), np.float32)
    drawn = graph_runner(graph)({"observation": seen, "noise": noise})["action"]
    assert np.array_equal(drawn, agent.act(seen, generator=torch.Generator().manual_seed(3))[0])
    assert len(set(drawn)) > 5


test_seeded_bugs = seeded(
    Bug(
        "noise is added without σ",
        actions.sampled,
        lambda distribution, noise: distribution.mode() + noise if noise.is_floating_point() else distribution.mode(),
        caught_by=[lambda: check(agent_of("clipped"))],
    ),
    Bug(
        "the memory does not go on",
        plain._next_memory,
        lambda layer, inputs, hidden: layer.cell(inputs, None),
        caught_by=[lambda: check(agent_of("memory"))],
    ),
)
