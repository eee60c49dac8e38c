"""Policies as files in the ONNX format, which run without this package and without torch."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from pg_agents.errors import NotSavedError, UserError
from pg_agents.export.actions import parameters_of
from pg_agents.export.graph import Graph, Port
from pg_agents.extras import install_line
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.policies import Policy
from pg_agents.shown import shown
from pg_agents.spaces.conversion import space_to_json

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
TOLERANCE = 1e-4  # of numbers in 32 bits, relative to the largest of them


def export_onnx(
    policy: Policy,
    made_for: tuple[gym.Space, gym.Space] | None,
    path: Path,
    *,
    agent: str,
    **how: Any,  # noqa: ANN401
) -> None:
    """Write a policy with all that acting needs to the file `path`, and compare what the file returns with the policy.

    Args:
        policy: the policy.
        made_for: the observation and the action space of one environment; None: unknown.
        path: the file; one that is there is replaced once the new one is complete.
        agent: the agent's name, for the metadata.
        **how: `sample` and `action_mask` of a `Graph`.

    Raises:
        UserError: a package is missing, the policy is one that cannot be exported, or torch cannot export it.
        NotSavedError: the file cannot be written.
    """
    import pg_agents  # here: the package imports this module

    _check(policy, made_for)
    _check_packages()
    assert made_for is not None
    about = {"agent": agent, "pg_agents": pg_agents.__version__}
    if path.is_dir():
        raise NotSavedError(f"path: {path} cannot be written (it is a folder); give another")
    graph = Graph(policy, *made_for, **how)
    model = _with_texts(_translated(graph), graph, made_for, about)
    content = model.SerializeToString()
    _compare(content, graph, policy)
    _write(path, content)


def _check(policy: Policy, made_for: tuple[gym.Space, gym.Space] | None) -> None:
    """Raise UserError for a policy that no file can hold."""
    if isinstance(policy, HuggingFacePolicy):
        raise UserError(
            "policy: a language model is not exported as one file; agent.save_pretrained(PATH) writes a folder that "
            "transformers loads"
        )
    if policy.num_learners > 1:
        count = policy.num_learners
        raise UserError(
            f"policy: it is of {count} independent learners; export one of them: agent.learner(0).export(…)"
        )
    if made_for is None:
        raise UserError(
            "policy: the agent was made of networks of your own and has learned in no environment, so its spaces are "
            "unknown; set agent.spaces = (env.observation_space, env.action_space) before"
        )


def _check_packages() -> None:
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(f"export needs {name}, which is not installed: {install_line(name)}") from error


def _translated(graph: Graph) -> Any:  # noqa: ANN401
    """Return the graph as ONNX has it."""
    batch = torch.export.Dim("batch", min=1)
    axes = tuple({0: batch} for _ in graph.inputs)
    names: dict[str, Any] = {
        "input_names": [port.name for port in graph.inputs],
        "output_names": [port.name for port in graph.outputs],
    }
    try:
        with torch.no_grad(), _silence():
            made = torch.onnx.export(
                graph, graph.example, dynamo=True, dynamic_shapes=(axes,), opset_version=OPSET, verbose=False, **names
            )
    except Exception as error:  # any kind: torch raises its own for each of its parts
        kind = type(graph.policy).__name__
        raise UserError(f"policy: torch cannot export this {kind}: {shown(error, 300)}") from error
    assert made is not None
    return made.model_proto


@contextlib.contextmanager
def _silence() -> Any:  # noqa: ANN401
    """A context in which torch's exporter prints and warns of nothing: what is wrong, it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _with_texts(model: Any, graph: Graph, made_for: tuple[gym.Space, gym.Space], about: dict[str, str]) -> Any:  # noqa: ANN401
    """Return the model with its metadata."""
    import onnx

    texts = about | {
        "action": "sampled" if graph.sample else "greedy",
        "observation_space": json.dumps(space_to_json(made_for[0])),
        "action_space": json.dumps(space_to_json(made_for[1])),
        "inputs": json.dumps([_described(port, graph) for port in graph.inputs]),
        "outputs": json.dumps([port.described() for port in graph.outputs]),
    }
    for name, text in texts.items():
        model.metadata_props.append(onnx.StringStringEntryProto(key=name, value=text))
    return model


def _described(port: Port, graph: Graph) -> dict[str, Any]:
    """Return what the metadata say of an input."""
    found = port.described()
    if graph.noise is not None and port is graph.inputs[-1]:
        found["distribution"] = graph.noise.kind
    return found


def _compare(content: bytes, graph: Graph, policy: Policy) -> None:
    """Raise UserError if what onnxruntime computes is not what the policy does, for a few observations and for one."""
    import onnxruntime

    acting = policy if policy.recurrent else graph.policy  # the former for what it takes None for: a memory of zeros
    device = next(acting.parameters()).device
    for rows in (len(graph.example[0]), 1):
        arrays = {port.name: port.example[:rows].numpy() for port in graph.inputs}
        try:
            session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            found = session.run(None, arrays)
        except Exception as error:  # any kind: onnxruntime has its own for each code
            raise UserError(f"policy: onnxruntime cannot run what torch exported: {shown(error, 300)}") from error
        inputs = [torch.from_numpy(array).to(device) for array in arrays.values()]
        with torch.no_grad():
            known = parameters_of(acting.step(graph.observation(inputs), None)[0])
        if known is not None:
            _check_close(found[1], known[1].numpy(force=True), type(policy).__name__)


def _check_close(found: NDArray[Any], expected: NDArray[Any], name: str) -> None:
    finite = np.isfinite(expected)
    largest = np.abs(expected[finite]).max(initial=1.0)
    same = found.shape == expected.shape and (np.isfinite(found) == finite).all()
    if not same or np.abs(found[finite] - expected[finite]).max(initial=0.0) > TOLERANCE * largest:
        raise UserError(f"policy: onnxruntime computes something else than this {name}, so no file was written")


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            new.write_bytes(content)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        said = NotSavedError(f"path: {path} cannot be written ({error.strerror}); give another")
        said.errno = error.errno
        raise said from error
