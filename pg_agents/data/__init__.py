"""The data that agents learn from: rollouts, batches, minibatches, trees of tensors, weighted metrics."""
