"""What is learned from: rollouts, batches and their minibatches, trees of tensors, weighted metrics."""
