"""Token generation: tasks, environments and texts."""
