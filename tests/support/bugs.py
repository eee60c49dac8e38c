"""Seeded bugs: an object of the package is replaced by a wrong one, and tests that stand beside it must then fail.

A test file ends with its bugs, `test_seeded_bugs = seeded(Bug(…), …)`. Each is tried in a fork of the process, in which
the tests that it names are run once more, so that nothing is imported again and nothing has to be put back.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion import util as explanations
from _pytest.runner import runtestprotocol

from support.forks import in_a_fork

TESTS = str(Path(__file__).parent.parent)
PACKAGES = ("pg_agents", "pg_envs", "benchmarks")
SECONDS = 120  # for the tests of one bug
DYNAMO = "torch._dynamo"  # a first optimizer imports it, which takes seconds: once, not in every fork

Test = Callable[..., None] | tuple[Callable[..., None], str]  # a test function, or one of its cases with its id


@dataclass(frozen=True)
class Bug:
    """A bug: `original` becomes `wrong` wherever it has been imported, and each of `caught_by` must then fail.

    A test of several cases fails where one of them does. What counts is a failed assertion, a `pytest.raises` that saw
    no error, or the exception `raises`: any other error is a mistake in the bug.
    """

    name: str
    original: Any  # a function, a class, a method as its class has it, or (module or class, "NAME") for a constant
    wrong: Any
    caught_by: Sequence[Test]
    raises: type[BaseException] = AssertionError


def with_result(original: Any, change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the function `original` with its result changed."""
    function = _function(original)

    @functools.wraps(function)
    def wrong(*args: Any, **kwargs: Any) -> Any:
        return change(function(*args, **kwargs))

    return wrong


def with_arguments(original: Any, **changes: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the function `original` with arguments of these names changed before it is called."""
    function = _function(original)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrong(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        bound.arguments.update({name: change(bound.arguments[name]) for name, change in changes.items()})
        return function(*bound.args, **bound.kwargs)

    return wrong


def seeded(*bugs: Bug) -> Callable[..., None]:
    """Return the test that each of `bugs` is caught: cases that fail with it pass without it (the control arm)."""

    @pytest.mark.slow  # each is some tests, twice
    @pytest.mark.parametrize("bug", bugs, ids=[bug.name for bug in bugs])
    def test_seeded_bugs(bug: Bug, request: pytest.FixtureRequest) -> None:
        outcomes = _in_a_fork(request.node, bug, bug.caught_by)
        for case, error in outcomes:
            assert error is not None, f"{case} passes with the bug"
        for case, error in _in_a_fork(request.node, None, [case for case, _ in outcomes]):
            assert error is None, f"{case} fails without the bug: {error}"

    return test_seeded_bugs


def _in_a_fork(node: pytest.Item, bug: Bug | None, tests: Sequence[Test | str]) -> list[tuple[str, str | None]]:
    """Return the outcomes of `_run` in a process that ends with it."""

    def work() -> Any:
        try:
            return _run(node, bug, tests), DYNAMO in sys.modules
        except (AssertionError, pytest.skip.Exception):
            raise
        except BaseException as error:  # which may be of a kind that no pipe carries
            raise RuntimeError(repr(error)) from None

    answer = in_a_fork(work, SECONDS)
    assert answer is not None, "the process of the tests was killed"
    if isinstance(answer, BaseException):
        raise answer
    outcomes, loaded = answer
    if loaded:
        importlib.import_module(DYNAMO)
    return outcomes


def _run(node: pytest.Item, bug: Bug | None, tests: Sequence[Test | str]) -> list[tuple[str, str | None]]:
    """Return of each test the case that failed, or the last one, and its error if there was one."""
    again = super(pytest.Module, node.parent).collect()  # a module's own would make its fixtures known a second time
    items = [item for item in again if isinstance(item, pytest.Function)]
    raised: list[BaseException] = []
    node.config.pluginmanager.register(_Notes(raised))
    explanations._reprcompare = None  # the difference of two long lists, which nobody reads here, can take minutes
    if bug is not None:
        replace(bug.original, bug.wrong)
    outcomes = []
    for test in tests:
        cases = [item for item in items if _is_case(item, test)]
        cases = [case for case in cases if not case.get_closest_marker("slow")] or cases
        assert cases, f"{test} is no test of this file"
        for item in cases:
            node.session._setupstate.teardown_exact(item)
            runtestprotocol(item, log=False, nextitem=node)
            if raised:
                break
        for error in raised:
            if isinstance(error, pytest.skip.Exception):
                raise error
            assert bug is None or _is_caught(error, bug), f"{item.name} fails for another reason: {error!r}"
        outcomes.append((item.name, repr(raised[0]) if raised else None))
        raised.clear()
    return outcomes


class _Notes:
    """A pytest plugin that notes what tests raise."""

    def __init__(self, raised: list[BaseException]) -> None:
        self.raised = raised

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> None:
        if call.excinfo is not None:
            self.raised.append(call.excinfo.value)


def _is_case(item: pytest.Function, test: Test | str) -> bool:
    function, case = test if isinstance(test, tuple) else (test, None)
    return item.name == test or item.function is function and (case is None or item.callspec.id == case)


def _is_caught(error: BaseException, bug: Bug) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_caught(one, bug) for one in error.exceptions)
    return isinstance(error, (AssertionError, pytest.fail.Exception, bug.raises))


def replace(original: Any, wrong: Any) -> None:
    """Put `wrong` where `original` stands in modules and classes of the package and of the tests."""
    places = list(_places(original))
    assert places, f"{original!r} stands in no module and in no class"
    for owner, name in places:
        held = vars(owner)[name]
        setattr(owner, name, type(held)(wrong) if isinstance(held, staticmethod | classmethod | property) else wrong)


def _places(original: Any) -> Iterator[tuple[Any, str]]:
    named, owners = None, _owners()
    if isinstance(original, tuple) and len(original) == 2 and isinstance(original[1], str):
        owner, named = original
        original, owners = vars(owner)[named], owners | {owner}
    original = getattr(original, "__func__", original)
    for owner in owners:
        for name, held in vars(owner).items():
            if getattr(held, "__func__", held) is original and named in (None, name):
                yield owner, name


def _owners() -> set[Any]:
    """Return the modules of the package and of the tests, and their classes."""
    modules = {
        module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in PACKAGES or (getattr(module, "__file__", None) or "").startswith(TESTS)
    }
    names = {module.__name__ for module in modules}
    held = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return modules | {value for value in held if value.__module__ in names}


def _function(original: Any) -> Callable[..., Any]:
    """Return the function behind a class's method or property."""
    return getattr(original, "__func__", None) or getattr(original, "fget", None) or original
