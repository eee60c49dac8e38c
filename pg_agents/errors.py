"""Every error of the package's own that a user can meet; the environments' is `pg_envs.EvaluationError`."""


class UnsupportedSpaceError(ValueError):
    """A space for which there is no network; the message names it and the way out."""


class UserError(ValueError):
    """Something that was asked for cannot be done; the message names the argument, its value and the way out.

    Raised for an unknown environment's id, a package that is missing, and whatever is typed on the command line.

    Args:
        message: that.
        again: what makes the same command line do it, typed at its end.
    """

    def __init__(self, message: str, again: str = "") -> None:
        super().__init__(message)
        self.again = again


class SavedAgentError(ValueError):
    """A folder that holds no agent, or a damaged one; the message names it."""


class FaultyEnvironmentError(RuntimeError):
    """An environment broke its contract or failed; the message names the environment, the step and the seed."""


class AuditError(RuntimeError):
    """What acted and what learns are not the same policy; the message says where they differ, and what explains it."""
