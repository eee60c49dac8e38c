"""Gymnasium's spaces: actions for the environment, spaces as JSON, action masks."""
