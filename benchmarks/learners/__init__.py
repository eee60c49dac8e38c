"""Several learners as one batch: what they cost, and whether each learns as it would alone."""
