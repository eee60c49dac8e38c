"""The command line."""

from pg_agents.cli.command import main

__all__ = ["main"]
