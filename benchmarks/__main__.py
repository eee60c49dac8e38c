"""`python -m benchmarks list | run | report | check | peers`: experiments, pages of what they measured, peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.peers import add_peers
from benchmarks.suite.command import add_list, add_run
from benchmarks.suite.pages_command import add_check, add_report
from pg_agents.errors import Terminated, UserError

COMMANDS = {"list": add_list, "run": add_run, "report": add_report, "check": add_check, "peers": add_peers}


def main(arguments: Sequence[str]) -> int:
    """Carry out a command, and return the exit code: 1 where something failed, 2 where something typed is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{" + ",".join(COMMANDS) + "}")
    for add in COMMANDS.values():
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.work(options, arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by Ctrl-C; the same command goes on", file=sys.stderr)
        return 130
    except Terminated as error:
        print("ended by SIGTERM; the same command goes on", file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
