"""The parts that all environments share."""
