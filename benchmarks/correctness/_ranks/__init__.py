"""A worker that learns in several processes."""
