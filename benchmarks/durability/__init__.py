"""The same faults for other libraries and for us: what is left of a save when its writer, its file or its disk fails.

Each side runs in its own Python (`workers/side_….py`) and saves and loads with its own calls; the faults are the same
code for all (`workers/faults.py`). `python -m benchmarks durability cells`, `run`, `table`.
"""
