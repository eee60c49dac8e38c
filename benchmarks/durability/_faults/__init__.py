"""The same faults for other libraries and for us; each side runs in its own Python and saves with its own calls."""
