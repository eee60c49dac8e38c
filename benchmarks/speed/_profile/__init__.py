"""Profiles: stopwatches around functions."""
