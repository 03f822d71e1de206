"""Where the matrix of a tab stands that holds nothing but one, with or without labels, anywhere on the tab."""

from __future__ import annotations

from itertools import product

import numpy as np

from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.tab import NUMBER_WORDS, Tab

FEWEST_COUNTED = 3  # two numbers that count may be any
MOST_LABELS = 4  # rows or columns of titles and labels before the cells


def matrix_area(tab: Tab, *, texts: bool = False) -> Area | None:
    """The area of a tab's only matrix, or of its table of texts; None where the tab is blank.

    Labels are texts before the numbers; or numbers, where they count or the corner between them is blank.
    """
    filled, numeric = cells_of(tab)
    if not filled.any():
        return None
    top, left = (int(filled.any(axis=axis).argmax()) for axis in (1, 0))
    bottom, right = (int(np.flatnonzero(filled.any(axis=axis))[-1]) + 1 for axis in (1, 0))
    box = slice(top, bottom), slice(left, right)
    down, over = (
        labels_of_texts(filled[box]) if texts else labels_of_numbers(filled[box], numeric[box], tab.numbers[box])
    )
    return Area(tab.name, top + down, left + over, bottom - top - down, right - left - over)


def cells_of(tab: Tab) -> tuple[np.ndarray, np.ndarray]:  # [rows, columns] bool each
    """Which cells hold something, and which of them a number or the word for one."""
    numeric = ~np.isnan(tab.numbers)
    filled = numeric.copy()
    for at, value in tab.others.items():
        filled[at] = True
        numeric[at] |= isinstance(value, str) and value.lower() in NUMBER_WORDS
    return filled, numeric


def labels_of_texts(filled: np.ndarray) -> tuple[int, int]:
    """(rows, columns) of labels around a table of texts."""
    has_labels = has_blank_corner(filled, 0, 0)
    return int(has_labels), int(has_labels)


def labels_of_numbers(filled: np.ndarray, numeric: np.ndarray, numbers: np.ndarray) -> tuple[int, int]:
    """(rows, columns) before the numbers: as few as leave no text among these, and those that count."""
    texts = filled & ~numeric
    places = sorted(product(range(MOST_LABELS + 1), repeat=2), key=lambda place: (sum(place), place))
    inside = [(down, over) for down, over in places if down < filled.shape[0] and over < filled.shape[1]]
    down, over = next(((d, o) for d, o in inside if not texts[d:, o:].any()), (0, 0))
    is_row_label = has_blank_corner(filled, down, max(0, over - 1)) or counts(numbers[down, over:])
    is_column_label = has_blank_corner(filled, max(0, down - 1), over) or counts(numbers[down:, over])
    down, over = down + is_row_label, over + is_column_label
    if is_row_label != is_column_label:  # behind labels of one kind the other one counts from the first cell on
        down += not is_row_label and down + 1 < len(numbers) and counts(numbers[down, over:])
        over += not is_column_label and over + 1 < numbers.shape[1] and counts(numbers[down:, over])
    return down, over


def counts(numbers: np.ndarray) -> bool:
    """Are these 0, 1, 2, ... or 1, 2, 3, ..., as labels are?"""
    return len(numbers) >= FEWEST_COUNTED and any(
        np.array_equal(numbers - first, np.arange(len(numbers))) for first in (0, 1)
    )


def has_blank_corner(filled: np.ndarray, row: int, column: int) -> bool:
    """Is a cell blank where the rest of its row and of its column is filled?"""
    right, below = filled[row, column + 1 :], filled[row + 1 :, column]
    return bool(not filled[row, column] and right.size and below.size and right.all() and below.all())
