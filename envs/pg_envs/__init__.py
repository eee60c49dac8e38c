"""Bandits, Markov decision processes and token generation for Gymnasium; importing it registers the pg/… ids."""

from pg_envs.rows import KnownReturns, RowEnv, RowsVectorEnv, known_returns

__all__ = ["KnownReturns", "RowEnv", "RowsVectorEnv", "known_returns"]
