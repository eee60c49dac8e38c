"""Problems that are seen as pictures."""
