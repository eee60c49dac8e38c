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
        "saving an agent deletes files of others",
        "pg_agents.agents.common.files",
        "        if name not in written:",
        "        if name not in written and not name.startswith(MODEL):",
        ("tests/agents/test_loading.py::test_files_that_are_not_ours_are_never_deleted",),
    ),
]
