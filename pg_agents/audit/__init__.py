"""Checks that the policy that sampled the actions is the policy being trained."""
