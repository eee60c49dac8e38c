"""Every error of the package's own that a user can meet."""


class UnsupportedSpaceError(ValueError):
    """A space for which there is no network; the message names it and the way out."""


class SavedAgentError(ValueError):
    """A folder that holds no agent, or a damaged one; the message names it."""


class FaultyEnvironmentError(RuntimeError):
    """An environment broke its contract or failed; the message names the environment, the step and the seed."""


class AuditError(RuntimeError):
    """What acted and what learns are not the same policy; the message says where they differ, and what explains it."""
