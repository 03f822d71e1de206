"""Marks on cells that a person changed: a fill that the eye finds, and a note that says what was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sheetgpt.workbook.book import Book
from sheetgpt.workbook.places import Place

MARKED = {"bg_color": "#FFD54F", "bold": True, "font_color": "#B4501E"}


@dataclass(frozen=True)
class Mark:
    """A cell of a stage, counted from its first one, and what to say of it."""

    row: int
    column: int
    note: str


def mark(book: Book, place: Place, marks: Sequence[Mark]) -> None:
    """Mark cells of a stage."""
    if not marks:
        return
    fmt = book.conditional(MARKED)
    for one in marks:
        column = one.column
        for area in place.areas:
            if column < area.columns:
                cell = area.row + one.row, area.column + column
                # subtle: a conditional format lies over the number's own style, which `cells` writes
                book.sheets[area.tab].conditional_format(*cell, *cell, {"type": "no_errors", "format": fmt})
                book.sheets[area.tab].write_comment(*cell, one.note, {"author": "sheetgpt"})
                break
            column -= area.columns
