"""Every error of the package's own that a user can meet; the environments' is `pg_envs.EvaluationError`."""


class UnsupportedSpaceError(ValueError):
    """A space is not supported; the message names the space and the fix."""


class UserError(ValueError):
    """A request cannot be carried out; the message names the argument, its value and the fix.

    Raised for an unknown environment id, a missing package, and invalid arguments on the command line.

    Args:
        message: the message.
        again: the text to append to the same command line so that it works.
    """

    def __init__(self, message: str, again: str = "") -> None:
        super().__init__(message)
        self.again = again


class SavedFilesError(ValueError):
    """Files that the package wrote are damaged, or are not its own; the message names the file or the folder."""


class SavedAgentError(SavedFilesError):
    """A folder holds no agent, or a damaged one; the message names the folder."""


class NotSavedError(OSError):
    """Files cannot be written; the message names the folder and the system's reason, and `errno` is its number."""


class NoStateError(Exception):
    """An environment has no state to save; the message says which of its parts has none."""


class FaultyEnvironmentError(RuntimeError):
    """An environment broke its contract or failed; the message names the environment, the step and the seed."""


class LostRankError(RuntimeError):
    """One of several processes that learn together has ended or does not answer; the message says who noticed it."""


class Terminated(SystemExit):
    """SIGTERM has ended a run in order; the message says at which step. Uncaught, it ends the process with code 143.

    Args:
        message: the message.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 143


class AuditError(RuntimeError):
    """The policy that sampled the actions is not the policy being trained; the message has the place and the cause."""
