"""The tab `loss` of a training workbook: the predictions of the first step, the loss of every step, and its curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sheetgpt.training.step import Training
from sheetgpt.training.workbook.given import N_POSITIONS, Row
from sheetgpt.training.workbook.layout import LOSS
from sheetgpt.training.workbook.shared import TrainingBook
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area

FIRST_ROW = 3  # the first prediction's
COLUMNS = ("position", "context", "target", "probability", "penalty", "share")
FORMATS = ("value", "plain", "plain", "loss value", "loss value", "loss value")


class LossCells(NamedTuple):
    """The cells that the tab's formulas read."""

    steps: Sequence[Area]  # each step's loss
    penalties: Area  # the row of the first step's


class Losses:
    """Writes the tab: formulas where there are cells that they read, else values."""

    def __init__(self, of: TrainingBook, cells: LossCells | None = None) -> None:
        self.of, self.book, self.training, self.cells = of, of.book, of.training, cells

    def write(self) -> int:
        """Returns the row of the first step's loss."""
        in_short = self.training.loss.penalty.in_short
        heading = f"Loss: the penalties ({in_short}) of the first step, and the loss of every step"
        self.book.add_tab(LOSS, heading, len(COLUMNS))
        self.book.sheets[LOSS].set_column(0, len(COLUMNS) - 1, 13)
        for column, text in enumerate(COLUMNS):
            self.book.text(LOSS, FIRST_ROW - 1, column, text, "table head")
        rows = self.write_predictions()
        row = FIRST_ROW + 2 + rows
        for column, text in enumerate(("step", "loss")):
            self.book.text(LOSS, row, column, text, "table head")
        for number, step in enumerate(self.training.steps):
            self.book.number(LOSS, row + 1 + number, 0, step.number, "value")
            address = self.cells.steps[number].address() if self.cells else ""
            self.put(row + 1 + number, 1, address, step.loss, "loss value")
        return row + 1

    def write_predictions(self) -> int:
        """A row for each prediction of the first step; where a word is typed, for each that there is room for."""
        rows = self.training.loss_table(self.training.steps[0])
        count = len(self.of.example.ids) if self.cells else len(rows)
        for k in range(count):
            values: list[str | float] = [""] * len(COLUMNS)
            if k < len(rows):
                one = rows[k]
                values = [k, one.context, one.target, one.probability, one.penalty, one.share]
            for column, (text, value) in enumerate(zip(self.formulas(k), values, strict=True)):
                self.put(FIRST_ROW + k, column, text, value, FORMATS[column])
        return count

    def formulas(self, k: int) -> list[str]:
        """Those of a prediction's cells; empty beyond the word."""
        if self.cells is None:
            return [""] * len(COLUMNS)
        given = self.of.given
        context, coming, share = (given.here(row, k).address() for row in (Row.CONTEXT, Row.COMING, Row.SHARE))
        penalty = self.cells.penalties.part(column=k, columns=1).address()
        texts = [str(k), context, coming, self.training.loss.penalty.probability_formula(penalty), penalty, share]
        beyond = f"{k}>={N_POSITIONS}" if given.types_words else f"{share}=0"
        return [f'IF({beyond},"",{text})' for text in texts]

    def put(self, row: int, column: int, formula: str, value: str | float, fmt: str) -> None:
        if self.cells:
            self.book.formula(LOSS, row, column, f"={formula}", value, fmt)
        elif isinstance(value, str):
            self.book.text(LOSS, row, column, value, fmt)
        else:
            self.book.number(LOSS, row, column, value, fmt)


def digits_of(losses: Sequence[float]) -> int:
    """Behind the point, so that the axis of a curve tells its marks apart.

    >>> digits_of([1.7, 0.4]), digits_of([0.8357, 0.8351])
    (2, 5)
    """
    span = max(losses) - min(losses)
    return 2 if span <= 0 else min(6, max(2, 1 - math.floor(math.log10(span))))


def loss_chart(book: Book, first_row: int, count: int, in_short: str, digits: int) -> Any:
    """The loss of each step as a line: steps in column A of the losses' tab, losses in column B."""
    chart: Any = book.workbook.add_chart({"type": "line"})
    last_row = first_row + count - 1
    chart.add_series(
        {
            "name": "loss",
            "categories": [LOSS, first_row, 0, last_row, 0],
            "values": [LOSS, first_row, 1, last_row, 1],
            "line": {"color": style.ACCENT, "width": 2},
        }
    )
    font, line = {"size": 11, "color": style.INK, "bold": True}, {"color": style.LINE}
    chart.set_title({"name": f"The loss (mean of {in_short}), step by step", "name_font": font})
    chart.set_legend({"none": True})
    chart.set_x_axis({"num_font": {"size": 9}, "line": line})
    gridlines = {"visible": True, "line": line}
    chart.set_y_axis({"num_font": {"size": 9}, "num_format": f"0.{'0' * digits}", "major_gridlines": gridlines})
    chart.set_size({"width": 480, "height": 200})
    return chart


def place_curve(book: Book, first_row: int, training: Training, *places: tuple[str, str]) -> None:
    """The curve on each (tab, cell); none of a single step."""
    losses = [step.loss for step in training.steps]
    for tab, where in places if len(losses) > 1 else ():
        about = {"object_position": 3, "description": f"The loss of {len(losses)} steps as a line"}
        chart = loss_chart(book, first_row, len(losses), training.loss.penalty.in_short, digits_of(losses))
        book.sheets[tab].insert_chart(where, chart, about)
