"""Every seeded bug is caught by the tests that are named with it."""

import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PARTS = 8  # of the control arm


class Mutant(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module with a bug in it."""

    def __init__(self, mutation: Mutation) -> None:
        spec = importlib.util.find_spec(mutation.module)
        importlib.machinery.SourceFileLoader.__init__(self, mutation.module, spec.origin)
        self.mutation = mutation

    def find_spec(self, name, path=None, target=None):
        if name == self.mutation.module:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_code(self, name):
        source = Path(self.path).read_text()
        return compile(source.replace(self.mutation.right, self.mutation.wrong), self.path, "exec")


class Outcomes:
    """A pytest plugin that notes which tests ran and which failed."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            (self.failed if report.failed else self.passed).append(report.nodeid)


def work(mutation: Mutation, pipe) -> None:
    """In a process of its own: import everything anew with the bug, run its tests, send what came out."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    sys.meta_path.insert(0, Mutant(mutation))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        kept = name.startswith("pg_envs") and not mutation.module.startswith("pg_envs")  # it registers ids
        if file.startswith(str(ROOT)) and "site-packages" not in file and not kept:
            del sys.modules[name]
    outcomes = Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", str(ROOT), "--everything"]
    pytest.main([*options, *(str(ROOT / test) for test in mutation.tests)], plugins=[outcomes])
    pipe.send((outcomes.passed, outcomes.failed))
    os._exit(0)


def run(mutation: Mutation) -> tuple[list[str], list[str]]:
    """Return the tests that passed and those that failed with the bug."""
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=work, args=(mutation, send))
    process.start()
    try:
        assert receive.poll(120), "the tests did not end"
        return receive.recv()
    finally:
        process.kill()
        process.join()


def test_there_are_many():
    assert len(MUTATIONS) >= 20
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_bug_is_caught(mutation):
    source = Path(importlib.util.find_spec(mutation.module).origin).read_text()
    assert source.count(mutation.right) == 1, "the place to change must stand in the source once"
    assert mutation.tests
    _, failed = run(mutation)
    for test in mutation.tests:
        assert any(nodeid.startswith(test) for nodeid in failed), f"{test} passes with the bug"


@pytest.mark.parametrize("part", range(PARTS))
def test_without_a_bug_the_same_tests_pass(part):
    """The control arm: what fails above fails because of the bug."""
    tests = tuple(sorted({test for mutation in MUTATIONS for test in mutation.tests})[part::PARTS])
    passed, failed = run(MUTATIONS[0]._replace(wrong=MUTATIONS[0].right, tests=tests))
    assert not failed
    assert all(any(nodeid.startswith(test) for nodeid in passed) for test in tests)
