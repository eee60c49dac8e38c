"""Exact policy gradients, and every estimator measured against them."""
