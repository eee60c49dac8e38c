"""The machinery of the experiments: finding them, running what is due, keeping records of what they measured."""
