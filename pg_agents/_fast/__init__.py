"""Tricks that change no result and save time, each with its plain twin beside it.

A trick and its twin, named alike but for a "plain" in front, stand in one file, take the same arguments and return the
same: bit for bit, or within the rounding that the trick's docstring states. The twin says what is computed, the trick
is what runs. `tests/_fast` holds each pair equal. `python -m benchmarks run tricks` puts twins in the tricks' places
and shows what they save: a trick that saves less than 10 % of its own operation, or less than 0.5 % of every workload,
is deleted.
"""
