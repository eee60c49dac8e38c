"""What `intervals` draws from, and other ways to make intervals."""
