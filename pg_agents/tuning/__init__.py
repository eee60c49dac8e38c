"""Tuning: settings of an agent in an environment, better than known ones in what several seeds return."""
