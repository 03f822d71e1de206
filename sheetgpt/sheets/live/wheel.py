"""The wheel on the tab of picks: its table, the ring of the candidates' shares, and the mark where it stops.

Where the shares come from belongs in `picks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell

SLICES = 12  # of the wheel, and one for all others
COLOURS = (style.SHARE, style.AGAINST)
POINTER = 0.006  # of the wheel's rim
MARKS = ("before the mark", "the mark", "behind it")


@dataclass(frozen=True)
class Wheel:
    """What goes round. tokens, shares, sums: columns of the candidates, best first; sums: of the shares up to each.

    stops: the cell of the number where it stops.
    """

    book: Book
    tokens: Area
    shares: Area
    sums: Area
    stops: str

    @property
    def tab(self) -> str:
        return self.tokens.tab

    @property
    def slices(self) -> int:
        return min(SLICES, self.tokens.rows)

    @property
    def first_mark(self) -> int:  # the row of its table, in which one is left free above the marks
        return self.tokens.row + self.slices + 2

    def write(self, column: int, tokens: Sequence[str], shares: np.ndarray, stop: float) -> None:  # shares [candidates]
        """Its table. column: the first one; the rest: what stands in the cells when the workbook is written."""
        book, top = self.book, self.tokens.row
        for number, head in enumerate(("on the wheel", "probability")):
            book.text(self.tab, top - 1, column + number, head, "table head")
        for i in range(self.slices):
            text, share = (f"={cell(top + i, source.column)}" for source in (self.tokens, self.shares))
            book.leaf(self.tab, top + i, column, text, tokens[i], "live text")
            book.leaf(self.tab, top + i, column + 1, share, float(shares[i]), "live probability")
        self._write_others(column, max(0.0, 1 - float(np.cumsum(shares)[self.slices - 1])))
        self._write_marks(column, stop)

    def _write_others(self, column: int, share: float) -> None:
        row, last = self.tokens.row + self.slices, cell(self.tokens.row + self.slices - 1, self.sums.column)
        self.book.text(self.tab, row, column, "all others", "key")
        formula = f'=IF({last}="","",MAX(0,1-{last}))'
        self.book.leaf(self.tab, row, column + 1, formula, share, "live probability")

    def _write_marks(self, column: int, stop: float) -> None:
        half = POINTER / 2
        formulas = (f"MAX(0,{self.stops}-{half})", f"{POINTER}", f"MAX(0,1-{self.stops}-{half})")
        values = (max(0.0, stop - half), POINTER, max(0.0, 1 - stop - half))
        for row, (label, formula, value) in enumerate(zip(MARKS, formulas, values, strict=True), start=self.first_mark):
            self.book.text(self.tab, row, column, label, "key")
            self.book.leaf(self.tab, row, column + 1, f"={formula}", value, "live probability")

    def draw(self, column: int, at: tuple[int, int]) -> None:
        """The ring of its table, and the rim with the mark around it. at: the cell of its corner."""
        chart: Any = self.book.workbook.add_chart({"type": "doughnut"})
        ring, rim = (self.tokens.row, self.tokens.row + self.slices), (self.first_mark, self.first_mark + 2)
        points = [{"fill": {"color": colour}} for colour in (*colours(self.slices), style.LINE)]
        mark = [{"fill": {"none": True}}, {"fill": {"color": style.WARNING}}, {"fill": {"none": True}}]
        for name, (first, last), filled in (("wheel", ring, points), ("stops at", rim, mark)):
            chart.add_series(
                {
                    "name": name,
                    "categories": [self.tab, first, column, last, column],
                    "values": [self.tab, first, column + 1, last, column + 1],
                    "points": filled,
                }
            )
        font = {"size": 11, "color": style.INK, "bold": True}
        chart.set_title({"name": "The wheel: it stops at the mark", "name_font": font})
        chart.set_hole_size(35)
        chart.set_legend({"position": "right", "font": {"size": 9}, "delete_series": []})
        chart.set_chartarea({"border": {"color": style.LINE}})
        chart.set_size({"width": 400, "height": 270})
        alt = "A wheel of the candidates' probabilities, with a mark where the random number stops it"
        self.book.sheets[self.tab].insert_chart(*at, chart, {"object_position": 3, "description": alt})


def colours(count: int) -> list[str]:
    """Quiet colours, neighbours of the two accents in turn: slices beside each other differ."""
    mixed = []
    for number in range(count):
        ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (COLOURS[number % 2], "#FFFFFF")]
        mixed.append(np.array(ends[0]) + (np.array(ends[1]) - ends[0]) * (number // 2) / (count // 2 + 1))
    return ["#" + "".join(f"{round(part):02X}" for part in colour.tolist()) for colour in mixed]
