"""Our side: an agent collects and learns; its rollouts and its updates are recorded as arrays by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import pg_agents as pg
from benchmarks.correctness._parity.cells import UPDATES, Cell
from benchmarks.correctness._parity.tasks import NUM_ENVS, llama, steps_env, texts_env
from pg_agents.agents.common.advantages import generalized_advantages
from pg_agents.llm.huggingface import HuggingFacePolicy

Arrays = dict[str, NDArray[Any]]
THEIRS = {  # what Stable-Baselines3 calls the parameters of our networks
    "policy.network.0": "mlp_extractor.policy_net.0",
    "policy.network.1": "mlp_extractor.policy_net.2",
    "policy.network.2": "action_net",
    "policy.head.log_std": "log_std",
    "critic.network.0": "mlp_extractor.value_net.0",
    "critic.network.1": "mlp_extractor.value_net.2",
    "critic.network.2": "value_net",
}


class Watch:
    """Records the parts of an agent's updates.

    Args:
        agent: the agent.
        names: what the peer calls the agent's parameters, which are those that are looked at.
        advantages: what is to be compared of a rollout, before it is learned from.
    """

    def __init__(self, agent: pg.Agent, names: dict[str, str], advantages: Callable[[pg.Rollout], Tensor]) -> None:
        parameters = dict(agent.named_parameters())
        self.parameters = {theirs: parameters[ours] for ours, theirs in names.items()}
        self.agent, self.advantages = agent, advantages
        self.seen: dict[str, list[Tensor]] = {}
        self.of_surrogate = isinstance(agent, pg.TRPO)  # whose policy no optimizer moves
        if not self.of_surrogate:
            agent.flat_optimizer.optimizer.register_step_pre_hook(lambda *_: self.note_gradients())

    def note_gradients(self) -> None:
        """Append the gradients as the optimizer sees them."""
        for name, parameter in self.parameters.items():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            self.seen.setdefault(f"gradients/{name}", []).append(gradient)

    def update(self, rollout: pg.Rollout) -> None:
        """Let the agent learn, and record what it learns from."""
        self.seen.setdefault("advantages", []).append(self.advantages(rollout))
        if self.of_surrogate:
            self.note_slope(rollout)
        self.agent.update(rollout)

    def note_slope(self, rollout: pg.Rollout) -> None:
        """Append the policy's gradient of what is maximised."""
        with torch.no_grad():
            batch, _ = self.agent.prepared(rollout)
        loss, _ = self.agent(batch)
        for name, parameter in self.parameters.items():
            slope = torch.autograd.grad(-loss, parameter, retain_graph=True, materialize_grads=True)[0]
            self.seen.setdefault(f"gradients/{name}", []).append(slope)

    def arrays(self) -> Arrays:
        """Return the record, and the present parameters."""
        kept = {name: torch.stack(each).numpy() for name, each in self.seen.items()}
        return kept | {f"weights/{name}": p.detach().numpy().copy() for name, p in self.parameters.items()}


def play(cell: Cell, seed: int) -> tuple[Arrays, Arrays]:
    """Collect and learn `UPDATES` times; return the record that a peer needs to do the same, and our results."""
    torch.set_num_threads(1)
    return _texts(cell, seed) if cell.task == "texts" else _steps(cell, seed)


def _steps(cell: Cell, seed: int) -> tuple[Arrays, Arrays]:
    env = steps_env(cell.task)
    agent = pg.AGENTS[cell.agent].for_env(env, seed=seed, **cell.ours)

    def advantages(rollout: pg.Rollout) -> Tensor:
        with torch.no_grad():
            return generalized_advantages(agent.critic, rollout, agent.discount, agent.gae_lambda, normalize=False)[0]

    watch = Watch(agent, names_of(agent), advantages)
    begin = {f"initial/{name}": p.detach().numpy().copy() for name, p in watch.parameters.items()}
    orders = orders_of(agent, agent.num_steps * NUM_ENVS, agent.epochs)
    collector = pg.collect_steps(env, agent.policy, agent.num_steps, seed=seed)
    rollouts = []
    for _ in range(UPDATES):
        rollouts.append(next(collector))
        watch.update(rollouts[-1])
    return begin | record_of_steps(rollouts) | {"orders": orders}, watch.arrays()


def names_of(agent: pg.Agent) -> dict[str, str]:
    """Return what the peer calls each parameter."""
    names = {}
    for ours, _ in agent.named_parameters():
        module, _, kind = ours.rpartition(".")
        names[ours] = f"{THEIRS[module]}.{kind}" if module in THEIRS else THEIRS[ours]
    return names


def orders_of(agent: pg.Agent, count: int, epochs: int) -> NDArray[np.int64]:
    """Return the orders in which all epochs of all updates will go through what is split, int64 [E, count]."""
    ahead = torch.Generator()
    ahead.set_state(agent.generator.get_state())
    return np.stack([torch.randperm(count, generator=ahead).numpy() for _ in range(UPDATES * epochs)])


def record_of_steps(rollouts: list[pg.Rollout]) -> Arrays:
    """Return rollouts that follow one another as one record, [T, B, …] each; `final` is NaN where nothing was cut."""
    assert all(rollout.mask.all() for rollout in rollouts)
    fields = ("observations", "actions", "rewards", "terminated", "truncated")
    joined = {name: torch.cat([getattr(rollout, name) for rollout in rollouts]).numpy() for name in fields}
    finals = []
    for rollout in rollouts:
        final = torch.full_like(rollout.observations, torch.nan)
        final[tuple(rollout.final_rows.T)] = rollout.final_observations
        finals.append(final)
    return joined | {"final": torch.cat(finals).numpy()}


def _texts(cell: Cell, seed: int) -> tuple[Arrays, Arrays]:
    policy, reference = HuggingFacePolicy(llama(seed)), HuggingFacePolicy(llama(seed + 1000)).requires_grad_(False)
    arguments = dict(cell.ours)
    rows = arguments.pop("rows")
    env = texts_env(rows, arguments["group_size"])
    given = {"reference": reference} if arguments.get("kl_weight") else {}
    agent = pg.AGENTS[cell.agent](policy=policy, **given, **arguments)
    agent.generator.manual_seed(seed)
    orders = orders_of(agent, rows, 1)
    names = {f"policy.model.{name}": name for name, _ in policy.model.named_parameters()}

    def advantages(rollout: pg.Rollout) -> Tensor:
        with torch.no_grad():
            return agent.prepared(rollout)[0].advantages[0]

    watch = Watch(agent, names, advantages)
    begin = {f"initial/{name}": p.detach().numpy().copy() for name, p in watch.parameters.items()}
    begin |= {f"reference/{name}": p.numpy() for name, p in reference.model.named_parameters()}
    collector = pg.collect_episodes(env, policy, group_size=agent.group_size, seed=seed)
    rollouts = []
    for _ in range(UPDATES):
        rollouts.append(next(collector))
        watch.update(rollouts[-1])
    return begin | record_of_texts(rollouts) | {"orders": orders}, watch.arrays()


def record_of_texts(rollouts: list[pg.Rollout]) -> Arrays:
    """Return prompts and completions of every rollout, [K, B, W] each, −1 where there is none, and scores, [K, B]."""
    kept: dict[str, list[NDArray[Any]]] = {"prompts": [], "completions": [], "scores": []}
    for rollout in rollouts:
        block = rollout.observations
        starts, lengths = block.lengths[0], rollout.mask.sum(0)
        place = torch.arange(32)
        prompts = torch.full((len(starts), 32), -1)
        prompts[:, : block.tokens.shape[1]] = block.tokens
        prompts[place >= starts[:, None]] = -1
        completions = torch.full((len(starts), 32), -1)
        completions[:, : len(rollout.mask)] = torch.where(rollout.mask, rollout.actions, -1).T
        assert ((completions >= 0).sum(1) == lengths).all()
        kept["prompts"].append(prompts.numpy())
        kept["completions"].append(completions.numpy())
        kept["scores"].append((rollout.rewards * rollout.mask).sum(0).numpy())
    return {name: np.stack(each) for name, each in kept.items()}
