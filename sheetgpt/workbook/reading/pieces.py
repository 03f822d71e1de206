"""A stage put together from the places where a workbook holds it: one, or one for each of its pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt.workbook.grid import Area, address
from sheetgpt.workbook.reading.maps import Mapped
from sheetgpt.workbook.reading.open import Workbook

Others = dict[tuple[int, int], object]


@dataclass(frozen=True)
class Pieces:
    """The places of a stage. `whole` is its shape, where it is known that pieces are missing."""

    parts: tuple[Mapped, ...]
    whole: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = zip(*(part.place for part in self.parts), strict=True)
        return self.whole or (max(span.stop for span in rows), max(span.stop for span in columns))

    @property
    def is_cut(self) -> bool:
        return self.parts[0].is_piece

    def within(self, shape: tuple[int, int]) -> Pieces:
        """As pieces of a matrix of this shape, where they fit into it."""
        fits = all(mine <= its for mine, its in zip(self.shape, shape, strict=True))
        return replace(self, whole=shape) if self.is_cut and fits else self

    @property
    def absent(self) -> np.ndarray | None:  # [rows, columns]
        """The cells that no piece holds; None where all are there."""
        if not self.is_cut:
            return None
        missing = np.ones(self.shape, dtype=bool)
        for part in self.parts:
            missing[block(part)] = False
        return missing if missing.any() else None

    def read(self, book: Workbook) -> tuple[np.ndarray, Others]:
        """(numbers [rows, columns], what else cells hold); NaN where there is no number."""
        if not self.is_cut:
            return read_part(book, self.parts[0])
        numbers, others = np.full(self.shape, np.nan), Others()
        for part in self.parts:
            rows, columns = part.place
            numbers[block(part)], texts = read_part(book, part)
            others |= {(rows[row], columns[column]): value for (row, column), value in texts.items()}
        return numbers, others

    def place(self, row: int, column: int) -> str:
        """The address of a cell."""
        for part in self.parts:
            rows, columns = part.place
            if row in rows and column in columns:
                at = row - rows.start, column - columns.start
                return address(part.areas, *(reversed(at) if part.transposed else at))
        return "nowhere"

    @property
    def held_part(self) -> str:
        """What is there of a stage that is not whole, in words; empty where all is there."""
        if self.absent is None:
            return ""
        heads = sorted(part.head for part in self.parts if part.head is not None)
        if len(heads) == len(self.parts):
            return f"head{'s' if len(heads) > 1 else ''} {', '.join(map(str, heads))}"
        return f"{np.sum(~self.absent):,} of {self.absent.size:,} cells"


def block(part: Mapped) -> tuple[slice, slice]:
    rows, columns = part.place
    return slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def read_part(book: Workbook, part: Mapped) -> tuple[np.ndarray, Others]:
    numbers, others = book.part(part.areas)
    if not part.transposed:
        return numbers, others
    return numbers.T, {(column, row): value for (row, column), value in others.items()}


def whole(areas: Sequence[Area]) -> Pieces:
    """A stage that stands in one place, as a defined name says."""
    return Pieces((Mapped(tuple(areas)),))
