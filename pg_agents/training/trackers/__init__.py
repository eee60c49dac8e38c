"""Trackers: where other programs keep the metrics of runs, each behind one protocol."""
