"""The tabs of weights, in the workbook of values and in the live one: each weight under its name, as the run took it.

Where they come to lie belongs in `live.plan`, links to them in `first_tab`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sheetgpt.files.cache import release
from sheetgpt.models.step import Axis
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import colours, shared
from sheetgpt.sheets.marks import mark, set_in_weight
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import Area, target, width
from sheetgpt.workbook.places import LABEL_COLUMNS

HEADINGS = {
    "weights_wte": "Parameters: a vector for each token",
    "weights_wpe": "Parameters: a vector for each position",
    "weights_head": "Parameters of the final layer norm",
    "weights_lm_head": "Parameters of the language head: a vector for each token",
}
NUMBERS_AT_A_TIME = 1 << 17  # of a matrix, between which its memory is given back
Areas = Mapping[str, Area]


def write_weights(book: Book, trace: Trace, areas: Areas, *, live: bool = False, addressed: bool = True) -> None:
    """The weights that have areas. live: as cells to type into; addressed: does each cell say its address?"""
    by_tab: dict[str, list[str]] = {}
    for name, area in areas.items():
        by_tab.setdefault(area.tab, []).append(name)
    for tab, names in by_tab.items():
        heading = heading_of(tab, trace.sizes.weights[names[0]].block)
        book.add_tab(tab, heading, width([areas[name] for name in names]), colour=style.PARAMETER_FILL)
        for name in names:
            write_weight(book, trace, name, areas[name], live=live, addressed=addressed)


def heading_of(tab: str, block: int | None) -> str:
    return HEADINGS.get(tab, "Parameters") if block is None else f"Parameters of block {block}"


def write_weight(book: Book, trace: Trace, name: str, area: Area, *, live: bool, addressed: bool) -> None:
    assert trace.weights is not None  # or there would be no run with weights
    matrix = np.asarray(trace.changed_weights.get(name, trace.weights[name]))
    book.text(area.tab, area.row - 2, 0, name, "stage")
    book.text(area.tab, area.row - 2, LABEL_COLUMNS, f"{area.rows:,} x {area.columns:,}", "shape")
    book.dimension_head(area, 0)
    label_rows(book, trace, name, area)
    found = set_in_weight(trace, name)
    if not live:
        parts = colours.pieces(area, found.cells if found else None)
        book.rule(style.value_scale(colours.largest(matrix)), *(parts or ()))
    book.put(Parameters(area, matrix, addressed), "parameter" if live else "number")
    if found:
        mark(book, [area], found)


def label_rows(book: Book, trace: Trace, name: str, area: Area) -> None:
    """The ids and tokens of a table's rows, the numbers of other rows; nothing of a single one."""
    if trace.sizes.weights[name].rows is Axis.VOCABULARY:
        shared.label_vocabulary(book, area, trace.labels.vocabulary())
        book.show_spaces(Area(area.tab, area.row, 1, area.rows, 1))
    elif area.rows > 1:
        for row in range(area.rows):
            book.number(area.tab, area.row + row, 1, row, "position")


class Parameters(Numbers):
    """A weight matrix, of which some rows at a time are in memory where it is mapped from disk."""

    def rows(self, style: bytes) -> Iterator[bytes]:
        step = max(1, NUMBERS_AT_A_TIME // self.matrix.shape[1])
        for start in range(0, len(self.matrix), step):
            lines = list(Numbers(self.area, self.matrix[start : start + step], self.addressed).rows(style))
            release(self.matrix)  # before the lines go out: after the last one nobody comes back
            yield from lines


def title_of(area: Area) -> str:
    """Where a link to a weight leads: its name."""
    return target(area.tab, area.row - 2)
