"""The heads of a stage as maps small enough to be sent at once: pooled by their greatest share."""

from __future__ import annotations

import numpy as np

MOST_TOKENS = 64  # a side of a map


def pooled(matrix: np.ndarray, heads: int, most: int = MOST_TOKENS) -> np.ndarray:  # [T, H T] -> [n, H n]
    """Each head with at most so many tokens a side; each cell the greatest of those that share it."""
    tokens = len(matrix)
    size = min(tokens, most)
    if size == tokens:
        return matrix
    starts = np.arange(size) * tokens // size
    rows = np.maximum.reduceat(matrix, starts, axis=0).reshape(size, heads, tokens)
    return np.asarray(np.maximum.reduceat(rows, starts, axis=2).reshape(size, heads * size))
