"""Cells beyond what is allowed: the worst one is the first of all that are, and these stand in falling order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sheetgpt.diff.cells import Cells
from sheetgpt.diff.matrices import Tolerance, compare

SHAPE = (3, 4)
NUMBERS = st.sampled_from([0.0, 0.5, 1.0, -1.0, 1.25, 300.0, np.nan, np.inf])
MATRICES = arrays(np.float64, SHAPE, elements=NUMBERS)


@given(MATRICES, MATRICES, st.sampled_from([Tolerance(0, 0), Tolerance(0.1, 0), Tolerance(0.1, 0.3)]))
def test_the_worst_cells_first(left, right, tolerance):
    difference, out = compare(left, right, tolerance)
    cells = Cells([], left, right, difference, out, np.zeros(SHAPE, bool), None)
    found = cells.worst_first(tolerance, out.size)
    assert sorted(found) == [tuple(cell) for cell in np.argwhere(out).tolist()]
    beyond = [cells.beyond(tolerance)[cell] for cell in found]
    assert beyond == sorted(beyond, reverse=True)
    assert found == [] or found[0] == cells.worst(tolerance)
    assert cells.worst_first(tolerance, 2) == found[:2]
