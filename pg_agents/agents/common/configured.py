"""A module with a configuration, whose options are read as its attributes."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, get_args

import torch
from torch import Tensor, nn

from pg_agents.agents.common.config import ABSENT, AgentConfig
from pg_agents.agents.common.make_agent import check_kind
from pg_agents.data.learners import of_columns
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.elsewhere import METHODS, check_names
from pg_agents.schedules import LinearSchedule

C = TypeVar("C", bound=AgentConfig)


class Configured(nn.Module, Generic[C]):
    """A module with a configuration, whose class is a type argument: `class PPO(Agent[PPOConfig])`."""

    config_class: ClassVar[type[AgentConfig]]
    config: C
    progress: float | tuple[float, ...] = 0.0  # the fraction of the run that is over, also of each learner, [L]

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, AgentConfig):
                    cls.config_class = argument

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        modules = self.__dict__.get("_modules")
        if modules and name in modules:  # networks, the usual case, first
            return modules[name]
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in type(self).config_class.options():
                return getattr(self.config, name)
            if name in ABSENT:
                return ABSENT[name]
            if name in METHODS:
                raise AttributeError(f"{type(self).__name__} has no {name}: write {METHODS[name]}") from None
            raise

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        if name in type(self).config_class.options():
            raise AttributeError(f"{name} is an option: set agent.config = agent.config.replace({name}={value!r})")
        if name == "config":
            check_kind("config", value, type(self).config_class)
            if "config" in vars(self):
                self.config.check_change(value, getattr(self, "reference", None) is not None)
                value.check_learners(self.policy.num_learners)
        super().__setattr__(name, value)

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of the options."""
        return list(cls.config_class.options())

    @property
    def arguments(self) -> dict[str, Any]:
        """The options by name."""
        return self.config.as_dict()

    def current(self, name: str, data: Batch | Rollout | None = None) -> Any:  # noqa: ANN401
        """Return an option's value at this point of the run; `ABSENT`'s if the agent does not have the option.

        If learners have values of their own these are an array, [L], or of the columns of `data`, [B].
        """
        own = vars(self.config)
        value = own[name] if name in own else ABSENT[name]
        if isinstance(value, LinearSchedule):
            progress = self.progress
            return self._of_each((value,) * len(progress), data) if isinstance(progress, tuple) else value.at(progress)
        return self._of_each(value, data) if isinstance(value, tuple) else value

    def _of_each(self, values: tuple[float | LinearSchedule, ...], data: Batch | Rollout | None) -> float | Tensor:
        progress = self.progress if isinstance(self.progress, tuple) else (self.progress,) * len(values)
        now = [
            value.at(p) if isinstance(value, LinearSchedule) else value
            for value, p in zip(values, progress, strict=True)
        ]
        if len(now) == 1:
            return now[0]
        if data is None:
            return torch.tensor(now, dtype=torch.float64, device=next(self.policy.parameters()).device)
        like = data.weights if isinstance(data, Batch) else data.rewards
        return of_columns(torch.tensor(now, dtype=like.dtype, device=like.device), like.shape[-1])

    @classmethod
    def configuration(cls, config: C | None, options: dict[str, Any]) -> C:
        """Return `config`, or the default configuration if it is None, changed by `options`.

        Raises:
            TypeError: there is no such option.
            ValueError: an option is out of range, or two options contradict each other.
        """
        check_names(cls.__name__, options, cls.argument_names())
        if config is not None:
            check_kind("config", config, cls.config_class)
        made: Any = cls.config_class(**options) if config is None else config.replace(**options)
        return made
