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
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            "least": least,
            "mean": float(numbers.mean()),
            "greatest": greatest,
            "deviation": float(numbers.std()),
            "bins": histogram(numbers, least, greatest),
        }


def histogram(numbers: np.ndarray, least: float, greatest: float) -> list[int]:
    """How many are in each of BINS even parts; of numbers too near for parts 0 is the part."""
    per_number = BINS / ((greatest - least) or 1.0)
    places = np.minimum(np.nan_to_num((numbers - least) * per_number, nan=0.0), BINS - 1).astype(int)
    return np.bincount(places, minlength=BINS).tolist()  # type: ignore[no-any-return]


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What was added, in doubles: 0 where both are masked or no number; infinite where one of them is no number."""
    left, right = (np.asarray(matrix, np.float64) for matrix in (before, after))
    marks = [ops.masked_cells(matrix) & ~np.isnan(matrix) for matrix in (left, right)]
    alike = (marks[0] & marks[1]) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.where(alike | (left == right), 0.0, right - left)
    return np.where(np.isnan(found), np.inf, found)


def change(before: np.ndarray, after: np.ndarray, end: float) -> dict[str, Any] | None:
    """`Change` of page/src/source.ts; None where nothing changed. `end`: of the stage's values."""
    found = difference(before, after)
    if not np.any(found):
        return None
    size, moved = root_mean_square(unmasked(before)), root_mean_square(found)
    return {
        "picture": picture_of_differences(found, end / 2),
        "largest": float(np.abs(found).max()),
        "ratio": np.inf if np.isinf(moved) else moved / size if size else 1.0,
    }


def root_mean_square(numbers: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.asarray(numbers, np.float64) ** 2))) if numbers.size else 0.0
