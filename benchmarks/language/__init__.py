"""Language models: a pretrained one that learns, preferences, and the memory of long texts."""
