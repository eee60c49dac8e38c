"""Experiments in which agents learn: what they return afterwards, beside what is known and beside other libraries."""
