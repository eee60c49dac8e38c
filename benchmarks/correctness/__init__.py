"""Whether what is computed is right: gradients, updates, learners, bits, and tests that notice."""
