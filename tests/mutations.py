"""Seeded bugs stand in the files of the tests that catch them (`support/bugs.py`); none is left to be listed here."""

MUTATIONS = []
