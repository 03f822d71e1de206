"""Rectangles of cells on a sheet."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sheetgpt.workbook.grid import boxes


@given(arrays(bool, st.tuples(st.integers(0, 7), st.integers(1, 8))))
def test_boxes_cover_exactly_the_true_cells_once(cells):
    covered = np.zeros(cells.shape, int)
    for row, column, rows, columns in boxes(cells):
        covered[row : row + rows, column : column + columns] += 1
    assert np.array_equal(covered, cells)


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_boxes_grow_as_far_down_as_their_run_goes(cells):
    """No box stands on another of the same columns."""
    found = [*boxes(cells)]
    below = {(row + rows, column, columns) for row, column, rows, columns in found}
    assert not below & {(row, column, columns) for row, column, _, columns in found}
