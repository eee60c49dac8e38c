"""All errors of the package's own stand in one file, each with a sentence that says when it is raised."""

import ast
from pathlib import Path

import pytest

import pg_agents
from pg_agents import errors

FOUND = {name: value for name, value in vars(errors).items() if isinstance(value, type)}


def test_no_error_is_defined_elsewhere():
    """Direct subclasses of BaseException are no errors: they pass `except Exception`, and are caught by the package."""
    package = Path(pg_agents.__file__).parent
    defined = {
        f"{path.relative_to(package)}: {node.name}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and path.name != "errors.py"
        for name in map(ast.unparse, node.bases)
        if name.endswith(("Error", "Exception", "Interrupt", "Exit", "Warning")) and name != "BaseException"
    }
    assert not defined


@pytest.mark.parametrize("name", FOUND)
def test_every_error_says_when_it_is_raised_and_is_exported(name):
    assert FOUND[name].__module__ == "pg_agents.errors" and issubclass(FOUND[name], Exception | SystemExit)
    assert FOUND[name].__doc__.strip().splitlines()[0].endswith(".")
    assert getattr(pg_agents, name) is FOUND[name] and name in pg_agents.__all__
