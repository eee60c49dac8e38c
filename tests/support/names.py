"""The names that the code defines or uses, and the prose about it: for tests that hold one against the other."""

import ast
import builtins
import io
import tokenize
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("pg_agents", "envs/pg_envs", "benchmarks", "tests", "docs/_hooks")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/README.md")])


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


@cache
def known_pairs():
    """Return every (a, b) such that code has a.b, or class or module a defines b."""
    pairs = {(name, member) for name, inner in members().items() for member in inner}
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and (
                owner := getattr(node.value, "attr", getattr(node.value, "id", ""))
            ):
                pairs.add((owner, node.attr))
            elif isinstance(node, ast.ImportFrom | ast.Import):
                for alias in node.names:
                    parts = [*(getattr(node, "module", None) or "").split("."), *alias.name.split(".")]
                    pairs |= set(pairwise(parts))
        for node in tree(path).body:
            pairs |= {(path.stem, name) for part in ast.walk(node) for name in _defined(part)}
    return pairs


def _names(node):
    for field in ("name", "attr", "id", "arg", "asname", "module"):
        if isinstance(name := getattr(node, field, None), str):
            yield from name.split(".")
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value


@cache
def defined_names():
    """Return the names of functions, classes, arguments and fields that pg_agents and pg_envs define."""
    names = set()
    for path in files():
        if not path.is_relative_to(ROOT / "tests"):
            for node in ast.walk(tree(path)):
                names |= set(_defined(node))
    return names


@cache
def members():
    """Return {class: the names of its methods, fields and attributes} of pg_agents and pg_envs."""
    found = {}
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not path.is_relative_to(ROOT / "tests"):
                inner = found.setdefault(node.name, set())
                for part in ast.walk(node):
                    inner |= set(_defined(part))
    return found


def _defined(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.id if isinstance(node, ast.Name) else node.attr


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
