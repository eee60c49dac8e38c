"""Classic control: Gymnasium's environments, and vector forms of them in which every row has its own generator."""
