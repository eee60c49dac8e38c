"""The cells: a fault, and a library's way of saving that it happens to."""

from __future__ import annotations

from dataclasses import dataclass

FULL = {"kill": 200, "flip": 200, "truncate": 50, "full": 10, "terminate": 20, "resume": 5}
CONTROL = "no protection"
SAVES = {
    "pg_agents": ("ours", ("agent.save",)),
    "Stable-Baselines3": ("sb3", ("model.save",)),
    "TorchRL": ("torchrl", ("Checkpoint.save", "CheckpointRotation.save", "torch.save")),
    "TRL": ("trl", ("save_model", "checkpoint")),
    CONTROL: ("ours", ("written in place",)),
}
TERMINATED = {
    "pg_agents": ("ours", ("pg.train",)),
    "Stable-Baselines3": ("sb3", ("model.learn", "CheckpointCallback")),
    "TorchRL": ("torchrl", ("PPOTrainer",)),
    "TRL": ("trl", ("train", "train, save_steps", "train, enable_jit_checkpoint")),
}
RESUMED = {
    "pg_agents": ("ours", ("pg.train",)),
    "Stable-Baselines3": ("sb3", ("CheckpointCallback",)),
    "TorchRL": ("torchrl", ("PPOTrainer",)),
    "TRL": ("trl", ("train, save_steps",)),
}


@dataclass(frozen=True)
class Cell:
    """A row of the tables.

    Attributes:
        name: fault, library and way.
        fault: one of `FULL`.
        library: its name in the tables.
        side: the worker's script, `side_….py`.
        way: how it saves, in the script's words.
        count: how often the fault happens.
    """

    name: str
    fault: str
    library: str
    side: str
    way: str
    count: int


CELLS = [
    Cell(f"{fault}: {library}, {way}", fault, library, side, way, count)
    for fault, count in FULL.items()
    for library, (side, ways) in {"terminate": TERMINATED, "resume": RESUMED}.get(fault, SAVES).items()
    for way in ways
]
