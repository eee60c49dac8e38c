"""Collects rollouts with a policy in any Gymnasium environment."""
