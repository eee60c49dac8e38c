"""Sides that do the same work in turns: what they run, each in a process of its own, and how they are compared."""
