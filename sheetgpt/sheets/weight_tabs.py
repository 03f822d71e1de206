"""The weights in the workbook of values: each under its name, on the tabs that the live workbook has for them too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sheetgpt.models.step import Axis
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import colours
from sheetgpt.sheets.live.plan import lay_out_weights
from sheetgpt.sheets.marks import mark, set_in_weight
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import Area, width
from sheetgpt.workbook.places import LABEL_COLUMNS

HEADING = "Weights: what training found"
Areas = Mapping[str, Area]


def write_weights(book: Book, trace: Trace) -> Areas:
    """Every weight, as the run took it. Returns where they stand. Raises DumpError where a sheet can't hold one."""
    areas = lay_out_weights(trace.sizes.weights)
    by_tab: dict[str, list[str]] = {}
    for name, area in areas.items():
        by_tab.setdefault(area.tab, []).append(name)
    for tab, names in by_tab.items():
        book.add_tab(tab, HEADING, width([areas[name] for name in names]), colour=style.PARAMETER_FILL)
        for name in names:
            write_weight(book, trace, name, areas[name])
    return areas


def write_weight(book: Book, trace: Trace, name: str, area: Area) -> None:
    assert trace.weights is not None  # or there would be no run with weights
    own = trace.weights[name]
    matrix = np.asarray(trace.changed_weights.get(name, own))
    book.text(area.tab, area.row - 2, 0, name, "stage")
    book.text(area.tab, area.row - 2, LABEL_COLUMNS, f"{area.rows:,} x {area.columns:,}", "shape")
    book.dimension_head(area, 0)
    if area.rows > 1:
        label_rows(book, trace, name, area)
    book.put(Numbers(area, matrix), "number")
    book.define(name, area.address())
    found = set_in_weight(trace, name)
    parts = colours.pieces(area, found.cells if found else None)
    book.rule(style.value_scale(colours.largest(matrix)), *(parts or ()))
    if found:
        mark(book, [area], found)


def label_rows(book: Book, trace: Trace, name: str, area: Area) -> None:
    by_token = trace.sizes.weights[name].rows is Axis.VOCABULARY
    tokens = trace.labels.vocabulary() if by_token else ()
    for row in range(area.rows):
        book.number(area.tab, area.row + row, 0 if by_token else 1, row, "position")
        if by_token:
            book.text(area.tab, area.row + row, 1, tokens[row], "token")
    if by_token:
        book.show_spaces(Area(area.tab, area.row, 1, area.rows, 1))


def target(area: Area) -> str:
    """Where a link to a weight leads."""
    return f"'{area.tab}'!A{area.row - 1}"
