"""Peers and us on the same machine: `python -m benchmarks peers`; see README.md in this folder."""
