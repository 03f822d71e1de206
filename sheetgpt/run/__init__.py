"""The list of steps run forward and backward, and what a run shows of itself."""
