"""Facts about the machine, and the memory that this process holds."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MIB = 2**20


def processor() -> str:
    """Return the processor's name, as well as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Return processor, cores, memory (GiB) and system."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def resident_megabytes() -> float:
    """Return how much memory this process holds, in MB (Linux), or the most it has held (elsewhere)."""
    return _megabytes("VmRSS")


def peak_megabytes() -> float:
    """Return the most memory that this process has held, in MB.

    On Linux it is that of the program alone, since `forget_peak`: `ru_maxrss` begins with what the process that started
    it had held.
    """
    return _megabytes("VmHWM")


def forget_peak() -> None:
    """Let `peak_megabytes` count from now on (Linux; elsewhere it counts from the process's start)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _megabytes(line: str) -> float:
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split(f"{line}:")[1].split()[0]) * 1.024e-3  # it counts in KiB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
