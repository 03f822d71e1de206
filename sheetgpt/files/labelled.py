"""A matrix in a CSV with labels, as dumps have them (then the first cell is blank), or without any.

Weight files, which have no labels and are large, belong in `decimals`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.errors import DumpError

NO_NUMBER = ("", "nan")  # texts of a cell that holds nothing


@dataclass(frozen=True)
class Labelled:
    """The cells of a file behind its labels."""

    rows: list[list[str]]
    labels: int  # rows and columns of labels before the cells: 0 or 1


@dataclass(frozen=True)
class Numbers:
    """A matrix, NaN where a cell holds no number; what stands there instead is in `others`."""

    numbers: np.ndarray  # [rows, columns] float64
    others: dict[tuple[int, int], str]
    labels: int
    blanks: bool = False  # is some cell empty? Else NaN stands there as such


def read_cells(path: Path) -> Labelled:
    """A file's cells as texts. Raises DumpError where it can't be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DumpError(
            f"can't be read ({error})", where=path, remedy="give a CSV of numbers, such as a dump's"
        ) from None
    labels = 1 if len(rows) > 1 and rows[0][0] == "" else 0
    return Labelled([row[labels:] for row in rows[labels:]], labels)


def read_numbers(path: Path) -> Numbers:
    """A file's cells as numbers. Raises DumpError where it can't be read, or is torn."""
    found = read_cells(path)
    rows = found.rows
    if len({len(row) for row in rows}) != 1:
        raise DumpError("has rows of different lengths, or none", where=path, remedy="it is torn; write it again")
    numbers, others = np.empty((len(rows), len(rows[0]))), {}
    for number, row in enumerate(rows):
        try:
            numbers[number] = row
        except ValueError:
            for column, text in enumerate(row):
                numbers[number, column] = value = number_in(text)
                if np.isnan(value) and text.strip().lower() not in NO_NUMBER:
                    others[number, column] = text
    blanks = bool(np.isnan(numbers).any()) and any(not text.strip() for row in rows for text in row)
    return Numbers(numbers, others, found.labels, blanks)


def number_in(cell: object) -> float:
    """A cell's number; NaN where it holds none."""
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
