"""Two commits train the same cells side by side, and their results are compared bit for bit."""
