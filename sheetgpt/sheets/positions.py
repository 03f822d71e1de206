"""The position's own row beside token + position: what was added to the token's vector, so that the sum can be seen.

It is a part of the weight `model_wpe` and no stage, so it has no name. Stages belong in `values` and `live.writer`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sheetgpt import ops
from sheetgpt.models.step import Step
from sheetgpt.run.trace import Trace
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.grid import MAX_COLUMNS, Area, cell, quoted
from sheetgpt.workbook.places import Place

GAP, GAP_WIDTH = 1, 2  # columns between the sum and what was added; how wide they are
WORDS = "the row of each position, which is added"


def added_rows(step: Step, trace: Trace) -> tuple[str, np.ndarray] | None:
    """The weight whose rows a step adds, and the rows of the run's positions; None where it adds none."""
    if not isinstance(step.op, ops.AddRows) or trace.weights is None:
        return None
    name = next(one for one in step.inputs if one in trace.weights)
    if name in trace.overridden:
        return None
    return name, np.asarray(trace.weights[name][: len(trace.token_ids)])


def beside(place: Place) -> Area | None:
    """The cells at the right of a stage; None where they don't fit on the sheet."""
    area = place.areas[0]
    first = area.column + area.columns + GAP
    fits = len(place.areas) == 1 and first + area.columns <= MAX_COLUMNS
    return Area(area.tab, area.row, first, area.rows, area.columns) if fits else None


def write_values(book: Book, step: Step, place: Place, trace: Trace) -> None:
    """The rows as numbers."""
    found, area = added_rows(step, trace), beside(place)
    if found and area:
        write_head(book, found[0], place, area)
        book.put(Numbers(area, found[1]), "number")


def write_references(book: Book, step: Step, place: Place, trace: Trace, weights: Mapping[str, Area]) -> Area | None:
    """The rows as references to the parameters, empty where no token is. Returns where they stand."""
    found, area = added_rows(step, trace), beside(place)
    if not found or not area or found[0] not in weights:
        return None
    name, rows = found
    source = weights[name]
    texts = {
        (row, column, 1, 1): f'IF({cell(area.row + row, 0)}="","",'
        f"{quoted(source.tab)}!{cell(source.row + row, source.column + column)})"
        for row in range(area.rows)
        for column in range(area.columns)
    }
    spare = [[None] * area.columns for _ in range(area.rows - len(rows))]
    write_head(book, name, place, area)
    book.put(Formulas(area, [*rows.tolist(), *spare], texts), "live number")
    return area


def write_head(book: Book, name: str, place: Place, area: Area) -> None:
    book.text(area.tab, place.title_row, area.column, f"{name}: {WORDS}", "stage title")
    book.dimension_head(area, 0)
    book.sheets[area.tab].set_column(area.column - GAP, area.column - 1, GAP_WIDTH)
