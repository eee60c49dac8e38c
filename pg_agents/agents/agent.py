"""What an agent is: networks, an optimizer, and a loss that is a pure function of (parameters, batch)."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from pg_agents.agents.hyperparameters import OPTIMIZERS, OptimizerName, check_hyperparameters
from pg_agents.agents.saving import save_agent
from pg_agents.normalize import RewardScale
from pg_agents.numbers import whole_number
from pg_agents.policies import ActionCritic, Critic, Memory, Policy, make_networks
from pg_agents.rollout import Batch, Episodes, Rollout, Steps
from pg_agents.spaces import action_door, spaces_of
from pg_agents.tree import Tree, tree_map

Metrics = dict[str, Tensor]
COUPLING = ("max_grad_norm", "normalize_advantages", "normalize_rewards")  # by statistics of the whole batch


class Agent(nn.Module, ABC):
    """A policy that learns from rollouts.

    A subclass is its algorithm: `prepare` turns a rollout into what the loss needs (returns, advantages, weights) and
    `forward` is the loss. Every constructor argument but the networks is also an attribute of the same name.

    Args:
        policy: π_θ.
        critic: V_ψ or Q_ψ, or None.
        learning_rate: α of the policy.
        critic_learning_rate: β of the critic; None: the same as the policy's.
        max_grad_norm: the gradient is scaled down to this norm where it is longer; None: never.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        optimizer: "adam" or "sgd".
    """

    name: ClassVar[str]  # on the command line and in files
    suited: ClassVar[dict[str, dict[str, Any]]] = {}  # defaults of `for_env` for a kind of policy
    action_values: ClassVar[bool] = False  # whether its critic is Q(s,·) instead of V(s)
    continuing: ClassVar[bool] = False  # whether it learns from tasks that never terminate, and from no others
    critic: Any  # V_ψ or Q_ψ, as the subclass's constructor says, or None

    def __init__(
        self,
        policy: Policy,
        critic: Critic | ActionCritic | None,
        *,
        learning_rate: float,
        critic_learning_rate: float | None = None,
        discount: float,
        max_grad_norm: float | None,
        normalize_rewards: bool,
        optimizer: OptimizerName,
    ) -> None:
        super().__init__()
        self.policy, self.critic = policy, critic
        self.learning_rate, self.critic_learning_rate = learning_rate, critic_learning_rate
        self.discount, self.max_grad_norm = discount, max_grad_norm
        self.normalize_rewards, self.optimizer = normalize_rewards, optimizer
        self.reward_scale = RewardScale(discount) if normalize_rewards else None
        self.spaces: tuple[Any, Any] | None = None
        self.networks: dict[str, Any] = {}
        self.check()
        groups: list[dict[str, Any]] = [{"params": list(policy.parameters()), "lr": learning_rate}]
        if critic is not None:
            groups.append({"params": list(critic.parameters()), "lr": critic_learning_rate or learning_rate})
        fused = {"fused": True} if optimizer == "adam" else {}
        self.optim = OPTIMIZERS[optimizer](groups, **fused)

    # -- what a subclass writes --------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def cadence(self) -> Steps | Episodes:
        """What the agent learns from: so many steps of each environment, or whole episodes."""

    @abstractmethod
    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Return what the loss needs, computed from a rollout without gradients, and metrics."""

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Return the loss, Σ weights · term, and its parts."""

    # -- learning ----------------------------------------------------------------------------------------------------
    def update(self, rollout: Rollout) -> Metrics:
        """Learn from one rollout and return metrics: scalars by name.

        Raises:
            FloatingPointError: the gradient is not finite; the parameters are as they were.
        """
        if not rollout.mask.any():
            return {}  # no decision was taken: nothing to learn from
        if not math.isfinite(rollout.rewards.sum()):
            raise self._not_finite("a reward")
        with torch.no_grad():
            batch, metrics = self.prepare(self._scaled(rollout))
        return metrics | self.improve(batch)

    def improve(self, batch: Batch) -> Metrics:
        """Take one step down the gradient of the loss of `batch`."""
        loss, metrics = self(batch)
        self.optim.zero_grad()
        loss.backward()
        norm = self._clip()
        if not math.isfinite(norm):
            raise self._not_finite("the gradient")
        self.optim.step()
        return metrics | {"grad_norm": norm}

    def _not_finite(self, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"{what} of {type(self).__name__} is not finite; if the environment's rewards are, a smaller learning_rate "
            f"(now {self.learning_rate}) or max_grad_norm (now {self.max_grad_norm}) may help"
        )

    def _clip(self) -> Tensor:
        """Scale the gradient down to `max_grad_norm` where it is longer; return its norm as it was."""
        if self.max_grad_norm is not None:
            return nn.utils.clip_grad_norm_(self.parameters(), self.max_grad_norm)
        return nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None])

    def _scaled(self, rollout: Rollout) -> Rollout:
        return rollout if self.reward_scale is None else self.reward_scale(rollout)

    # -- acting ------------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def act(
        self,
        observation: Tree,
        memory: Memory = None,
        *,
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Memory]:
        """Return an action for one observation as a single environment gives it, and the memory for the next call.

        Args:
            observation: of one environment.
            memory: what the last call returned; None at the start of an episode.
            greedy: take the most probable action instead of sampling one.
            generator: to sample with; None: torch's default.
        """
        device = next(self.policy.parameters()).device
        batch = tree_map(lambda leaf: torch.as_tensor(leaf, device=device)[None], observation)
        distribution, memory = self.policy.step(batch, memory)
        action = distribution.mode() if greedy else distribution.sample(generator)
        if self.spaces is None:
            return action[0].numpy(force=True), memory
        return action_door(self.spaces[1])(action)[0], memory

    def save(self, path: str | Path) -> None:
        """Write the agent to the folder `path`: its arguments and spaces as JSON, its parameters as safetensors.

        What it takes to act and to be evaluated is there; the optimizer's state is not.
        """
        save_agent(self, Path(path))

    # -- making ------------------------------------------------------------------------------------------------------
    @classmethod
    def for_env(cls, env: Any, *, seed: int = 0, num_learners: int = 1, **arguments: Any) -> Self:  # noqa: ANN401
        """Return an agent with networks that suit the environment's spaces; `arguments` are the constructor's.

        Args:
            env: any Gymnasium environment, single or vector.
            seed: of the initial parameters; torch's global generator is left as it is.
            num_learners: 1, or the number of environments: an independent learner in each (finite problems only).
            **arguments: the constructor's; `hidden=(64, 64)` sets the sizes of the hidden layers.

        Raises:
            UnsupportedSpaceError: for spaces without a network.
            ValueError: for arguments out of range.
        """
        return cls.for_spaces(*spaces_of(env), seed=seed, num_learners=num_learners, **arguments)

    @classmethod
    def for_spaces(
        cls,
        observation_space: Any,  # noqa: ANN401
        action_space: Any,  # noqa: ANN401
        *,
        seed: int = 0,
        num_learners: int = 1,
        hidden: tuple[int, ...] | None = None,
        **arguments: Any,  # noqa: ANN401
    ) -> Self:
        """Return an agent with networks that suit the spaces of one environment; see `for_env`."""
        networks: dict[str, Any] = {"num_learners": num_learners, "hidden": hidden}
        needed = cls.needs_critic(arguments)
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(whole_number("seed", seed))
            policy, critic = make_networks(
                observation_space, action_space, critic=needed, action_values=cls.action_values, **networks
            )
        arguments = cls.suited.get(type(policy).__name__, {}) | arguments
        if needed:
            arguments["critic"] = critic
        agent = cls(policy=policy, **arguments)
        agent.spaces, agent.networks = (observation_space, action_space), networks
        return agent

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of the constructor's hyperparameters."""
        return [name for name in inspect.signature(cls).parameters if name not in ("policy", "critic")]

    @property
    def arguments(self) -> dict[str, Any]:
        """The hyperparameters, by the names of the constructor's arguments."""
        return {name: getattr(self, name) for name in self.argument_names()}

    @classmethod
    def needs_critic(cls, arguments: dict[str, Any]) -> bool:
        """Return whether an agent with these constructor arguments has a critic."""
        return "critic" in inspect.signature(cls).parameters

    def check(self) -> None:
        """Raise ValueError for a hyperparameter that is out of range; a constructor that adds some calls it again."""
        check_hyperparameters(vars(self))
        coupled = [name for name in COUPLING if getattr(self, name, None)]
        if self.policy.num_learners > 1 and coupled:
            raise ValueError(
                f"{coupled[0]} would couple the {self.policy.num_learners} independent learners: leave it off"
            )


def check_spaces(agent: Agent, env: Any) -> None:  # noqa: ANN401
    """Raise ValueError where an environment's spaces are not those the agent was made for."""
    if agent.spaces is None:
        return
    for name, mine, theirs in zip(("observation", "action"), agent.spaces, spaces_of(env), strict=True):
        if mine != theirs:
            raise ValueError(f"env: its {name} space is {theirs}, the agent was made for {mine}; use for_env(env)")
