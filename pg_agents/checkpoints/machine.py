"""What decides, besides a run's state, which bits its arithmetic gives."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import gymnasium
import numpy as np
import torch


def machine() -> dict[str, Any]:
    """Return versions, the processor's instructions and the number of torch's threads."""
    try:
        own = version("pg-agents")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "pg_agents": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
        "machine": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
    }


def differences(then: Mapping[str, Any]) -> list[str]:
    """Return what is different now, like "torch: 2.12 then, 2.13 now"."""
    now = machine()
    return [f"{name}: {then.get(name)} then, {value} now" for name, value in now.items() if then.get(name) != value]
