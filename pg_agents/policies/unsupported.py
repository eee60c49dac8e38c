"""The error of spaces that there is no network for."""

from __future__ import annotations


class UnsupportedSpaceError(ValueError):
    """A space for which there is no network; the message names it and the way out."""
