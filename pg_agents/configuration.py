"""Configurations: frozen dataclasses whose fields carry type, rule, help text and default, written once.

Validation, JSON, the command line, editors' signatures and the documentation are made from the fields. A rule is part
of the type (`clip: Scheduled[Positive] = 0.2`); the help text is the string below the field.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Self, TypeVar

from pg_agents.checks import is_count
from pg_agents.elsewhere import check_names
from pg_agents.schedules import LinearSchedule, scheduled


@dataclass(frozen=True)
class Rule:
    """A condition on a value.

    Attributes:
        text: completes the message "… must be …".
        holds: returns whether the condition holds for a value; an exception counts as no.
    """

    text: str
    holds: Callable[[Any], bool]


OR_NONE = ", or None"
T = TypeVar("T")
Count = Annotated[int, Rule("a whole number, 1 or above", is_count)]
Several = Annotated[int, Rule("a whole number, 2 or above", lambda x: is_count(x, 2))]
Positive = Annotated[float, Rule("a finite number above 0", lambda x: 0 < x < math.inf)]
PositiveOrInfinite = Annotated[float, Rule("a number above 0", lambda x: x > 0)]
NonNegative = Annotated[float, Rule("a finite number, 0 or above", lambda x: 0 <= x < math.inf)]
UnitInterval = Annotated[float, Rule("between 0 and 1", lambda x: 0 <= x <= 1)]
OpenUnitInterval = Annotated[float, Rule("between 0 and 1, both excluded", lambda x: 0 < x < 1)]
Fraction = Annotated[float, Rule("above 0 and at most 1", lambda x: 0 < x <= 1)]
Finite = Annotated[float, Rule("a finite number", lambda x: math.isfinite(x))]
Scheduled = Annotated[T | LinearSchedule | str, "scheduled"]
"""A number that may change over a run: 3e-4, LinearSchedule(3e-4, 0), or "3e-4:0"."""
Each = Annotated[T | Sequence[T], "each"]
"""An option of which several independent learners may have a list, with a value for each."""
Fixed = Annotated[T, "fixed"]
"""An option that is built into what it configures, so that another value would not take effect afterwards."""


@dataclass(frozen=True)
class Option:
    """One field of a configuration.

    Attributes:
        name: the field's name.
        type: the field's annotated type, rules included.
        default: the field's default.
        rules: conditions that must all hold for a value.
        optional: whether a value may be None.
        scheduled: whether a value may be a schedule.
        fixed: whether the value cannot change once something is made of it.
        each: whether it may be a list with a value for each of several learners, then a tuple.
    """

    name: str
    type: Any
    default: Any
    rules: tuple[Rule, ...]
    optional: bool
    scheduled: bool
    fixed: bool
    each: bool

    @property
    def rule(self) -> str:
        """The rules as text, to complete "… must be …"."""
        return " and ".join(rule.text for rule in self.rules) + (OR_NONE if self.optional else "")

    def read(self, value: Any) -> Any:  # noqa: ANN401
        """Return a value as Python's own, a text as the schedule that it is, and a list as a tuple; check it.

        A schedule may end at 0: the last update is made before the run is over.

        Raises:
            ValueError: it breaks a rule; the message has the name, the rule and the value, and the learner.
        """
        value = plain_value(value)
        if self.each and isinstance(value, tuple) and value:
            rule = self.rule.removesuffix(OR_NONE)
            return tuple(self._read(f"{self.name} of learner {i}", one, rule) for i, one in enumerate(value))
        return None if value is None and self.optional else self._read(self.name, value, self.rule)

    def _read(self, name: str, value: Any, rule: str) -> Any:  # noqa: ANN401
        if self.scheduled and callable(value):
            raise ValueError(f'{name} must be {rule}, got a function; a linear schedule is {name}="3e-4:0", from : to')
        value = scheduled(name, value) if self.scheduled else value
        is_schedule = isinstance(value, LinearSchedule)
        ends = (value.start, value.end) if is_schedule else (value,)
        if (is_schedule and not self.scheduled) or not all(
            self._holds(end) or (position == 1 and end == 0) for position, end in enumerate(ends)
        ):
            raise ValueError(f"{name} must be {rule}, got {value if is_schedule else repr(value)}")
        return value

    def _holds(self, value: Any) -> bool:  # noqa: ANN401
        if isinstance(value, bool) and TRUTH not in self.rules:  # True would count as 1
            return False
        try:
            return all(rule.holds(value) for rule in self.rules)
        except (TypeError, ValueError, OverflowError):
            return False


TRUTH = Rule("True or False", lambda x: isinstance(x, bool))
PLAIN = {  # of types without a rule
    bool: TRUTH,
    int: Rule("a whole number", lambda x: isinstance(x, int)),
    float: Rule("a number", lambda x: isinstance(x, int | float) and not math.isnan(x)),
    str: Rule("text", lambda x: isinstance(x, str)),
}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A set of options with defaults; a subclass adds fields, each with a type that has a rule, and a help text.

    Raises:
        ValueError: an option breaks its rule, or two options contradict each other.
    """

    def __new__(cls, *positional: Any, **given: Any) -> Self:  # noqa: ANN401, D102
        check_names(cls.__name__, given, list(cls.options()))
        made = super().__new__(cls)
        object.__setattr__(made, "given", frozenset(given))
        return made

    def __post_init__(self) -> None:
        for name, option in self.options().items():
            object.__setattr__(self, name, option.read(getattr(self, name)))
        self.check_together()

    def check_together(self) -> None:
        """Raise ValueError for options that are valid alone but contradict each other."""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the options by name, in the order of the fields."""
        return _options(cls)  # type: ignore[arg-type] # classes are hashable

    @classmethod
    def help_texts(cls) -> dict[str, str]:
        """Return the options' help texts by name, read from the source."""
        return _help_texts(cls)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """Return the options' values by name."""
        return {name: getattr(self, name) for name in self.options()}

    def given_options(self) -> dict[str, Any]:
        """Return those options' values that were given, by name; the others are defaults."""
        given: frozenset[str] = vars(self)["given"]
        return {name: getattr(self, name) for name in self.options() if name in given}

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401
        """Return a configuration in which some options have other values."""
        return type(self)(**self.given_options() | changes)


def plain_value(value: Any) -> Any:  # noqa: ANN401
    """Return a value of numpy or torch as Python's own, and a list as a tuple."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(plain_value, value)) if isinstance(value, list | tuple) else value


def without_rules(hint: Any) -> Any:  # noqa: ANN401
    """Return a type without the rules in it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return without_rules(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(without_rules, arguments))]  # noqa: UP007 - of types known at run time
    return hint


@cache
def _options(cls: Any) -> dict[str, Option]:  # noqa: ANN401
    if "__dataclass_fields__" not in vars(cls):
        raise TypeError(f"{cls.__name__} has to be decorated with @dataclass(frozen=True, kw_only=True)")
    hints, options = typing.get_type_hints(cls, include_extras=True), {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        marks = list(_marks(hint))
        rules = tuple(mark for mark in marks if isinstance(mark, Rule))
        kinds = None in marks, "scheduled" in marks, "fixed" in marks, "each" in marks
        options[field.name] = Option(field.name, hint, field.default, rules, *kinds)
    return options


def _marks(hint: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the marks in a type: rules, "scheduled", "fixed", "each", and None if a value may be None."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield from hint.__metadata__
        if not any(isinstance(mark, Rule) for mark in hint.__metadata__):
            yield from _marks(arguments[0])
    elif origin in (typing.Union, types.UnionType):
        scheduled_number = LinearSchedule in arguments
        for argument in arguments:
            if not (scheduled_number and argument is str):  # the text of a schedule
                yield from _marks(argument)
    elif origin is typing.Literal:
        yield Rule(f"one of {', '.join(map(str, arguments))}", lambda x: x in arguments)
    elif hint in PLAIN:
        yield PLAIN[hint]
    elif hint is type(None):
        yield None


@cache
def _help_texts(cls: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the string below each field of a dataclass and its base classes."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object or not dataclasses.is_dataclass(base):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(typing.cast(type, base)))).body
        assert isinstance(definition, ast.ClassDef)
        for statement, below in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
                assert isinstance(statement.target, ast.Name) and isinstance(below.value, ast.Constant)
                texts[statement.target.id] = inspect.cleandoc(str(below.value.value))
    return texts
