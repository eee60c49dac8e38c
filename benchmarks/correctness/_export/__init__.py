"""What the experiment `export` compares."""
