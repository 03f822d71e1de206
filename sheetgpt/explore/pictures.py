"""A matrix as a small picture and a few numbers, made where the matrix is: the page draws them without having it.

`page/src/thumbnail.ts` does the same for a page that computes by itself.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from sheetgpt import ops

WIDTH, HEIGHT = 208, 22  # pixels of a picture
TALL = 4  # times as tall as wide: then it lies on its side
FULL, MASKED = 127, -128  # a pixel at the scale's end; where a cell is masked
PERCENTILE = 99  # of the sizes: the end of a scale, which one outlier doesn't set
BINS = 40


def picture(matrix: np.ndarray, end: float) -> dict[str, Any]:
    """`Picture` of page/src/source.ts: columns over the width, rows over the height, `end` in full colour."""
    lying = laid(matrix)
    height = min(len(lying), HEIGHT)
    nearest = lying[((np.arange(height) + 0.5) * len(lying) / height).astype(int)]
    numbers = pooled(nearest, WIDTH, axis=1)
    return drawn(np.where(ops.masked_cells(numbers), MASKED, np.rint(parts(numbers, end))), end)


def picture_of_differences(matrix: np.ndarray, end: float) -> dict[str, Any]:
    """The same of differences: each one that is not 0 is in it, whichever row it is in; NaN is the largest."""
    lying = laid(np.where(np.isnan(matrix), np.inf, matrix))
    found = parts(pooled(pooled(lying, HEIGHT, axis=0), WIDTH, axis=1), end)
    return drawn(np.sign(found) * np.maximum(np.rint(np.abs(found)), found != 0), end)


def drawn(pixels: np.ndarray, end: float) -> dict[str, Any]:
    height, width = pixels.shape
    data = base64.b64encode(pixels.astype(np.int8).tobytes()).decode()
    return {"width": width, "height": height, "end": end, "pixels": data}


def laid(matrix: np.ndarray) -> np.ndarray:
    """A tall matrix on its side."""
    rows, columns = matrix.shape
    return matrix.T if rows > TALL * columns else matrix


def pooled(matrix: np.ndarray, most: int, axis: int) -> np.ndarray:
    """At most so many rows or columns: of those that share a pixel the number largest in size."""
    length = matrix.shape[axis]
    if length <= most:
        return matrix
    starts = np.arange(most) * length // most
    greatest = np.fmax.reduceat(matrix, starts, axis=axis)
    least = np.fmin.reduceat(matrix, starts, axis=axis)
    return np.asarray(np.where(-least > greatest, least, greatest))


def parts(numbers: np.ndarray, end: float) -> np.ndarray:
    """As pixels, before they are rounded."""
    found = np.nan_to_num(numbers / (end or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.asarray(np.clip(found, -1, 1) * FULL)


def unmasked(matrix: np.ndarray) -> np.ndarray:  # [rows, columns] -> [n]
    """The numbers that count: neither masked nor none."""
    flat = matrix.ravel()
    kept = np.isfinite(flat) & ~ops.masked_cells(flat)
    return flat if kept.all() else flat[kept]


def scale_end(matrix: np.ndarray) -> float:
    """Where a stage's scale of values ends."""
    sizes = np.abs(unmasked(matrix))
    if not sizes.size:
        return 1.0
    at = min(sizes.size - 1, PERCENTILE * sizes.size // 100)
    return float(np.partition(sizes, at)[at]) or float(sizes.max()) or 1.0


def statistics(matrix: np.ndarray) -> dict[str, Any]:
    """`Statistics` of page/src/source.ts."""
    numbers = unmasked(matrix).astype(np.float64)
    if not numbers.size:
        return {"least": 0.0, "mean": 0.0, "greatest": 0.0, "deviation": 0.0, "bins": [0] * BINS}
    least, greatest = float(numbers.min()), float(numbers.max())
    span = (greatest - least) or 1.0
    places = np.minimum(((numbers - least) * (BINS / span)).astype(int), BINS - 1)
    return {
        "least": least,
        "mean": float(numbers.mean()),
        "greatest": greatest,
        "deviation": float(numbers.std()),
        "bins": np.bincount(places, minlength=BINS).tolist(),
    }


def change(before: np.ndarray, after: np.ndarray, end: float) -> dict[str, Any] | None:
    """`Change` of page/src/source.ts; None where nothing changed. `end`: of the stage's values."""
    difference = np.asarray(after, np.float64) - before
    difference[ops.masked_cells(before) | ops.masked_cells(after)] = 0.0
    if not np.any(difference):
        return None
    values = unmasked(before).astype(np.float64)
    size = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
    moved = float(np.sqrt(np.mean(np.nan_to_num(difference) ** 2)))
    return {
        "picture": picture_of_differences(difference, end / 2),
        "largest": float(np.nanmax(np.abs(difference))),
        "ratio": moved / size if size else 1.0,
    }
