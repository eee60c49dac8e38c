"""Tricks of `pg_agents._fast` and their plain twins: what is run with either, and how the two are compared."""
