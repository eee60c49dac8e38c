"""How a run was made, as its config.json has it."""

from __future__ import annotations

from typing import Any

import torch

from pg_agents.training.checkpointing import Saving
from pg_agents.training.run import Run


def config_of(run: Run, saving: Saving) -> dict[str, Any]:
    """Return what the run is: the agent with its arguments, the environment, the plan, and what computes it."""
    agent, adapter = run.agent, run.collector.adapter
    return {
        "agent": agent.name,
        "env": adapter.name,
        "num_envs": run.num_envs,
        "ranks": run.ranks.count,
        "shard": agent.flat_optimizer.shares_out,
        "total_steps": run.total_steps,
        **{name: getattr(run.plan, name) for name in ("seed", "log_every", "stop_return", "step_timeout")},
        "eval_every": run.evaluations.every if run.evaluations.env is not None else None,
        "eval_episodes": run.evaluations.episodes,
        "checkpoint_every": saving.every.text,
        "keep_checkpoints": saving.keep,
        "track": saving.track,
        "arguments": agent.arguments,
        "networks": agent.networks,
        "parameters": sum(parameter.numel() for parameter in agent.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
