"""The tab of the live workbook that counts each matrix's numbers, and names the first cell that holds none.

A weight or an attention weight that is deleted, or overwritten by a text, makes errors of all that follows. The first
matrix in causal order that is short of a number is the one to mend. Counting costs next to nothing; cells are looked
at one by one only where a number is missing. What is wrong with words belongs in `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell, quoted
from sheetgpt.workbook.references import N_TOKENS, Names, Source

CHECKS = "checks"  # the tab
FAULT = "fault"  # the name of what is wrong, empty where nothing is
HEADING = "Is every cell a number? The index names the first one that is none"
FAULT_CELL, FIRST_ROW = Area(CHECKS, 1, 1, 1, 1), 4
DUE, FOUND, PLACE, MESSAGE, SO_FAR = 1, 2, 3, 4, 5  # columns; the name stands before them
WIDTHS = {0: 34, DUE: 14, FOUND: 14, PLACE: 14, MESSAGE: 60}
HEADS = ("matrix", "numbers due", "numbers found", "first missing", "message")
SEARCHED = 4_000_000  # cells up to which the missing one is looked for: that takes some times the matrix's memory
NOWHERE = 10**9


@dataclass(frozen=True)
class Check:
    """What one matrix should hold: a number in each of its cells in use. computed: it has none without a token."""

    source: Source
    computed: bool

    @property
    def keys(self) -> int:
        """The columns of a head, or of all keys."""
        return self.source.area.columns // (self.source.heads if self.source.live == "heads" else 1)

    @property
    def by_key(self) -> bool:
        return self.source.live in ("both", "heads")

    def due(self, n_tokens: int) -> int:
        """How many numbers there should be."""
        area = self.source.area
        if self.by_key:
            return n_tokens**2 * (area.columns // self.keys)
        return area.columns * (n_tokens if self.source.live else area.rows if n_tokens or not self.computed else 0)

    def due_formula(self) -> str:
        area = self.source.area
        if self.by_key:
            return f"={N_TOKENS}*{N_TOKENS}*{area.columns // self.keys}"
        if self.source.live:
            return f"={N_TOKENS}*{area.columns}"
        count = area.rows * area.columns
        return f"=IF({N_TOKENS}=0,0,{count})" if self.computed else f"={count}"

    def place_formula(self, row: int) -> str:
        """The first cell in use without a number, counted row by row from 0; empty where none is short of one.

        -1 where it isn't looked for.
        """
        area, where = self.source.area, self.source.area.address()
        below, right = f"ROW({where})-{area.row + 1}", f"COLUMN({where})-{area.column + 1}"
        counted = f"({below})*{area.columns}+{right}"
        if self.source.live:
            counted = f"IF({below}<{N_TOKENS},{self._in_use(counted, right)},{NOWHERE})"
        search = f"MIN(IF(ISNUMBER({where}),{NOWHERE},{counted}))"
        short = f"{cell(row, FOUND)}<{cell(row, DUE)}"
        return f'{{=IF({short},{search if area.rows * area.columns <= SEARCHED else -1},"")}}'

    def _in_use(self, counted: str, right: str) -> str:
        return f"IF(MOD({right},{self.keys})<{N_TOKENS},{counted},{NOWHERE})" if self.by_key else counted

    def message_formula(self, row: int) -> str:
        area, place = self.source.area, cell(row, PLACE)
        at = f"ADDRESS({area.row + 1}+INT({place}/{area.columns}),{area.column + 1}+MOD({place},{area.columns}),4)"
        here = f'"{self.source.name}: {quoted(area.tab)}!"&{at}&" holds no number: type one there"'
        return f'=IF({place}="","",IF({place}<0,{self.somewhere},{here}))'

    @property
    def somewhere(self) -> str:
        area = self.source.area
        return f'"{self.source.name}: a cell of {quoted(area.tab)}!{area.range()} holds no number"'

    def write(self, book: Book, row: int, n_tokens: int) -> None:
        """The matrix's line."""
        due = self.due(n_tokens)
        book.text(CHECKS, row, 0, self.source.name)
        book.formula(CHECKS, row, DUE, self.due_formula(), due, "live count")
        book.formula(CHECKS, row, FOUND, f"=COUNT({self.source.area.address()})", due, "live count")
        book.formula(CHECKS, row, PLACE, self.place_formula(row), "", "live count")
        book.formula(CHECKS, row, MESSAGE, self.message_formula(row), "", "note line")


class CellCheck(Check):
    """A check without array formulas, which can't say which cell it is; each line repeats the first message so far."""

    def place_formula(self, row: int) -> str:
        return f'=IF({cell(row, FOUND)}<{cell(row, DUE)},-1,"")'

    def message_formula(self, row: int) -> str:
        return f'=IF({cell(row, PLACE)}="","",{self.somewhere})'

    def write(self, book: Book, row: int, n_tokens: int) -> None:
        super().write(book, row, n_tokens)
        here, above = cell(row, MESSAGE), cell(row - 1, SO_FAR)
        so_far = f'IF({above}<>"",{above},{here})' if row > FIRST_ROW else here
        book.formula(CHECKS, row, SO_FAR, f"={so_far}", "", "note line")


def first_message(messages: Area) -> str:
    """The formula for the first of the lines' messages."""
    where = messages.range(fixed=True)
    return f'{{=IFERROR(INDEX({where},MATCH(1,--({where}<>""),0)),"")}}'


def last_so_far(messages: Area) -> str:
    """The same without an array formula, of lines of `CellCheck`."""
    return f"={cell(messages.row + messages.rows - 1, SO_FAR)}"


def write_checks(
    book: Book, checks: Sequence[Check], n_tokens: int, message_of: Callable[[Area], str] = first_message
) -> Names:
    """The tab, a line a matrix in causal order, weights first. Returns the names that others use.

    message_of: what makes the formula that says what is wrong, of the lines' messages.
    """
    sheet = book.add_tab(CHECKS, colour=style.STAGE_FILL)
    for column, width in WIDTHS.items():
        sheet.set_column(column, column, width)
    sheet.write_url(0, 0, "internal:'index'!A1", book.format("link"), "← index")
    book.text(CHECKS, 0, 1, HEADING, "stage title")
    for column, head in enumerate(HEADS):
        book.text(CHECKS, FIRST_ROW - 1, column, head, "table head")
    for row, check in enumerate(checks, start=FIRST_ROW):
        check.write(book, row, n_tokens)
    messages = Area(CHECKS, FIRST_ROW, MESSAGE, max(1, len(checks)), 1)
    book.text(CHECKS, FAULT_CELL.row, 0, "message", "key")
    book.formula(CHECKS, FAULT_CELL.row, FAULT_CELL.column, message_of(messages), "", "note line")
    sheet.freeze_panes(FIRST_ROW, 1)
    return {FAULT: FAULT_CELL.address()}
