"""A run as a model that others find: its agent's files with a card, in a folder or on the Hugging Face Hub."""
