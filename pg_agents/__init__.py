"""Policy-gradient agents for Gymnasium."""
