"""Runs side by side: their folders read, in groups, with curves, scores, pictures and a page."""
