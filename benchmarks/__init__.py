"""Experiments, their results, and the pictures drawn from them: `python -m benchmarks`."""
