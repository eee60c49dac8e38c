"""Environments of finite Markov decision processes."""
