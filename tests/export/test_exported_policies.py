"""What is exported of a policy does what the agent does."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from support.any_space import ACTIONS, OBSERVATIONS
from support.bugs import Bug, seeded

import pg_agents as pg
from benchmarks.correctness._export.beside import difference, far_from_uniform, file_runner, graph_runner
from benchmarks.correctness._export.kinds import KINDS
from pg_agents.export import actions, plain
from pg_agents.export.graph import Graph

EVERY_SPACE = [(observation, "discrete") for observation in OBSERVATIONS] + [("matrix", action) for action in ACTIONS]


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
    check(KINDS[kind].agent(), rows=20 if kind == "pictures" else 100, **KINDS[kind].how)


@pytest.mark.parametrize("name", list(pg.AGENTS))
def test_every_agent(name):
    check(far_from_uniform(pg.AGENTS[name].for_spaces(Box(-1, 1, (3,)), Discrete(3))))


def test_a_file_acts_as_the_agent(tmp_path):
    """One that normalises numbers near 1.7·10⁹, of which 32 bits would keep two digits less than they differ by."""
    check(KINDS["observations near 1.7e9, standardised"].agent(), tmp_path / "policy.onnx", samples=(False,))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_every_kind_acts_as_the_agent(kind, tmp_path):
    check(
        KINDS[kind].agent(),
        tmp_path / "p.onnx",
        samples=(True,),
        rows=20 if kind == "pictures" else 100,
        **KINDS[kind].how,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("observation", "action"), EVERY_SPACE)
def test_a_file_of_every_space_acts_as_the_agent(observation, action, tmp_path):
    check(
        far_from_uniform(pg.PPO.for_spaces(OBSERVATIONS[observation], ACTIONS[action])),
        tmp_path / "p.onnx",
        samples=(False,),
    )


def test_random_numbers_are_those_of_act():
    """The same generator gives the same actions, and they are not the greedy ones."""
    agent = KINDS["40 actions"].agent()
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
        caught_by=[(test_every_kind_of_policy, "Box actions, clipped")],
    ),
    Bug(
        "the memory does not go on",
        plain._next_memory,
        lambda layer, inputs, hidden: layer.cell(inputs, None),
        caught_by=[(test_every_kind_of_policy, "memory")],
    ),
)
