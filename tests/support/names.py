"""The names that the code defines or uses, and the prose about it: for tests that hold one against the other."""

import ast
import builtins
import io
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("pg_agents", "envs/pg_envs", "benchmarks", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/README.md")])


@cache
def files():
    """Return the Python files of the project."""
    return [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def tree(path):
    return ast.parse(path.read_text())


@cache
def known_names():
    """Return every name that code defines, imports or uses, and every text in it that could be a name."""
    names = set(dir(builtins))
    for path in files():
        names |= set(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(tree(path)):
            names |= set(_names(node))
    return names


def _names(node):
    for field in ("name", "attr", "id", "arg", "asname", "module"):
        if isinstance(name := getattr(node, field, None), str):
            yield from name.split(".")
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value


def docstrings(path):
    """Yield (where, text) of every docstring of a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)} {getattr(node, 'name', '')}", text


def comments(path):
    """Yield (where, text) of every comment of a file."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string
