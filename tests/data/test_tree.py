"""Trees: what a function makes of their leaves, and in which order they come."""

import pytest

from pg_agents.data.tree import tree_leaves, tree_map

TREE = {"b": (1, {"c": 2}), "a": 3}


def test_a_function_of_each_leaf():
    assert tree_map(lambda leaf: 10 * leaf, TREE) == {"b": (10, {"c": 20}), "a": 30}
    assert tree_map(lambda leaf: 10 * leaf, 4) == 40


def test_a_function_of_the_leaves_at_one_place_goes_by_key():
    other = {"a": 300, "b": (100, {"c": 200})}
    assert tree_map(lambda one, two: one + two, TREE, other) == {"b": (101, {"c": 202}), "a": 303}
    assert tree_map(lambda *leaves: leaves, 1, 2, 3) == (1, 2, 3)


def test_tuples_of_other_lengths_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        tree_map(max, (1, 2), (1,))


def test_leaves_come_in_the_order_of_the_keys():
    assert list(tree_leaves(TREE)) == [1, 2, 3] and list(tree_leaves(7)) == [7] and list(tree_leaves({})) == []
