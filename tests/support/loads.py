"""Time limits of promises, on a machine that has other things to do."""

import os


def at_this_load(seconds):
    """Return what `seconds` of an idle machine may take now: that, and more where processes share its cores."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * max(1.0, 2 * busy)
