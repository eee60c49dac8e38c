"""Seeded bugs, and the tests that must catch them: what the tests are held to.

Each bug is a change of one place in the source. A new algorithm adds the bugs it could have.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A bug: in `module`, `right` (which stands there once) becomes `wrong`; each of `tests` must then fail."""

    name: str
    module: str
    right: str
    wrong: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation(
        "the group's deviation divides by n",
        "pg_agents.functional.comparisons",
        "(counts - 1).clamp(min=1)).sqrt()",
        "counts).sqrt()",
        ("tests/functional/test_comparisons.py::test_group_standardize_by_hand",),
    ),
    Mutation(
        "a token's entropy has the gradient of its cross-entropy",
        "pg_agents.distributions.tokens",
        "(finite + entropy[rows, None])",
        "finite",
        ("tests/distributions/test_tokens_categorical.py::test_values_and_gradients_are_those_of_the_plain_formula",),
    ),
    Mutation(
        "top-p keeps one token too few",
        "pg_agents.distributions.tokens",
        ".clamp(min=1) - 1)",
        ".clamp(min=2) - 2)",
        ("tests/distributions/test_tokens_categorical.py::test_kept_tokens_by_hand",),
    ),
    Mutation(
        "a description of an agent names a model to read",
        "pg_agents.agents.loading",
        "if unknown := arguments.keys() - set(form.argument_names()):",
        "if unknown := arguments.keys() - {*form.argument_names(), 'policy'}:",
        ("tests/agents/test_loading.py::test_a_policy_that_a_description_names_is_never_read_from_elsewhere",),
    ),
]
