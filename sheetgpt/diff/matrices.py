"""Two matrices cell by cell: what is allowed to differ, which cells differ, by how much. Nothing here knows of stages.

The tolerances' reasons stand in docs/numbers.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from sheetgpt.diff.grain import Grain, Kind
from sheetgpt.ops import masked_cells

__all__ = ["Tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """A cell is equal when `|left - right| <= atol + rtol |right|`."""

    atol: float  #: absolute
    rtol: float  #: relative to RIGHT

    def allowed(self, right: np.ndarray) -> np.ndarray:
        """What each cell of RIGHT's [rows, columns] may differ by."""
        allowed: np.ndarray = self.atol + self.rtol * np.abs(right)
        return allowed


TOLERANCES = {  # by the coarser type of the two sides
    Kind.FLOAT64: Tolerance(1e-9, 1e-9),
    Kind.FLOAT32: Tolerance(1e-4, 1e-3),
    Kind.FLOAT16: Tolerance(1e-2, 2e-2),
    Kind.BFLOAT16: Tolerance(8e-2, 1.6e-1),
}
BLOCK_CELLS = 1 << 20  # that are compared at a time
FEW_DIGITS = 4  # up to these the print's rounding is all that need be allowed
SLACK = Tolerance(1e-6, 1e-6)  # beside it, for whoever printed float32


def tolerance_of(grain: Grain) -> Tolerance:
    """What numbers with this rounding may differ by from the exact ones."""
    if not grain.is_printed:
        return TOLERANCES[grain.kind]
    base = SLACK if grain.count <= FEW_DIGITS else TOLERANCES[grain.arithmetic]
    half = 0.5 * 10.0**-grain.count
    if grain.kind is Kind.DECIMALS:
        return replace(base, atol=base.atol + half)
    return replace(base, rtol=base.rtol + 10 * half)


def tolerance_for(grains: Sequence[Grain], atol: float | None = None, rtol: float | None = None) -> Tolerance:
    """What is asked for; the rest as the coarser of the two sides has it."""
    found = [tolerance_of(grain) for grain in grains]
    return Tolerance(
        max(one.atol for one in found) if atol is None else atol,
        max(one.rtol for one in found) if rtol is None else rtol,
    )


def compare(
    left: np.ndarray, right: np.ndarray, tolerance: Tolerance, *, masked: bool = False
) -> tuple[np.ndarray, np.ndarray]:  # [m, n], [m, n] -> [m, n], [m, n] bool
    """(the absolute differences, which cells are out of tolerance); blank cells are equal to blank cells only."""
    difference, out = np.zeros(left.shape), np.zeros(left.shape, bool)
    for rows in blocks(left.shape):
        found, found_out = compare_rows(left[rows], right[rows], tolerance, masked=masked)
        if found.any():  # subtle: zeros take no memory until they are written
            difference[rows], out[rows] = found, found_out
    return difference, out


def blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Some rows after some rows: what is computed on the way to a few figures is never as large as a matrix."""
    step = max(1, BLOCK_CELLS // max(1, shape[1]))
    return (slice(start, start + step) for start in range(0, shape[0], step))


def compare_rows(
    left: np.ndarray, right: np.ndarray, tolerance: Tolerance, *, masked: bool
) -> tuple[np.ndarray, np.ndarray]:  # [m, n], [m, n] -> [m, n], [m, n] bool
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right)
    difference[left == right] = 0  # the same infinity on both sides
    difference[np.isnan(left) & np.isnan(right)] = 0
    difference[np.isnan(difference)] = np.inf
    if masked:
        in_left, in_right = masked_cells(left), masked_cells(right)
        difference[in_left & in_right] = 0
        difference[in_left ^ in_right] = np.inf
    return difference, ~(difference <= tolerance.allowed(finite(right)))


def finite(numbers: np.ndarray) -> np.ndarray:
    """0 in place of NaN and infinities."""
    return np.where(np.isfinite(numbers), numbers, 0)


class Figures(TypedDict):
    """What a report says of two matrices."""

    shape: tuple[int, int]
    cells: int
    largest_difference: float
    largest_relative: float  # |left - right| / the larger of |left| and |right|
    rms: float  # root mean square of the differences
    cosine: float | None


def figures(left: np.ndarray, right: np.ndarray, difference: np.ndarray, *, masked: bool) -> Figures:
    """The figures of two matrices and their differences, masked cells left out."""
    parts = [sums(left[rows], right[rows], difference[rows], masked=masked) for rows in blocks(left.shape)]
    count, squares, products, left_squares, right_squares, largest, largest_relative = (
        zip(*parts, strict=True) if parts else [(0.0,)] * 7
    )
    length = float(np.sqrt(sum(left_squares)) * np.sqrt(sum(right_squares)))
    rows, columns = left.shape
    return {
        "shape": (rows, columns),
        "cells": left.size,
        "largest_difference": max(largest),
        "largest_relative": max(largest_relative),
        "rms": float(np.sqrt(sum(squares) / sum(count))) if any(count) else 0.0,
        "cosine": min(1.0, sum(products) / length) if length else None,
    }


def sums(left: np.ndarray, right: np.ndarray, difference: np.ndarray, *, masked: bool) -> tuple[float, ...]:
    """What `figures` adds up of some rows.

    The number of cells that count, the sums of their differences' squares, of both sides' products, of each side's
    squares; the largest difference and the largest relative one.
    """
    counted = ~(masked_cells(left) | masked_cells(right)) if masked else np.ones(left.shape, bool)
    counted |= np.isinf(difference)
    a, b, d = finite(left[counted]), finite(right[counted]), difference[counted]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = np.where(d == 0, 0, d / np.maximum(np.abs(a), np.abs(b)))
        found = (d.size, d @ d, a @ b, a @ a, b @ b, d.max(initial=0), relative.max(initial=0))
    return tuple(map(float, found))
