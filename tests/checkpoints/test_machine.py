"""What decides the bits besides a run's state: what is different now is said."""

import torch

from pg_agents.checkpoints.machine import differences, machine


def test_each_difference_is_said_and_nothing_else():
    assert differences(machine()) == []
    then = {name: value for name, value in machine().items() if name != "threads"} | {"torch": "2.12"}
    said = [f"torch: 2.12 then, {torch.__version__} now", f"threads: None then, {torch.get_num_threads()} now"]
    assert differences(then) == said
