"""How a training workbook's matrices look: number formats, colours by number, and what is beyond the word.

Where matrices stand is decided in `bands` and `tabs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.models.step import Axis
from sheetgpt.sheets.colours import MASKED_FORMAT
from sheetgpt.training.matrices import StepMatrix, What
from sheetgpt.training.workbook.given import N_POSITIONS
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell

SIGNED = (What.GRADIENT, What.MEAN, What.SQUARE)  # shown as gradients are
NUDGED = (What.NUDGED_LOSS, What.NUDGED_SLOPE)  # with the decimals in which a nudge shows
PARAMETERS = (What.WEIGHT, What.NEW, What.TARGET_SHARE, *NUDGED)  # shown as weights are, where they are values
BY_POSITION = (Axis.TOKENS, Axis.KEYS, Axis.HEADS_BY_KEYS)


def number_format(matrix: StepMatrix, *, live: bool) -> str:
    """The name of the format of a matrix's cells."""
    if matrix.what in NUDGED:
        return "live nudged" if live else "nudged"
    kind = "gradient" if matrix.what in SIGNED else "number"
    if live:
        return f"live {kind}"
    return "parameter" if matrix.what in PARAMETERS else kind


@dataclass(frozen=True)
class Colours:
    """The rules by which a matrix's cells are coloured. typed: a word is typed, and may have fewer positions."""

    book: Book
    n_head: int
    typed: bool

    def put(self, area: Area, matrix: StepMatrix) -> None:
        """What helps the eye; the first rule that holds wins."""
        beyond = self.beyond(area, matrix) if self.typed else ""
        if beyond:
            self.hide(area, beyond)
        if is_masked(matrix):
            grey = self.book.conditional(MASKED_FORMAT)
            self.rule(area, {"type": "cell", "criteria": "<", "value": ops.MASKED_BELOW, "format": grey})
        if matrix.is_share and beyond:
            self.bands(area, beyond)
        elif scale := colour_scale(matrix):
            self.rule(area, scale)

    def leave_labels_white(self, area: Area, matrix: StepMatrix, label_column: int) -> None:
        """Labels of positions beyond the word; area: of the matrix."""
        if self.typed and matrix.rows in BY_POSITION:
            labels = Area(area.tab, area.row, label_column, area.rows, 1)
            self.hide(labels, f"ROW()-{area.row + 1}>={N_POSITIONS}")
        if self.typed and matrix.columns in BY_POSITION:
            self.hide(Area(area.tab, area.row - 1, area.column, 1, area.columns), self.beyond_columns(area, matrix))

    def hide(self, area: Area, condition: str) -> None:
        hidden = {"bg_color": style.BLANK_FILL, "font_color": style.BLANK_FILL, "num_format": style.HIDDEN}
        self.rule(area, {"type": "formula", "criteria": f"={condition}", "format": self.book.conditional(hidden)})

    def beyond(self, area: Area, matrix: StepMatrix) -> str:
        """The condition that a cell belongs to a position beyond the word; empty where none can."""
        found = [f"ROW()-{area.row + 1}>={N_POSITIONS}"] if matrix.rows in BY_POSITION else []
        if matrix.columns in BY_POSITION:
            found.append(self.beyond_columns(area, matrix))
        return f"OR({','.join(found)})" if found else ""

    def beyond_columns(self, area: Area, matrix: StepMatrix) -> str:
        keys = area.columns // self.n_head if matrix.columns is Axis.HEADS_BY_KEYS else area.columns
        place = f"COLUMN()-{area.column + 1}"
        return f"{place if keys == area.columns else f'MOD({place},{keys})'}>={N_POSITIONS}"

    def bands(self, area: Area, beyond: str) -> None:
        """Parts of a whole, but for cells beyond the word: a colour scale would colour those as well."""
        here = cell(area.row, area.column)
        for low, colour in style.SHARE_BANDS:
            condition = f"=AND(NOT({beyond}),ISNUMBER({here}),N({here})>={low})"
            form = self.book.conditional({"bg_color": colour})
            self.rule(area, {"type": "formula", "criteria": condition, "format": form})

    def rule(self, area: Area, rule: dict[str, Any]) -> None:
        corners = (area.row, area.column, area.row + area.rows - 1, area.column + area.columns - 1)
        stops = {} if rule["type"].endswith("scale") else {"stop_if_true": True}
        self.book.sheets[area.tab].conditional_format(*corners, {**rule, **stops})


def is_masked(matrix: StepMatrix) -> bool:
    """May its cells hold the mark of "may not look"?"""
    return matrix.what is What.STAGE and matrix.step is not None and matrix.step.op.masked


def colour_scale(matrix: StepMatrix) -> dict[str, Any] | None:
    """How a matrix's cells are coloured by their numbers, where they are."""
    if matrix.is_gradient:
        return style.gradient_scale(float(np.abs(matrix.numbers).max(initial=0)) or 1.0)
    return style.SHARE_SCALE if matrix.is_share else None
