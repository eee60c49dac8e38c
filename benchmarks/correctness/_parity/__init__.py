"""Parity: the same weights and the same rollouts, learned from by a peer's own code and by ours."""
