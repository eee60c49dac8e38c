"""Commands of measurements that the one runner does not run yet: an entry goes with the measurement's move.

`python -m benchmarks peers …` runs peers and us in turns: see benchmarks/peers. `… tricks` measures what each trick of
`pg_agents._fast` saves: see benchmarks/tricks. `… decoding` times how a pretrained language model generates: see
benchmarks/decoding.py. `… learners` measures what several learners cost: see benchmarks/learners.
"""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {  # with arguments of their own; imported where they are asked for, as some need the extra `llm`
    "peers": "benchmarks.peers.command",
    "tricks": "benchmarks.tricks.command",
    "decoding": "benchmarks.decoding",
    "learners": "benchmarks.learners.command",
}
NAMES = tuple(COMMANDS)


def main(names: list[str]) -> int:
    """Run the command that `names` begin with."""
    if names[0] not in COMMANDS:
        print(f"unknown command {names[0]!r}: choose from {', '.join(NAMES)}", file=sys.stderr)
        return 2
    return import_module(COMMANDS[names[0]]).main(names[1:])
