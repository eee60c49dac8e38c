"""Trees, the form of observations and memories: a leaf, or a dict or tuple of trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any  # a leaf (tensor or array), dict[str, Tree], or tuple[Tree, ...]


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Return a tree of function(leaf, …) for the leaves of `tree` and those of `others` at the same places."""
    if isinstance(tree, dict):
        return {key: tree_map(function, value, *(other[key] for other in others)) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(tree_map(function, *values) for values in zip(tree, *others, strict=True))
    return function(tree, *others)


def tree_leaves(tree: Tree) -> Iterator[Any]:
    """Return the leaves of `tree`, in the order of its keys."""
    if isinstance(tree, dict | tuple):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from tree_leaves(value)
    else:
        yield tree
