"""The colours of a stage's cells: scales about 0, shares, masked cells in grey, a line between heads.

Cells that a person changed are left out of all of it, so that their marks are seen: a colour scale lies over any fill.
What a stage is, its step says; the colours themselves belong in `workbook.style`.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from sheetgpt import ops
from sheetgpt.models.step import Axis, Step
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, boxes

HEAD_BORDER = {"left": 1, "left_color": style.PALE}
MASKED_FORMAT = {"font_color": style.PALE, "num_format": "0E+0"}
ZERO_FORMAT = {"font_color": style.PALE, "num_format": "0"}
NEAR_ALL = 99  # per cent of the numbers, within which a scale ends: some are far larger than the rest
LOOKED_AT = 10_000  # numbers of a matrix, which tell how large they are
MOST_PIECES = 600  # of an area that a scale is laid over: beyond, it has none


def highlight(
    book: Book,
    step: Step,
    area: Area,
    keys: int | None,
    matrix: np.ndarray,
    *,
    start: int = 0,
    changed: np.ndarray | None = None,
    zero: str = style.BLANK_FILL,
) -> None:
    """What helps the eye. keys: columns of a head, None where heads aren't divided by keys; matrix: the whole stage.

    start: the stage's column that the area begins with. changed: the cells of the area, of bool, that a person changed.
    zero: the colour of numbers near 0.
    """
    apart = pieces(area, changed)
    if apart is None:
        return
    if step.by_head and keys:
        first_of_head = f"=MOD(COLUMN()-{area.column + 1 - start % keys},{keys})=0"
        book.rule({"type": "formula", "criteria": first_of_head, "format": book.conditional(HEAD_BORDER)}, *apart)
    if step.by_head and step.op.shares:
        book.rule({"type": "cell", "criteria": "=", "value": 0, "format": book.conditional(ZERO_FORMAT)}, *apart)
        book.rule(style.ATTENTION_SCALE, *apart)
    elif step.op.masked:
        grey = book.conditional(MASKED_FORMAT)
        book.rule({"type": "cell", "criteria": "<", "value": ops.MASKED_BELOW, "format": grey}, *apart)
        if step.by_head and keys:
            book.rule(style.value_scale(largest(matrix), zero), *(seen(area, keys, start, changed) or ()))
    elif step.op.shares:
        book.rule(style.SHARE_SCALE, *apart)
    elif step.columns is not Axis.LOGIT:
        book.rule(style.value_scale(largest(matrix), zero), *apart)


def largest(matrix: np.ndarray, per_cent: float = NEAR_ALL) -> float:
    """How large in size nearly all numbers of a matrix are, masked ones left out; never 0."""
    numbers = matrix.ravel()[:: max(1, matrix.size // LOOKED_AT)].astype(np.float64)
    numbers = np.abs(numbers[np.isfinite(numbers) & ~ops.masked_cells(numbers)])
    size = percentile(numbers, per_cent) if numbers.size else 0.0
    return float(f"{size:.3g}") or float(numbers.max(initial=0)) or 1.0


def percentile(numbers: np.ndarray, per_cent: float) -> float:  # [n]
    """As numpy's, which imports its masked arrays for it: a thirtieth of what `run` takes."""
    return float(np.interp(per_cent / 100 * (numbers.size - 1), np.arange(numbers.size), np.sort(numbers)))


# ------------------------------------------------------------------------------------------------ pieces of areas


def pieces(area: Area, left_out: np.ndarray | None) -> list[Area] | None:
    """The area without some cells; None where that would be too many pieces."""
    return [area] if left_out is None else rectangles(area, ~left_out)


def seen(area: Area, keys: int, start: int, left_out: np.ndarray | None) -> list[Area] | None:
    """Where no token looks ahead, without some cells; None where that would be too many pieces."""
    if area.rows * (area.columns // keys + 1) > MOST_PIECES:
        return None
    key = np.arange(start, start + area.columns) % keys
    keep = key[None, :] <= np.arange(area.rows)[:, None]
    return rectangles(area, keep if left_out is None else keep & ~left_out)


def rectangles(area: Area, keep: np.ndarray) -> list[Area] | None:
    """The cells of an area that are to be kept, as rectangles; None where those are too many."""
    found = [area.part(*box) for box in islice(boxes(keep), MOST_PIECES + 1)]
    return found if len(found) <= MOST_PIECES else None
