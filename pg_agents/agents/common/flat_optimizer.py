"""Optimizers that work on a few long vectors instead of many small parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from pg_agents._fast.adam_steps import take_step
from pg_agents._fast.flat_vectors import in_one_vector, join_state, lay_out, part_moment, plain_lay_out
from pg_agents.agents.common.clipping import clip, clip_each, gradients_of
from pg_agents.agents.common.learner_steps import have_met, step_of_learners
from pg_agents.agents.common.optimizers import ADAM_EPSILON, OPTIMIZERS, OptimizerName
from pg_agents.data.shares import Ranks

ALL_FROZEN = "policy, critic: every parameter is frozen (requires_grad is False); there is nothing to learn"
State = dict[str, Any]  # an optimizer's moments and step count of a tensor


class FlatOptimizer:
    """A torch optimizer for the parameters of modules, laid out as vectors.

    Small parameters become views of a vector (`lay_out`); those that differ in dtype, device or steps taken become
    views of different vectors. Frozen parameters are left out. Parameters that were moved, replaced, frozen or unfrozen
    are noticed and laid out again; each keeps its moments, also while it is frozen.

    Of several learners the vectors are matrices, [L, P]: a learner's gradient is scaled by its own norm, and learners
    may take no step, or have step sizes of their own (`learner_steps`).

    Args:
        name: "adam", "rmsprop" or "sgd".
        *modules: each module's parameters form a group with a learning rate; shared ones belong to the first module.
        together: make one group of all parameters.
        epsilon: ε of Adam: a step is α m̂ / (√v̂ + ε). RMSprop's is 1e-5.
        num_learners: L; parameters are [L, …] if there are several.
    """

    shares_out = False  # whether other processes hold a part of the parameters while they learn
    learning = nullcontext  # the context in which parameters learn, of whichever ranks: there is nothing to prepare

    def __init__(
        self,
        name: OptimizerName,
        *modules: nn.Module | None,
        together: bool = False,
        epsilon: float = ADAM_EPSILON,
        num_learners: int = 1,
    ) -> None:
        self.num_learners, self.apart = num_learners, False  # apart: learners have taken different numbers of steps
        self.modules, self.together = [module for module in modules if module is not None], together
        self.groups = self._groups()
        self.members: dict[Tensor, list[nn.Parameter]] = {}  # the parameters in each vector, in order
        self.asleep: dict[nn.Parameter, State] = {}  # of frozen parameters
        options = {"eps": epsilon} if name == "adam" else {}
        laid_out = [{"params": self._lay_out(group, {})} for group in self.groups]
        self.optimizer = OPTIMIZERS[name](laid_out, lr=1.0, **options)
        self._remember(self.groups)

    def refresh(self) -> None:
        """Lay the parameters out again if any was moved, replaced, frozen or unfrozen."""
        groups = self._groups()
        if self._places(groups) == self.places:
            return
        states = self.asleep | self._states()
        self.asleep = {p: states[p] for group in groups for p in group if p in states and not p.requires_grad}
        self.groups, self.members = groups, {}
        self.optimizer.state.clear()
        for group, parameters in zip(self.optimizer.param_groups, groups, strict=True):
            group["params"] = self._lay_out(parameters, states)
            self._give(group["params"], states)
        self._remember(groups)

    def get_state(self, names: Mapping[nn.Parameter, str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what the optimizer remembers, as tensors "NAME/MOMENT", and how parameters are laid out.

        Args:
            names: of the parameters.
        """
        self.refresh()  # as the next step would
        states = self.asleep | self._states()
        moments = {
            f"{names[parameter]}/{moment}": torch.as_tensor(value)
            for parameter, state in states.items()
            for moment, value in state.items()
        }
        groups = []
        for group in self.optimizer.param_groups:
            members = [self.members[vector] for vector in group["params"]]
            flat = [vector is not some[0] for vector, some in zip(group["params"], members, strict=True)]
            vectors = [{"members": [names[p] for p in m], "flat": f} for m, f in zip(members, flat, strict=True)]
            groups.append({"learning_rate": torch.as_tensor(group["lr"]).tolist(), "vectors": vectors})
        return moments, {"groups": groups, "asleep": [names[parameter] for parameter in self.asleep]}

    def set_state(
        self, parameters: Mapping[str, nn.Parameter], moments: Mapping[str, Tensor], layout: Mapping[str, Any]
    ) -> None:
        """Remember what `get_state` has returned, and lay the parameters out as they were: steps have equal bits.

        Args:
            parameters: by name, frozen where they were frozen.
            moments: as returned by `get_state`.
            layout: likewise.

        Raises:
            LookupError: a parameter that there is not.
            ValueError: another number of groups.
        """
        states: dict[nn.Parameter, State] = {}
        for name, value in moments.items():
            owner, _, moment = name.rpartition("/")
            states.setdefault(parameters[owner], {})[moment] = value
        self.asleep = {parameters[name]: states.get(parameters[name], {}) for name in layout["asleep"]}
        self.groups, self.members = self._groups(), {}
        self.optimizer.state.clear()
        for group, wanted in zip(self.optimizer.param_groups, layout["groups"], strict=True):
            vectors: dict[Tensor, list[nn.Parameter]] = {}
            for vector in wanted["vectors"]:
                members = [parameters[name] for name in vector["members"]]
                vectors |= (in_one_vector if vector["flat"] else plain_lay_out)(members, self.num_learners)
            rate = wanted["learning_rate"]
            group["lr"] = torch.tensor(rate, dtype=torch.float64) if isinstance(rate, list) else rate
            group["params"] = list(vectors)
            self.members |= vectors
            self._give(group["params"], states)
        self._remember(self.groups)

    def set_learning_rates(self, rates: Sequence[float | Tensor]) -> None:
        """Set the learning rate of each group, or those of its learners, [L]; there may be more rates than groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate

    def step(
        self,
        loss: Tensor,
        max_norm: float | Tensor | None,
        steps: Tensor | None = None,
        ranks: Ranks | None = None,
    ) -> float | Tensor:
        """Take one step down the gradient of `loss`, scaled down to `max_norm`; return its norm before scaling.

        If the gradient is not finite no step is taken, and the returned norm is not finite.

        Args:
            loss: a scalar; of several learners the sum of their losses.
            max_norm: of the gradient, or of each learner's, of which [L] may differ; None: no limit.
            steps: which learners take a step, bool [L]; None: all.
            ranks: the processes of whose losses the sum is meant; None: this one alone.

        Returns:
            the norm; of several learners theirs, [L].

        Raises:
            ValueError: every parameter is frozen.
        """
        if self._have_moved():
            self.refresh()
        if not self.members:
            raise ValueError(ALL_FROZEN)
        for vector in self.members:
            if vector.grad is not None:
                vector.grad.zero_()
        loss.backward()
        clipped: Any = clip if self.num_learners == 1 else clip_each
        norm = clipped(gradients_of(self.members, ranks), max_norm)
        if math.isfinite(norm if self.num_learners == 1 else norm.sum()):
            self._take(steps)
            for members in self.members.values():
                increment_version(members)  # the step changes a vector, which does not mark the parameters as changed
        for vector, members in self.members.items():
            if vector is members[0]:
                vector.grad = None  # frees memory, as much as the parameters take, before the next rollout
        return norm

    def _take(self, steps: Tensor | None) -> None:
        """Let all learners, or those for whom `steps` is True, take a step."""
        of_their_own = any(isinstance(group["lr"], Tensor) for group in self.optimizer.param_groups)
        of_some = of_their_own or not (steps is None or bool(steps.all()))
        self.apart = of_some or (self.apart and not have_met(self.optimizer))
        if not self.apart:
            take_step(self.optimizer)
            return
        step_of_learners(self.optimizer, torch.ones(self.num_learners, dtype=torch.bool) if steps is None else steps)

    def _groups(self) -> list[list[nn.Parameter]]:
        seen: set[int] = set()
        groups = []
        for module in self.modules:
            groups.append([parameter for parameter in module.parameters() if id(parameter) not in seen])
            seen |= {id(parameter) for parameter in groups[-1]}
        return [sum(groups, [])] if self.together else groups

    def _lay_out(self, parameters: list[nn.Parameter], states: dict[nn.Parameter, State]) -> list[Tensor]:
        """Return the vectors that stand for a group's parameters in the optimizer."""
        kinds: dict[tuple[Any, ...], list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.requires_grad:
                state = states.get(parameter, {})
                age = (tuple(state), str(torch.as_tensor(state.get("step", 0)).tolist()))
                kinds.setdefault((parameter.dtype, parameter.device, *age), []).append(parameter)
        vectors: dict[Tensor, list[nn.Parameter]] = {}
        for members in kinds.values():
            vectors |= lay_out(members, self.num_learners)
        self.members |= vectors
        return list(vectors)

    def _give(self, vectors: Sequence[Tensor], states: Mapping[nn.Parameter, State]) -> None:
        """Let the optimizer remember of vectors what `states` says of their members."""
        for vector in vectors:
            parts = [states.get(member, {}) for member in self.members[vector]]
            if parts[0]:
                state = self.optimizer.state[vector] = join_state(vector, parts, self.members[vector])
                self.apart |= torch.as_tensor(state.get("step", 0.0)).ndim == 1

    def _states(self) -> dict[nn.Parameter, State]:
        """Return each parameter's part of the optimizer's state."""
        states: dict[nn.Parameter, State] = {}
        for vector, members in self.members.items():
            state = self.optimizer.state.get(vector, {})
            each = {key: part_moment(vector, value, members) for key, value in state.items()}
            states |= {member: {key: each[key][i] for key in each} for i, member in enumerate(members)}
        return states

    def _remember(self, groups: list[list[nn.Parameter]]) -> None:
        """Remember the parameters' places after they have been laid out."""
        self.places = self._places(groups)
        small = (parameter for group in groups for parameter in group if parameter not in self.members)
        self.gradients = [(parameter, parameter.requires_grad, parameter.grad) for parameter in small]

    def _have_moved(self) -> bool:
        """Return whether parameters were frozen or moved, or their gradients set to None, since they were laid out."""
        return any(
            p.requires_grad is not learns or p.grad is not gradient for p, learns, gradient in self.gradients
        ) or any(members[0].data_ptr() != vector.data_ptr() for vector, members in self.members.items())

    def _places(self, groups: list[list[nn.Parameter]]) -> list[tuple[Any, ...]]:
        """Return the identity and address of each parameter, and its gradient's address if it is in no vector."""

        def place(p: nn.Parameter) -> tuple[Any, ...]:
            gradient = None if p.grad is None or p in self.members else p.grad.data_ptr()
            return id(p), p.requires_grad, p.data_ptr(), gradient

        return [place(parameter) for group in groups for parameter in group]
