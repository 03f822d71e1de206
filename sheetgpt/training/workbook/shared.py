"""What every training workbook has: how a named matrix stands, the index, the tables.

Where matrices stand is decided in `bands` and `tabs`; the numbers come from `training.step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sheetgpt.models.step import Axis
from sheetgpt.ops import Box
from sheetgpt.training.example import readable
from sheetgpt.training.matrices import StepMatrix, What
from sheetgpt.training.step import Training
from sheetgpt.training.workbook.layout import CHECK, GRAPH
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers, Table
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import INDEX

SIGNED = (What.GRADIENT, What.MEAN, What.SQUARE, What.NUDGED_SLOPE)  # shown as gradients are
PARAMETERS = (What.WEIGHT, What.NEW, What.TARGET_SHARE, What.NUDGED_LOSS, What.NUDGED_SLOPE)  # shown as weights are

Cells = Mapping[Box, str]  # the formula of each piece of a matrix


@dataclass(frozen=True)
class LabelCells:
    """The labels of a matrix's rows or columns: texts or numbers, and where they are live the cells they come from."""

    texts: Sequence[Any]
    formulas: Sequence[str] | None = None


class TrainingBook:
    """What both forms share: index, loss, gradient check, graph of Values, and how a matrix is written."""

    has_room = False  # beside a matrix

    def __init__(self, training: Training) -> None:
        self.training, self.example, self.settings = training, training.example, training.settings
        self.book = Book(title=f"Training: {training.text or 'token ids'}"[:200])
        self.vocabulary = [readable(training.model, i) for i in range(training.model.config.n_vocab)]
        self.by_position = LabelCells(self.example.context)
        self.book.add_tab(INDEX)

    def row_labels(self, matrix: StepMatrix) -> LabelCells:
        count = len(matrix.numbers)
        if matrix.rows is Axis.VOCABULARY:
            return LabelCells(self.vocabulary)
        if matrix.rows is Axis.TOKENS:
            return self.by_position
        return LabelCells([""] * count if matrix.rows is Axis.PENALTY else range(count))

    def column_labels(self, matrix: StepMatrix) -> LabelCells:
        by_position = matrix.columns in (Axis.TOKENS, Axis.KEYS)
        return self.by_position if by_position else LabelCells(range(matrix.numbers.shape[1]))

    def why(self, matrix: StepMatrix) -> str:
        """Why it is there, where nothing beside would cut the sentence."""
        room = matrix.numbers.shape[1] * style.NUMBER_WIDTH
        return matrix.why if self.has_room or len(f"{matrix.title}   {matrix.why}") <= room else ""

    def put_matrix(self, area: Area, matrix: StepMatrix, cells: Cells | None, *, label_column: int) -> None:
        """A matrix with its head and labels; the head takes the four rows over it."""
        book, tab = self.book, area.tab
        book.text(tab, area.row - 4, area.column, matrix.name, "stage")
        book.stage_title(tab, area.row - 3, area.column, matrix.title, self.why(matrix))
        book.text(tab, area.row - 2, area.column, matrix.words, "words")
        rows, columns = self.row_labels(matrix), self.column_labels(matrix)
        for number in range(area.rows):
            self.put_label(tab, area.row + number, label_column, rows, number, "token")
        for number in range(area.columns):
            self.put_label(tab, area.row - 1, area.column + number, columns, number, "head token")
        kind = "gradient" if matrix.what in SIGNED else "number"
        if cells:
            book.put(Formulas(area, matrix.numbers.tolist(), cells), f"live {kind}")
        else:
            book.put(Numbers(area, matrix.numbers), "parameter" if matrix.what in PARAMETERS else kind)
        if scale := colour_scale(matrix):
            corners = (area.row, area.column, area.row + area.rows - 1, area.column + area.columns - 1)
            book.sheets[tab].conditional_format(*corners, scale)

    def put_label(self, tab: str, row: int, column: int, labels: LabelCells, number: int, kind: str) -> None:
        text = labels.texts[number]
        if labels.formulas:
            self.book.formula(tab, row, column, f"={labels.formulas[number]}", text, kind)
        elif isinstance(text, str):
            self.book.text(tab, row, column, text, kind)
        else:
            self.book.number(tab, row, column, text, "head" if kind == "head token" else "position")

    def write_tables(self) -> None:
        """The tabs of the gradient check and of the graph of Values, where there are such."""
        if self.training.gradient_check:
            checks = [
                (c.weight, c.row, c.column, c.value, c.backprop, c.numeric, c.value_graph, c.difference)
                for c in self.training.gradient_check
            ]
            head = ["weight", "row", "column", "value", "backprop", "numeric", "value graph", "largest difference"]
            self.write_table(CHECK, "The gradient of every weight, found in three ways", head, checks)
        if self.training.value_graph:
            head = ["node", "name", "operation", "children", "value", "local derivatives", "gradient"]
            nodes = [
                (
                    n.node, n.name, n.operation, " ".join(map(str, n.children)), n.value,
                    " ".join(f"{slope:.6g}" for slope in n.slopes), n.gradient,
                )
                for n in self.training.value_graph
            ]  # fmt: skip
            self.write_table(GRAPH, "Every number from the weights to the loss, and what it was made of", head, nodes)

    def write_table(self, tab: str, heading: str, head: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
        self.book.add_tab(tab, heading, len(head))
        self.book.sheets[tab].set_column(0, len(head) - 1, 20)
        for column, text in enumerate(head):
            self.book.text(tab, 2, column, text, "table head")
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
        columns = [np.array(column) if isinstance(column[0], float) else column for column in columns]
        kinds = [{float: "exact", int: "rank"}.get(type(cell), "plain") for cell in rows[0]]
        self.book.put_table(Table(Area(tab, 3, 0, len(rows), len(head)), columns), kinds)

    def write_index(self) -> None:
        book, sheet = self.book, self.book.sheets[INDEX]
        sheet.set_column(1, 1, 25)
        sheet.set_column(2, 2, 60)
        book.text(INDEX, 0, 1, "A training step, number by number", "title")
        sheet.set_row(0, 30)
        subtitle = (
            "Weights, stages, loss, gradients (d_), the optimiser's state and the new weights, each under its name."
        )
        book.text(INDEX, 1, 1, subtitle, "subtitle")
        steps = self.training.steps
        facts: list[tuple[str, str | int]] = [
            ("Text", self.training.text if self.training.text is not None else "(token ids)"),
            ("Model", self.training.model.config.model),
            ("Steps", len(steps)),
            ("Optimiser", self.settings.optimizer),
            ("Learning rate", f"{self.settings.learning_rate:g}"),
            ("Gradient by", self.settings.gradient),
            ("Loss before", f"{steps[0].loss:.6f}"),
            ("Loss of the last step", f"{steps[-1].loss:.6f}"),
        ]
        for row, (key, value) in enumerate(facts, start=3):
            book.text(INDEX, row, 1, key, "key")
            if isinstance(value, str):
                book.text(INDEX, row, 2, value, "text")
            else:
                book.number(INDEX, row, 2, value, "value")
        row = 5 + len(facts)
        for number, tab in enumerate(name for name in book.sheets if name != INDEX):
            sheet.write_url(row + number, 1, f"internal:'{tab}'!A1", book.format("link"), tab)


def colour_scale(matrix: StepMatrix) -> dict[str, Any] | None:
    """How a matrix's cells are coloured by their numbers, where they are."""
    if matrix.is_gradient:
        return style.gradient_scale(float(np.abs(matrix.numbers).max(initial=0)) or 1.0)
    return style.SHARE_SCALE if matrix.is_share else None
