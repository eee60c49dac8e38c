"""Checkpoints: folders that hold everything with which a run goes on as if it had never been stopped."""
