"""Marks on cells that a person changed: a fill that the eye finds, and a note that says what was there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.run.trace import Trace
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import Place

MARKED = {"bg_color": "#FFD54F", "bold": True, "font_color": "#8A3B12"}
MOST_MARKS = 2_000  # of a stage that was changed as a whole: programs get slow with more notes


@dataclass(frozen=True)
class Mark:
    """A cell of a stage, counted from its first one, and what to say of it."""

    row: int
    column: int
    note: str


def mark(book: Book, place: Place, marks: Sequence[Mark]) -> None:
    """Mark cells of a stage."""
    mark_cells(book, place.areas, marks)


def mark_cells(book: Book, areas: Sequence[Area], marks: Sequence[Mark]) -> None:
    """Mark cells of areas that belong side by side."""
    fmt = book.conditional(MARKED) if marks else None
    for one in marks:
        column = one.column
        for area in areas:
            if column < area.columns:
                cell = area.row + one.row, area.column + column
                # subtle: a conditional format lies over the number's own style, which `cells` writes
                book.sheets[area.tab].conditional_format(*cell, *cell, {"type": "no_errors", "format": fmt})
                book.sheets[area.tab].write_comment(*cell, one.note, {"author": "sheetgpt"})
                break
            column -= area.columns


def set_by_hand(trace: Trace) -> dict[str, list[Mark]]:
    """The cells of a run's stages that were set: those that don't hold what their own inputs give."""
    found = {}
    for name in trace.overridden:
        step = trace.steps.by_name.get(name)
        if step is not None and not step.is_given and not step.is_text:
            marks = list(set_in_stage(trace, name))
            found[name] = marks if len(marks) <= MOST_MARKS else []
    return {name: marks for name, marks in found.items() if marks}


def set_in_stage(trace: Trace, name: str) -> Iterator[Mark]:
    step, held = trace.steps[name], trace.array(name)
    given = trace.steps.inputs(trace.token_ids)
    sources = {**(trace.weights or {}), **trace.changed_weights, **given, **trace.arrays}
    with np.errstate(all="ignore"):
        computed = np.asarray(step.op.value(*(sources[one] for one in step.inputs)), held.dtype)
    for row, column in np.argwhere(~((held == computed) | (np.isnan(held) & np.isnan(computed)))).tolist():
        yield Mark(row, column, f"set: {held[row, column]:.12g}, computed: {computed[row, column]:.12g}")
