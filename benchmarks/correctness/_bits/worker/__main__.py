"""Train the cells with the package that PYTHONPATH names, and write each one's results as arrays.

Uses what users see and nothing else, so that it runs with commits whose modules and classes are called otherwise.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pg_agents as pg
from benchmarks.correctness._bits.worker.cells import FAMILIES, LONGEST, Cell, cells

Arrays = dict[str, np.ndarray]


def main() -> None:
    """Answer each line that asks for an agent in a family, with a line, until there are no more."""
    tree, dtype = Path(sys.argv[1]), sys.argv[2]
    if tree.resolve() not in Path(pg.__file__).resolve().parents:
        raise SystemExit(f"pg_agents is {pg.__file__}, not of {tree}")
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, dtype))
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            asked = json.loads(line)
            answer(asked, Path(asked["out"]), Path(folder))
            print("done", file=answers, flush=True)


def answer(asked: dict[str, Any], out: Path, folder: Path) -> None:
    """Train, and write cells.json and a file of arrays for each cell that was not refused."""
    found = {}
    if "llama" in asked["family"] and not (folder / "model").exists():
        make_model(folder / "model")
    for i, cell in enumerate(cells(asked["agent"], asked["family"]) if asked["agent"] in pg.AGENTS else ()):
        try:
            with tempfile.TemporaryDirectory(dir=folder) as run_dir:
                arrays = trained(cell, asked["updates"], folder, Path(run_dir) / "run")
        except Exception as error:  # of any kind: the other commit must raise the same
            found[cell.name] = {"refused": type(error).__name__, "message": str(error)}
            continue
        np.savez(out / f"{i}.npz", **arrays)  # type: ignore[arg-type]
        found[cell.name] = {"file": f"{i}.npz"}
    (out / "cells.json").write_text(json.dumps(found))


def make_model(folder: Path) -> None:
    """Write the configuration of a tiny Llama."""
    import transformers

    transformers.logging.set_verbosity_error()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    transformers.LlamaConfig(vocab_size=24, max_position_embeddings=32, **sizes, **ends).save_pretrained(folder)


def trained(cell: Cell, updates: int, folder: Path, run_dir: Path) -> Arrays:
    """Train for about `updates` updates; return parameters, metrics, actions and what an evaluation says, by name."""
    make, _, num_envs = FAMILIES[cell.family]
    env = make(num_envs)
    arguments = dict(cell.arguments)
    if "policy" in arguments:
        arguments["policy"] = arguments["policy"].format(model=folder / "model")
    torch.manual_seed(5)
    agent = pg.AGENTS[cell.agent].for_env(env, seed=1, **arguments)
    if torch.get_default_dtype() == torch.float64:
        agent.double()
    steps = cell.arguments.get("num_steps", LONGEST if "max_episode_steps" in cell.arguments else 1) or LONGEST
    total = updates * steps * num_envs
    pg.train(agent, env, total_steps=total, seed=2, log_every=1, run_dir=run_dir, progress=False)
    arrays = {f"state: {name}": array(value) for name, value in agent.state_dict().items()}
    arrays |= {f"act: {name}": value for name, value in actions(agent, make(num_envs)).items()}
    arrays |= {f"loaded: {name}": value for name, value in actions(pg.load(run_dir / "agent"), make(num_envs)).items()}
    found = pg.evaluate(agent, make(num_envs), episodes=num_envs, seed=3, max_episode_steps=LONGEST)
    return arrays | {"evaluation: returns": np.array(found.returns)} | metrics(run_dir / "metrics.jsonl")


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as numpy has it; bfloat16, which it has not, as the same numbers in float32."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


def actions(agent: Any, env: Any) -> Arrays:  # noqa: ANN401
    """Return what `act` answers to the observations that episodes begin with: greedily, then by chance."""
    observation, _ = env.reset(seed=7)
    greedy, memory = agent.act(observation, greedy=True)
    sampled, _ = agent.act(observation, memory, generator=torch.Generator().manual_seed(3))
    return {"greedy": np.asarray(greedy), "sampled": np.asarray(sampled)}


def metrics(file: Path) -> Arrays:
    """Return each column of a run's metrics, NaN where a row has none; what measures time is left out."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    names = dict.fromkeys(name for row in rows for name in row if not name.startswith("time"))
    return {f"metrics: {name}": column([row.get(name) for row in rows]) for name in names}


def column(values: list[Any]) -> np.ndarray:
    """Return numbers, or texts, as an array."""
    if any(isinstance(value, str) for value in values):
        return np.array([str(value) for value in values])
    return np.array([np.nan if value is None else value for value in values], np.float64)


main()
