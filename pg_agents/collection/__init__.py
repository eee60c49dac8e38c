"""Any Gymnasium environment and a policy → rollouts."""
