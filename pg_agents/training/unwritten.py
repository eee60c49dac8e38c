"""What a run could not write to its folder; it goes on without."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError

from pg_agents.errors import SavedFilesError
from pg_agents.shown import printable, shortened


@dataclass
class Unwritten:
    """What is missing in a run's folder; the first time that something cannot be written, one warning says so.

    Attributes:
        run_dir: the folder.
        reasons: what is missing → why.
    """

    run_dir: Path
    reasons: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def tolerated(self, what: str) -> Iterator[None]:
        """A context that ends with its first error of writing `what`, which is noted here.

        A folder that holds files of somebody else is not written to, and counts as one that cannot be.
        """
        try:
            yield
        except (OSError, SafetensorError, SavedFilesError) as error:
            first, reason = not self.reasons, getattr(error, "strerror", None) or str(error)
            self.reasons[what] = shortened(printable(reason), 400)
            if first:
                text = f"run_dir: {what} cannot be written to {self.run_dir} ({self.reasons[what]}); the run goes on"
                warnings.warn(text, RuntimeWarning, stacklevel=2)

    def written(self, what: str) -> None:
        """Note that `what` has been written after all."""
        self.reasons.pop(what, None)

    def warn(self) -> None:
        """Warn of what is missing at the end of the run, if anything is."""
        if self.reasons:
            missing = "; ".join(f"{what} ({reason})" for what, reason in sorted(self.reasons.items()))
            text = f"run_dir: {self.run_dir} is not complete, these could not be written: {missing}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
