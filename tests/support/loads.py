"""Time limits of promises, on a machine that has other things to do."""

import os


def at_this_load(seconds):
    """Return what `seconds` of an idle machine may take now: twice that, and more where processes wait for a core."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * max(2.0, 2 * waiting)
