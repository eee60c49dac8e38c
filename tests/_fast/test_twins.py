"""Every trick has a plain twin beside it that takes the same, and a row in the benchmark."""

import importlib
import inspect
import pkgutil

import pg_agents._fast as fast
from benchmarks.speed._tricks.operations import TRICKS

MODULES = [importlib.import_module(f"pg_agents._fast.{found.name}") for found in pkgutil.iter_modules(fast.__path__)]


def twins():
    """Yield (trick, twin) of every plain_name that stands beside its name."""
    for module in MODULES:
        for name, twin in vars(module).items():
            if name.startswith("plain_") and name.removeprefix("plain_") in vars(module):
                yield getattr(module, name.removeprefix("plain_")), twin


def test_a_twin_takes_the_arguments_of_its_trick():
    pairs = list(twins())
    assert len(pairs) >= len(MODULES) - 1
    for trick, twin in (*pairs, *((one.trick, one.twin) for one in TRICKS)):
        assert list(inspect.signature(trick).parameters) == list(inspect.signature(twin).parameters)
        assert trick.__module__ == twin.__module__ and not trick.__code__.co_freevars and not twin.__code__.co_freevars


def test_every_module_has_a_row_in_the_benchmark_and_every_twin_is_measured():
    assert {trick.trick.__module__ for trick in TRICKS} == {module.__name__ for module in MODULES}
    assert {twin for _, twin in twins()} <= {trick.twin for trick in TRICKS}
