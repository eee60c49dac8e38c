"""What all environments are made of."""
