"""Learning: documents to batches, gradients three ways, the optimisers, and a step that can be looked at."""
