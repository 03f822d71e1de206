"""What tests of training workbooks share: their named matrices read back, and held against the training's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pytest

from sheetgpt.training.matrices import in_step
from sheetgpt.training.step import Training
from sheetgpt.workbook.reading.names import defined_names


def numbers(path: Path) -> dict[str, np.ndarray]:
    """Every named area of a workbook that holds numbers only, as matrices."""
    book, found = openpyxl.load_workbook(path, data_only=True), {}
    for name, (area, *_) in defined_names(path).items():
        rows = book[area.tab].iter_rows(
            area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns, values_only=True
        )
        cells = [list(row) for row in rows]
        if all(isinstance(value, int | float) for row in cells for value in row):
            found[name] = np.array(cells, float)
    return found


def assert_shows(path: Path, training: Training) -> None:
    """The workbook's named matrices are the training's, within 1e-9."""
    shown = numbers(path)
    for step in training.steps:
        for name, matrix in step.matrices.items():
            here = in_step(step.number, name)
            np.testing.assert_allclose(shown[here], matrix, rtol=1e-9, atol=1e-9, err_msg=here)
        assert shown[in_step(step.number, "loss")] == pytest.approx(step.loss, abs=1e-9)
