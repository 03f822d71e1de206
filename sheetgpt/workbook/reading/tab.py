"""A tab as it is read: one array of numbers and a dictionary of everything else. What reads it stands beside this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sheetgpt.errors import DamagedError
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, cell

MOST_CELLS = 100_000_000  # as many as calamine takes of an .ods; GPT-2 XL's token embeddings are 80 million
FAR_OUT = "delete the rows and columns beyond the stages, where something stands by mistake"
NUMBER_WORDS = {"nan", "inf", "-inf"}  # what our workbooks write where a cell can't hold the number
UNSAVED = "(a formula without a saved value)"  # stands in place of the value


@dataclass(frozen=True)
class Tab:
    """One sheet from its cell A1 on. A blank cell is NaN and in none of the others.

    NaN, inf and -inf are texts in a cell: they are among the numbers and among the others. How a number is displayed,
    as a date, say, makes no difference.
    """

    name: str  #: the tab's name
    numbers: np.ndarray  #: [rows, columns] float64
    others: Mapping[tuple[int, int], object]  #: texts, TRUE and FALSE, errors such as #N/A, UNSAVED, by cell

    def part(self, area: Area) -> tuple[np.ndarray, dict[tuple[int, int], object]]:
        """The cells of an area, NaN beyond the filled ones: (numbers [rows, columns], the others by cell)."""
        found = self.numbers[area.row : area.row + area.rows, area.column : area.column + area.columns]
        numbers = found
        if found.shape != (area.rows, area.columns):
            numbers = np.full((area.rows, area.columns), np.nan)
            numbers[: found.shape[0], : found.shape[1]] = found
        others = {
            (row - area.row, column - area.column): value
            for (row, column), value in self.others.items()
            if 0 <= row - area.row < area.rows and 0 <= column - area.column < area.columns
        }
        return numbers, others


class FarOutError(Exception):
    """A cell stands where none can, or so far out that room up to it fills the memory."""

    def __init__(self, rows: int, columns: int):
        super().__init__(rows, columns)
        self.rows, self.columns = rows, columns

    def refusal(self, where: str) -> DamagedError:
        rows, columns = self.rows, self.columns
        if rows > MAX_ROWS or columns > MAX_COLUMNS:
            what = f"is damaged: a cell stands in row {rows:,}, column {columns:,}, where none can"
            return DamagedError(what, where=where, remedy="save it again")
        what = f"reaches to cell {cell(rows - 1, columns - 1)}, {rows * columns:,} cells"
        return DamagedError(what, where=where, remedy=f"{FAR_OUT}, and save it again")


def require_near(rows: int, columns: int) -> None:
    """Raises FarOutError where a tab can't have so many rows and columns, or not in memory."""
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MOST_CELLS:
        raise FarOutError(rows, columns)


@dataclass
class Cells:
    """A tab in the making: numbers and others are put in cell by cell or row by row, in any order.

    subtle: only the rows up to the last filled one are NaN, so room for more costs no memory.
    """

    numbers: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # [rows, columns] that there is room for
    others: dict[tuple[int, int], object] = field(default_factory=dict)
    rows: int = 0  # up to the last filled one
    columns: int = 0

    @classmethod
    def of(cls, rows: int, columns: int) -> Cells:
        """With room for so many cells at once."""
        return cls(np.empty((rows, columns)))

    def put_row(self, row: int, columns: Sequence[int], numbers: np.ndarray | Sequence[float]) -> None:
        """Numbers, in columns that ascend."""
        if columns:
            self._reach(row + 1, columns[-1] + 1)
            whole = columns[-1] - columns[0] + 1 == len(columns)
            self.numbers[row, slice(columns[0], columns[-1] + 1) if whole else list(columns)] = numbers

    def put(self, row: int, column: int, value: object) -> None:
        """One cell: a number, or what else it holds."""
        if value is None or (isinstance(value, str) and not value):
            return
        self._reach(row + 1, column + 1)
        self.numbers[row, column] = number = numeric(value)
        if number != number or isinstance(value, str):  # noqa: PLR0124 - NaN
            self.others[row, column] = value

    def _reach(self, rows: int, columns: int) -> None:
        """Make room up to a cell, and say that it is filled."""
        self.columns = max(self.columns, columns)
        if rows > self.rows or columns > self.numbers.shape[1]:
            require_near(max(self.rows, rows), self.columns)
        if rows > len(self.numbers) or columns > self.numbers.shape[1]:
            now, need = self.numbers.shape, (rows, columns)
            numbers = np.empty(
                [has if wants <= has else max(wants, 2 * has) for wants, has in zip(need, now, strict=True)]
            )
            numbers[: self.rows] = np.nan
            numbers[: self.rows, : now[1]] = self.numbers[: self.rows]
            self.numbers = numbers
        if rows > self.rows:
            self.numbers[self.rows : rows] = np.nan
            self.rows = rows

    def tab(self, name: str) -> Tab:
        return Tab(name, self.numbers[: self.rows, : self.columns], self.others)


def numeric(value: object) -> float:
    """A cell's number; NaN where it holds none. TRUE is no number here, though Python thinks so."""
    if type(value) in (float, int) or (isinstance(value, str) and value.lower() in NUMBER_WORDS):
        return float(value)  # type: ignore[arg-type]
    return np.nan
