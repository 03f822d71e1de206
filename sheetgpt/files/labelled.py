"""A matrix in a CSV with labels, as dumps have them (then the first cell is blank), or without any.

Spreadsheet programs save such a file in other ways than they read it: separated by `;` or tabs, with decimal commas,
with separators behind the last cell and blank rows, in UTF-16. Weight files, which have no labels and are large, belong
in `decimals`.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.errors import DamagedError
from sheetgpt.files.text import BYTE_ORDER_MARK, separator_of

NO_NUMBER = ("", "nan")  # texts of a cell that holds nothing
WIDE = (b"\xff\xfe", b"\xfe\xff")  # how a file in UTF-16 begins
QUOTED = re.compile(r'"(?:[^"]|"")*"')
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
GROUPED = (  # thousands apart: only where the decimals leave no doubt
    re.compile(r"[+-]?\d{1,3}(?:[. \u00a0\u202f'’]\d{3})+,\d+"),
    re.compile(r"[+-]?\d{1,3}(?:[, \u00a0\u202f'’]\d{3})+\.\d+"),
)
SEVERAL = re.compile(r"\s*[-+.\d]\S*\s+[-+.\d]\S*(?:\s.*)?")
LINES_SEEN, MOST_SEEN = 50, 1 << 20  # lines and characters in which the separator is looked for


@dataclass(frozen=True)
class Labelled:
    """The cells of a file behind its labels."""

    rows: list[list[str]]
    labels: int  # rows and columns of labels before the cells: 0 or 1
    separator: str = ","

    @property
    def has_decimal_commas(self) -> bool:
        """May a comma in a number stand before its decimals?"""
        return self.separator != ","


@dataclass(frozen=True)
class Numbers:
    """A matrix, NaN where a cell holds no number; what stands there instead is in `others`."""

    numbers: np.ndarray  # [rows, columns] float64
    others: dict[tuple[int, int], str]
    labels: int
    blanks: bool = False  # is some cell empty? Else NaN stands there as such


def read_cells(path: Path) -> Labelled:
    """A file's cells as texts, but for blank rows and columns at the end. Raises DumpError where it can't be read."""
    try:
        text = text_in(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None
    separator = separator_in(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise unreadable(f"{path}, line {reader.line_num}", error) from None
    labels = 1 if len(rows) > 1 and rows[0][0] == "" else 0
    return Labelled([row[labels:] for row in filled(rows)[labels:]], labels, separator)


def unreadable(where: object, error: Exception) -> DamagedError:
    return DamagedError(f"can't be read ({error})", where=where, remedy="give a CSV of numbers, such as a dump's")


def text_in(content: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 where it says so, as Excel's "Unicode Text" does."""
    return content.decode("utf-16" if content[:2] in WIDE else "utf-8").removeprefix(BYTE_ORDER_MARK)


def separator_in(text: str) -> str:
    r"""What separates the cells: it follows the blank cell before labels, or stands equally often in each line.

    >>> separator_in(',0 ";",1 \t'), separator_in('"";"0"'), separator_in("Mike,;\n0,1"), separator_in("0,5;1,25;\n1;2")
    (',', ';', ',', ';')
    """
    head = text[:3].removeprefix('""')[:1]
    if head and head in ",;\t":
        return head
    lines = [line for line in QUOTED.sub("", text[:MOST_SEEN]).splitlines()[:LINES_SEEN] if line]
    for mark in ";\t,":
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return mark
    return separator_of(lines[0] if lines else "")


def filled(rows: list[list[str]]) -> list[list[str]]:
    """Without blank rows, and without the blank cells behind the last column that holds something."""
    found = [row for row in rows if any(row)]
    width = max((last_filled(row) for row in found), default=0)
    return [row[:width] for row in found]


def last_filled(row: list[str]) -> int:
    """How many cells a row has up to the last one that holds something.

    >>> last_filled(["", "a", "", ""])
    2
    """
    count = len(row)
    while count and not row[count - 1]:
        count -= 1
    return count


def read_numbers(path: Path) -> Numbers:
    """A file's cells as numbers. Raises DumpError where it can't be read, or is torn."""
    found = read_cells(path)
    rows = found.rows
    if len({len(row) for row in rows}) != 1:
        raise DamagedError("has rows of different lengths, or none", where=path, remedy="it is torn; write it again")
    if len(rows[0]) == 1 and SEVERAL.fullmatch(rows[0][0]):
        what, remedy = f"has several numbers in one cell ({rows[0][0].strip()[:20]!r})", "separate them by commas"
        raise DamagedError(what, where=f"{path}, row {1 + found.labels}", remedy=remedy)
    numbers, others = np.empty((len(rows), len(rows[0]))), {}
    for number, row in enumerate(rows):
        try:
            numbers[number] = [cell.replace(",", ".") for cell in row] if found.has_decimal_commas else row
        except ValueError:
            for column, text in enumerate(row):
                numbers[number, column] = value = number_in(plain_number(text, found))
                if np.isnan(value) and text.strip().lower() not in NO_NUMBER:
                    others[number, column] = text
    blanks = bool(np.isnan(numbers).any()) and any(not text.strip() for row in rows for text in row)
    return Numbers(numbers, others, found.labels, blanks)


def plain_number(text: str, among: Labelled) -> str:
    """A number as it stands in a cell, with a point before its decimals and nothing between thousands.

    >>> german = Labelled([], 0, ";")
    >>> plain_number("0,5", german), plain_number("1.234,5", german), plain_number("1,234.5", Labelled([], 0))
    ('0.5', '1234.5', '1234.5')
    """
    for mark, grouped in zip(",.", GROUPED, strict=True):
        if grouped.fullmatch(text.strip()):
            whole, _, decimals = text.strip().rpartition(mark)
            return f"{re.sub('[^0-9+-]', '', whole)}.{decimals}"
    return text.replace(",", ".") if among.has_decimal_commas else text


def texts_of(found: Labelled) -> list[list[str]]:
    """A table's rows; where numbers have decimal commas, these as points: our texts hold no such numbers in a cell."""
    if not found.has_decimal_commas:
        return found.rows
    return [[cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell for cell in row] for row in found.rows]


def number_in(cell: object) -> float:
    """A cell's number; NaN where it holds none."""
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
