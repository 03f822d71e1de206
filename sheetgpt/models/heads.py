"""The layouts in which attention scores and weights of several heads stand in one matrix, and nothing else knows them.

Ours has a slice of T columns for each head ("heads"). The reference pads each slice to the head's size; ports hold the
heads under each other, or as an array of three axes. T is the number of tokens, H of heads, s the size of a head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.ops import masked_cells

__all__ = [
    "HEADS",
    "REFERENCE",
    "apart",
    "joined",
    "looks_causal",
    "padded",
    "side_by_side",
    "under_each_other",
    "unpadded",
]

HEADS, REFERENCE = "heads", "reference"  #: the reference's layout: a slot of the head's size for each head, its rest 0
LAYOUTS = (HEADS, REFERENCE)  # in which dumps can be written

Shape = tuple[int, int]
Turn = Callable[[np.ndarray], np.ndarray]


def apart(matrix: np.ndarray, n_head: int) -> np.ndarray:  # [T, H K] -> [T, H, K], a view
    """[T, H K] -> [T, H, K], a view: with an axis for the heads."""
    return matrix.reshape(len(matrix), n_head, -1)


def side_by_side(array: np.ndarray) -> np.ndarray:  # [H, T, K] -> [T, H K]
    """[H, T, K] -> [T, H K]: head after head in columns, from an array whose first axis is the head's."""
    return array.swapaxes(0, 1).reshape(array.shape[1], -1)


def joined(array: np.ndarray) -> np.ndarray:  # [T, H, K] -> [T, H K], a view
    """[T, H, K] -> [T, H K], a view: head after head in columns, from an array whose second axis is the head's."""
    return array.reshape(len(array), -1)


def under_each_other(matrix: np.ndarray, n_head: int) -> np.ndarray:  # [T, H K] -> [H T, K]
    """[T, H K] -> [H T, K]: head after head in rows."""
    by_head = apart(matrix, n_head).swapaxes(0, 1)
    return by_head.reshape(-1, by_head.shape[-1])


def padded(matrix: np.ndarray, n_head: int, head_size: int) -> np.ndarray:  # [T, H T] -> [T, H s]
    """The reference's layout, [T, H T] -> [T, H s]: head h in columns s h .. s h + T - 1, the rest of each slot 0.

    Raises StageError where T is larger than the head size: the reference's heads would overlap.
    """
    n_tokens = len(matrix)
    if n_tokens > head_size:
        raise StageError(
            f"the reference's head layout holds {head_size} tokens (the head size) and the prompt has {n_tokens}",
            remedy="use --head-layout heads, or a shorter prompt",
        )
    slots = np.zeros((n_tokens, n_head, head_size), matrix.dtype)
    slots[:, :, :n_tokens] = apart(matrix, n_head)
    return slots.reshape(n_tokens, n_head * head_size)


def unpadded(matrix: np.ndarray, n_head: int, n_tokens: int | None = None) -> np.ndarray:  # [T, H s] -> [T, H T]
    """[T, H s] -> [T, H T], the inverse of `padded`."""
    count = len(matrix) if n_tokens is None else n_tokens
    return apart(matrix, n_head)[:, :, :count].reshape(len(matrix), n_head * count)


def readings(n_head: int, n_tokens: int, head_size: int) -> dict[tuple[int, ...], Turn]:
    """The shapes other than ours in which the heads may stand, and for each what turns it into ours."""
    found: dict[tuple[int, ...], Turn] = {}
    if n_tokens <= head_size:
        found[n_tokens, n_head * head_size] = lambda x: unpadded(x, n_head, n_tokens)
    stacked = (n_head * n_tokens, n_tokens)
    found.setdefault(stacked, lambda x: side_by_side(x.reshape(n_head, n_tokens, n_tokens)))
    return found


def arrays_apart(n_head: int, n_tokens: int, width: int) -> dict[tuple[int, ...], Turn]:
    """The shapes in which ports hold heads as an axis of their own, [H, T, width] and [T, H, width], and their turns.

    subtle: where there are as many tokens as heads, the first axis counts the heads.
    """
    return {(n_tokens, n_head, width): joined, (n_head, n_tokens, width): side_by_side}


def looks_causal(matrix: np.ndarray, n_head: int) -> bool:  # [T, H T]
    """Is every cell where a token would look ahead masked, blank or 0, in [T, H T]?"""
    ahead = apart(matrix, n_head)[np.triu_indices(len(matrix), 1)[0], :, np.triu_indices(len(matrix), 1)[1]]
    return bool(np.all(masked_cells(ahead) | (ahead == 0)))


def writings(matrix: np.ndarray, n_head: int, head_size: int) -> list[np.ndarray]:
    """The matrix in every layout in which it may stand in a sheet, ours first."""
    found: dict[tuple[int, ...], np.ndarray] = {matrix.shape: matrix}
    if len(matrix) <= head_size:
        slots = padded(matrix, n_head, head_size)
        found.setdefault(slots.shape, slots)
    stacked = under_each_other(matrix, n_head)
    found.setdefault(stacked.shape, stacked)
    return list(found.values())
