"""What every agent comes to in a few updates, kept in tests/fixtures/kept_values.json: how it was made.

    git worktree add --detach ../before a33fc44
    PYTHONPATH=../before:../before/envs python tests/agents/kept_values.py
    git worktree remove ../before

a33fc44 is the commit before agents became pages. Only what has not changed its name since is used here.
"""

import json
import tempfile
from pathlib import Path

import gymnasium as gym
import pg_envs  # noqa: F401 - registers the ids, which version 0.1 did not do by itself
import torch

import pg_agents as pg

FILE = Path(__file__).parents[1] / "fixtures" / "kept_values.json"
FAMILIES = {  # environment, options of networks and agents
    "mlp": ("CartPole-v1", {"hidden": (8,)}),
    "box": ("Pendulum-v1", {"hidden": (8,), "normalize_observations": True}),
    "gru": ("CartPole-v1", {"recurrent": 6}),
    "table": ("pg/GridWorld-v0", {}),
    "reference": ("pg/GridWorld-v0", {"kl_weight": 0.1, "entropy_weight": 0.02, "normalize_rewards": True}),
}
AGENTS = {  # updates, and options that keep them small
    "reinforce": (3, {"max_episode_steps": 12}),
    "reinforce-baseline": (3, {"max_episode_steps": 12}),
    "actor-critic": (5, {"num_steps": 3}),
    "a2c": (4, {"num_steps": 6}),
    "ppo": (2, {"num_steps": 8, "epochs": 2, "minibatch_size": 16}),
    "grpo": (2, {"max_episode_steps": 12, "epochs": 2, "minibatch_size": 32}),
    "rloo": (3, {"max_episode_steps": 12}),
    "trpo": (2, {"num_steps": 8, "epochs": 2, "minibatch_size": 16}),
    "npg": (2, {"num_steps": 8, "epochs": 2, "minibatch_size": 16}),
}
CASES = [(agent, family) for agent in AGENTS for family in FAMILIES if family != "reference" or agent[0] not in "tn"]
CASES.append(("average-reward", "continuing"))
ROWS = 4  # environments


def values_of(name, family):
    """Return numbers of the agent after a few updates: of each parameter Σ θ and Σ |θ|, and of the last metrics."""
    if family == "continuing":
        env_id, options, updates = "pg/TwoStateMDP-v0", {}, 20
    else:
        (env_id, options), (updates, own) = FAMILIES[family], AGENTS[name]
        options = options | own
    env = gym.make_vec(env_id, ROWS, vectorization_mode="sync")
    agent = pg.AGENTS[name].for_env(env, seed=1, **options)
    steps = updates * ROWS * options.get("num_steps", options.get("max_episode_steps", 1))
    with tempfile.TemporaryDirectory() as folder:
        pg.train(agent, env, total_steps=steps, seed=2, run_dir=Path(folder) / "run", log_every=1, progress=False)
        rows = [json.loads(line) for line in (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()]
    kept = {
        part: [float(value.double().sum()), float(value.double().abs().sum())]
        for part, value in agent.state_dict().items()
    }
    metrics = {key: value for key, value in rows[-1].items() if key.startswith("train/")}
    return kept | metrics


if __name__ == "__main__":
    torch.set_num_threads(1)
    FILE.write_text(
        json.dumps({f"{name} {family}": values_of(name, family) for name, family in CASES}, indent=1) + "\n"
    )
