"""Which errors are those of whoever typed the command, and which are mistakes in a program."""

from __future__ import annotations

import re

import pg_envs

from pg_agents.errors import (
    AuditError,
    FaultyEnvironmentError,
    LostRankError,
    NotSavedError,
    SavedFilesError,
    UserError,
)

OURS = (
    UserError, SavedFilesError, NotSavedError, FaultyEnvironmentError, FloatingPointError, AuditError,
    LostRankError,
    pg_envs.EvaluationError,
)  # fmt: skip
EXPLAINED = (ValueError, TypeError, EOFError, ConnectionError, pg_envs.EvaluationError)  # failures without a traceback
FLAG = re.compile(r"\A([a-z][a-z_]*)(?=:| must )")  # how a message about an argument begins


def is_a_mistake(error: Exception) -> bool:
    """Return whether the traceback is of use: to the authors of this program, or to the environment's."""
    if not isinstance(error, FaultyEnvironmentError):
        return not isinstance(error, OURS) and not FLAG.match(str(error))
    return isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, EXPLAINED)
