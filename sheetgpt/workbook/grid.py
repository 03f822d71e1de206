"""The grid of a sheet: its limits, addresses, and rectangles of cells. Counted from 0 here, from A1 in addresses.

What lies where belongs in `places`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from xlsxwriter.utility import quote_sheetname, xl_cell_to_rowcol, xl_col_to_name

from sheetgpt.errors import DumpError

__all__ = ["Area"]

MAX_ROWS, MAX_COLUMNS, MAX_TEXT = 1_048_576, 16_384, 32_767  # of a sheet, and the characters of a cell
CELL = r"\$?[A-Za-z]{1,3}\$?\d{1,7}"
RANGE = re.compile(rf"{CELL}(?::{CELL})?")

column_letters: Callable[[int], str] = cache(xl_col_to_name)
quoted: Callable[[str], str] = cache(quote_sheetname)  # a tab's name as addresses have it


def text_literal(text: str) -> str:
    """A text as formulas have it.

    >>> print(text_literal('a "big" word'))
    "a ""big"" word"
    """
    return '"' + text.replace('"', '""') + '"'


def cell(row: int, column: int, *, fixed: bool = False) -> str:
    """A cell's address.

    >>> cell(4, 2), cell(4, 16_383, fixed=True)
    ('C5', '$XFD$5')
    """
    mark = "$" if fixed else ""
    return f"{mark}{column_letters(column)}{mark}{row + 1}"


def target(tab: str, row: int = 0, column: int = 0) -> str:
    """Where a link to a cell leads.

    >>> target("block_0", 4, 2), target("Mike's tab")
    ("'block_0'!C5", "'Mike''s tab'!A1")
    """
    name = tab.replace("'", "''")
    return f"'{name}'!{cell(row, column)}"


@dataclass(frozen=True)
class Area:
    """A rectangle of cells on one tab."""

    tab: str  #: the tab's name
    row: int  #: the first row, from 0
    column: int  #: the first column, from 0
    rows: int  #: how many rows
    columns: int  #: how many columns

    @property
    def last(self) -> tuple[int, int]:
        """Its last row and column."""
        return self.row + self.rows - 1, self.column + self.columns - 1

    def range(self, *, fixed: bool = False) -> str:
        """The address without its tab.

        >>> Area("block_0", 4, 2, 8, 64).range(), Area("block_0", 4, 2, 1, 1).range()
        ('C5:BN12', 'C5')
        """
        first = cell(self.row, self.column, fixed=fixed)
        if self.rows == self.columns == 1:
            return first
        return f"{first}:{cell(self.row + self.rows - 1, self.column + self.columns - 1, fixed=fixed)}"

    def address(self) -> str:
        """The address that a defined name points to.

        >>> Area("block_0", 4, 2, 8, 64).address(), Area("Mike's tab", 4, 2, 1, 1).address()
        ('block_0!$C$5:$BN$12', "'Mike''s tab'!$C$5")
        """
        return f"{quoted(self.tab)}!{self.range(fixed=True)}"

    def part(self, row: int = 0, column: int = 0, rows: int | None = None, columns: int | None = None) -> Area:
        """A rectangle of it, counted from its first cell; by default everything from there on."""
        return Area(
            self.tab,
            self.row + row,
            self.column + column,
            self.rows - row if rows is None else rows,
            self.columns - column if columns is None else columns,
        )


def parse_range(text: str, tab: str) -> Area | None:
    """A range without its tab, such as `C5:BN12` or `$C$5`; None where it is none.

    >>> parse_range("C5:BN12", "block_0"), parse_range("n_tokens", "block_0")
    (Area(tab='block_0', row=4, column=2, rows=8, columns=64), None)
    """
    if not RANGE.fullmatch(text):
        return None
    corners = [xl_cell_to_rowcol(corner) for corner in text.replace("$", "").upper().split(":")]
    (row, column), (last_row, last_column) = corners[0], corners[-1]
    if not 0 <= row <= last_row or column > last_column:
        return None
    return Area(tab, row, column, last_row - row + 1, last_column - column + 1)


def address(areas: Sequence[Area], row: int, column: int) -> str:
    """A cell of areas that belong side by side, with its tab, as a person finds it.

    >>> address([Area("block_0", 4, 2, 8, 64)], 1, 0), address([Area("my tab", 0, 0, 1, 1)], 0, 0)
    ('block_0!C6', "'my tab'!A1")
    """
    for area in areas:
        if column < area.columns:
            return f"{quoted(area.tab)}!{cell(area.row + row, area.column + column)}"
        column -= area.columns
    raise DumpError(f"column {column} lies beyond the stage's areas")


def with_r1c1(place: str) -> str:
    """An address as people read it: beside A1 how the reference's page, and Excel where it is set so, call it.

    >>> with_r1c1("block_0!C7"), with_r1c1("'my tab'!C5:BN12"), with_r1c1("block_0_step_7[4,2]")
    ('block_0!C7 (R7C3)', "'my tab'!C5:BN12 (R5C3:R12C66)", 'block_0_step_7[4,2]')
    """
    area = parse_range(place.rpartition("!")[2], "")
    if area is None:
        return place
    corners = (area.row, area.column), (area.row + area.rows - 1, area.column + area.columns - 1)
    return f"{place} ({':'.join(dict.fromkeys(f'R{row + 1}C{column + 1}' for row, column in corners))})"


def boxes(cells: np.ndarray) -> Iterator[tuple[int, int, int, int]]:  # [rows, columns] of bool
    """The true cells as (row, column, rows, columns): runs of each row, one under the other where they are the same.

    >>> list(boxes(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)))
    [(0, 0, 2, 2), (2, 2, 1, 1)]
    """
    changes = np.flatnonzero((cells[1:] != cells[:-1]).any(axis=1)) + 1
    growing: dict[tuple[int, int], int] = {}  # (first column, the one behind) -> the row in which the run began
    for row in [0, *changes.tolist()] if len(cells) else []:
        edges = np.flatnonzero(np.diff(cells[row].astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        found = [(first, end) for first, end in edges.tolist()]
        for run in sorted(growing.keys() - found):
            yield growing[run], run[0], row - growing[run], run[1] - run[0]
        growing = {run: growing.get(run, row) for run in found}
    for run, row in growing.items():
        yield row, run[0], len(cells) - row, run[1] - run[0]


def width(areas: Sequence[Area]) -> int:
    """The first column after all of these areas."""
    return max(area.column + area.columns for area in areas)
