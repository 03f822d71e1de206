"""A larger model's training step, as values: matrix under matrix, on tabs by block; stages' gradients on their own."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.models.step import Weight
from sheetgpt.sheets.shared import tab_look, tab_of, weight_tab
from sheetgpt.training.matrices import StepMatrix
from sheetgpt.training.step import OneStep
from sheetgpt.training.workbook.layout import LOSS
from sheetgpt.training.workbook.shared import TrainingBook
from sheetgpt.workbook.grid import MAX_COLUMNS, Area
from sheetgpt.workbook.places import LABEL_COLUMNS


class OnTabs(TrainingBook):
    """One step, its matrices spread over tabs."""

    has_room = True

    def write(self, path: Path) -> Path:
        step = self.training.steps[0]
        self.write_loss_table(step)
        by_tab: dict[str, list[StepMatrix]] = {}
        for matrix in step.described.values():
            by_tab.setdefault(tab(matrix), []).append(matrix)
        for name, matrices in by_tab.items():
            self.write_tab(name, matrices)
        self.write_tables()
        self.write_index()
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
            self.put_matrix(area, matrix, None, label_column=1)
            self.book.define(matrix.name, area.address())
            row = area.row + rows + 1

    def write_loss_table(self, step: OneStep) -> None:
        head = ["position", "context", "target", "probability", "penalty", "share"]
        rows = [tuple(getattr(row, name) for name in head) for row in self.training.loss_table(step)]
        self.write_table(LOSS, f"Loss {step.loss:.6f}: the mean of the penalties", head, rows)


def tab(matrix: StepMatrix) -> str:
    """The tab of a matrix: its stage's, its stage's for gradients, or its weight's."""
    if not isinstance(matrix.about, Weight):
        found = tab_of(matrix.about)
        return f"d_{found}" if matrix.is_gradient else found
    return weight_tab(matrix.of, matrix.about)
