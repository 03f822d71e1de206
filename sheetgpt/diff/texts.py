"""Tables of texts side by side: words, merges, tokens, the predicted token. Matrices belong in `matrices`."""

from __future__ import annotations

from collections.abc import Sequence

from sheetgpt.bpe.words import spell
from sheetgpt.diff.matrices import Tolerance
from sheetgpt.files.labelled import number_in

Table = Sequence[Sequence[object]]  # rows of texts and numbers, of any length


def is_blank(cell: object) -> bool:
    """Holds the cell nothing? Lone spaces count as nothing: some programs drop them when they save a workbook."""
    return cell is None or (isinstance(cell, str) and not cell.strip(" ")) or cell != cell  # noqa: PLR0124 - NaN


def trimmed(table: Table) -> list[Sequence[object]]:
    """Without blank cells at the ends of rows and blank rows at the end."""
    rows = [row[: max((i + 1 for i, cell in enumerate(row) if not is_blank(cell)), default=0)] for row in table]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def at(table: Table, row: int, column: int) -> object:
    """A cell; None beyond the table."""
    return table[row][column] if row < len(table) and column < len(table[row]) else None


def extent(*tables: Table) -> tuple[int, int]:
    """The rows and columns of all of these tables, one upon the other."""
    return max(map(len, tables)), max((len(row) for table in tables for row in table), default=0)


def differing(left: Table, right: Table, tolerance: Tolerance) -> list[tuple[int, int]]:
    """The cells that are not the same on both sides: (row, column)."""
    rows, columns = extent(left, right)
    return [
        (row, column)
        for row in range(rows)
        for column in range(columns)
        if not same_text(at(left, row, column), at(right, row, column), tolerance)
    ]


def same_text(left: object, right: object, tolerance: Tolerance) -> bool:
    """Texts are the same letter by letter, numbers within the tolerance, blank cells among themselves."""
    if str(left) == str(right) or (isinstance(left, str) and isinstance(right, str) and same_letters(left, right)):
        return True
    if is_blank(left) or is_blank(right):
        return is_blank(left) and is_blank(right)
    a, b = number_in(left), number_in(right)
    return abs(a - b) <= tolerance.atol + tolerance.rtol * abs(b)


def same_letters(left: str, right: str) -> bool:
    """Is one of two texts the other, spelled in GPT-2's letters? A live workbook holds words as they are typed."""
    try:
        return spell(left) == right or left == spell(right)
    except UnicodeEncodeError:  # half a character
        return False
