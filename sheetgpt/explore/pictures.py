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
    pixels = scaled(pooled(matrix), end)
    height, width = pixels.shape
    return {"width": width, "height": height, "end": end, "pixels": base64.b64encode(pixels.tobytes()).decode()}


def pooled(matrix: np.ndarray) -> np.ndarray:  # [rows, columns] -> [at most HEIGHT, at most WIDTH]
    """The nearest row for each line, and of the columns that share a pixel the number largest in size."""
    rows, columns = matrix.shape
    lying = matrix.T if rows > TALL * columns else matrix
    rows, columns = lying.shape
    height, width = min(rows, HEIGHT), min(columns, WIDTH)
    lines = lying[((np.arange(height) + 0.5) * rows / height).astype(int)]
    if columns == width:
        return np.asarray(lines)
    starts = np.arange(width) * columns // width
    greatest = np.fmax.reduceat(lines, starts, axis=1)
    least = np.fmin.reduceat(lines, starts, axis=1)
    return np.asarray(np.where(-least > greatest, least, greatest))


def scaled(numbers: np.ndarray, end: float) -> np.ndarray:  # float -> int8
    masked = ops.masked_cells(numbers)
    parts = np.clip(np.nan_to_num(numbers / (end or 1.0), nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    return np.where(masked, MASKED, np.rint(parts * FULL)).astype(np.int8)


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
        "picture": picture(difference, end / 2),
        "largest": float(np.nanmax(np.abs(difference))),
        "ratio": moved / size if size else 1.0,
    }
