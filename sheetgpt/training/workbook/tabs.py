"""A larger model's training step, as values: matrix under matrix, on tabs by block; stages' gradients on their own.

Of several steps the losses and their curve, and the first step's matrices.
"""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.models.step import Weight
from sheetgpt.sheets.shared import tab_look, tab_of, weight_tab
from sheetgpt.training.matrices import StepMatrix
from sheetgpt.training.step import Training
from sheetgpt.training.workbook.index import Index
from sheetgpt.training.workbook.layout import LOSS
from sheetgpt.training.workbook.losses import Losses, place_curve
from sheetgpt.training.workbook.shared import TrainingBook
from sheetgpt.workbook.grid import MAX_COLUMNS, Area, cell
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS


class OnTabs(TrainingBook):
    """The first step, its matrices spread over tabs."""

    def __init__(self, training: Training) -> None:
        super().__init__(training)
        self.areas: dict[str, Area] = {}

    has_room = True

    def write(self, path: Path) -> Path:
        first = Losses(self).write()
        place_curve(self.book, first, self.training, (LOSS, cell(2, 7)))
        by_tab: dict[str, list[StepMatrix]] = {}
        for matrix in self.training.steps[0].described.values():
            by_tab.setdefault(tab(matrix), []).append(matrix)
        for name, matrices in by_tab.items():
            self.write_tab(name, matrices)
        self.write_tables()
        Index(self, self.areas, []).write()
        self.book.save(path)
        return path

    def write_tab(self, tab: str, matrices: list[StepMatrix]) -> None:
        width = max(matrix.numbers.shape[1] for matrix in matrices) + LABEL_COLUMNS
        first = matrices[0]
        look = tab_look(first.step) if first.step and not first.is_gradient else {}
        self.book.add_tab(tab, tab.replace("_", " "), width, **look)
        row = 2
        for matrix in matrices:
            rows, columns = matrix.numbers.shape
            if columns + LABEL_COLUMNS > MAX_COLUMNS:
                raise DumpError(f"{matrix.name} has {columns:,} columns, more than a sheet", remedy="use --dump-csv")
            area = Area(tab, row + 4, LABEL_COLUMNS, rows, columns)
            self.put_matrix(area, matrix, None, label_column=1, link=f"internal:'{INDEX}'!A1")
            self.book.define(matrix.name, area.address())
            self.areas[matrix.name] = area
            row = area.row + rows + 1


def tab(matrix: StepMatrix) -> str:
    """The tab of a matrix: its stage's, its stage's for gradients, or its weight's."""
    if not isinstance(matrix.about, Weight):
        found = tab_of(matrix.about)
        return f"d_{found}" if matrix.is_gradient else found
    return weight_tab(matrix.of, matrix.about)
