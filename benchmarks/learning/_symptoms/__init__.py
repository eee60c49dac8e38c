"""What the experiment `symptoms` breaks, and how its runs are followed."""
