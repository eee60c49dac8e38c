"""Torch's threads: with small networks several of them wait for each other longer than they compute."""

from __future__ import annotations

import os
import warnings

import torch

from pg_agents.agents.base import Agent
from pg_agents.policies.encoder import has_images

BY_DEFAULT = torch.get_num_threads()  # when this is imported: another number, later, was chosen
CHOSEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # environment variables
SMALL = 500_000  # parameters, below which one thread is recommended
said: list[str] = []  # what was said in this process, once


def set_threads(count: int) -> None:
    """Set the number of torch's threads for this process, as somebody has chosen it."""
    torch.set_num_threads(count)
    said.append(f"{count} were chosen")


def warn_of_threads(agent: Agent) -> None:
    """Warn, once in a process, where a small agent learns on the CPU with as many threads as torch has by default.

    Nothing is set: the number belongs to the whole process, and to the bits of what it computes.
    """
    count = torch.get_num_threads()
    if said or count == 1 or count != BY_DEFAULT or any(name in os.environ for name in CHOSEN_BY):
        return
    if is_small(agent):
        said.append(
            f"torch computes with {count} threads; with networks as small as {agent.name}'s that is slower than with "
            "one, and many times slower where other programs run: write torch.set_num_threads(1) before you train"
        )
        warnings.warn(said[0], RuntimeWarning, stacklevel=5)  # the line that called `train`


def is_small(agent: Agent) -> bool:
    """Return whether an agent's networks are too small for several threads: on the CPU, and without pictures."""
    parameters = list(agent.parameters())
    pictures = agent.spaces is not None and has_images(agent.spaces[0])
    count = sum(parameter.numel() for parameter in parameters)
    return count < SMALL and not pictures and all(parameter.device.type == "cpu" for parameter in parameters)
