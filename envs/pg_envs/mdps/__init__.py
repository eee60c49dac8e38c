"""Finite Markov decision processes, and what is made of them."""
